"""What was noticed about a user's table, before anything is trained on it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class RoleGuess:
    """What a column of the user's table is used as, and why.

    Attributes:
        role: image, text, numeric, categorical, target, group, split, id, domain or ignore.
        reason: what spoke for it; ``"named"`` where the user said so.
    """

    column: str
    role: str
    reason: str


@dataclass(frozen=True)
class Finding:
    """Something about the data that the user should know before trusting any figure.

    Attributes:
        kind: a short name for programs, e.g. ``leak``, ``duplicates``, ``bad_images``.
        text: a clause with counts.
        action: what was done about it, or what the user can do; may be empty.
        warning: it may spoil the answer; other findings are remarks.
    """

    kind: str
    text: str
    action: str = ""
    warning: bool = False

    def __str__(self) -> str:
        return f"{self.text}; {self.action}" if self.action else self.text
