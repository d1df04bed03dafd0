"""What flows between host and plugins: targets, columns, tokens, results; plain values.

Shapes: ``N`` samples, ``B`` batch, ``T`` tokens, ``D`` features. Modalities are dict keys, never
positions. Nothing here imports torch.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor, nn

Kind: TypeAlias = Literal["binary", "multiclass", "multilabel", "regression"]


# ------------------------------------------------------------------------------------- task


@dataclass(frozen=True)
class TargetSpec:
    """One thing to predict.

    Attributes:
        classes: class names in a stable order; empty for regression. A binary target has two, the
            second is the positive one.
    """

    name: str
    kind: Kind
    classes: tuple[str, ...] = ()

    @property
    def width(self) -> int:
        """Outputs a head gives: 1 logit (binary), one a class, or 1 number (regression)."""
        return len(self.classes) if self.kind in ("multiclass", "multilabel") else 1


@dataclass(frozen=True)
class TaskView:
    """What a component may know of the task while it declares its space.

    Attributes:
        modalities: column key -> modality, e.g. ``{"image": "image", "text": "text"}``.
        targets: by name, the primary one first.
        primary: the target that the search optimises.
        metric: the primary target's metric, e.g. ``"balanced_accuracy"``.
        simulated: the data is generated, and must be called so wherever it shows.
    """

    name: str
    modalities: Mapping[str, str]
    targets: Mapping[str, TargetSpec]
    primary: str
    metric: str
    simulated: bool = False


class Column(Protocol):
    """All raw samples of one modality, decoded lazily.

    A sample is ``None`` where it is missing; otherwise an RGB ``PIL.Image.Image`` (image), a
    ``str`` (text), or a mapping from field to float, str or None (tabular).

    Attributes:
        modality: ``image``, ``text``, ``tabular`` or another kind; an open set.
        fields: for tabular columns, field -> ``"numeric"`` or ``"categorical"``; else empty.
        present: ``(N,)`` bool, False where the sample is missing.
    """

    modality: ClassVar[str]
    fields: Mapping[str, str]

    @property
    def present(self) -> np.ndarray:
        """``(N,)`` bool."""

    def __len__(self) -> int: ...
    def __getitem__(self, index: int) -> Any: ...
    def __iter__(self) -> Iterator[Any]: ...
    def take(self, rows: Sequence[int] | np.ndarray) -> Column:
        """The same column with only ``rows``, in that order."""

    def digest(self) -> str:
        """A digest of every sample in order."""


# ------------------------------------------------------------------------- what flows in a model


@dataclass(frozen=True)
class FeatureSpec:
    """The shape of an encoder's output for one sample: at most ``tokens`` tokens of ``dim``."""

    tokens: int
    dim: int


@dataclass
class Tokens:
    """One modality's tokens for a batch.

    Attributes:
        values: ``(B, T, D)``.
        mask: ``(B, T)`` bool, True where a token is real; at least one a row.
        losses: an encoder's own training terms, already scaled.
        absent: ``(D,)``, the host's learned token for an absent sample; None before the adapter.
    """

    values: Tensor
    mask: Tensor
    losses: Mapping[str, Tensor] = field(default_factory=dict)
    absent: Tensor | None = None

    def mean(self) -> Tensor:
        """The mean over real tokens, ``(B, D)``."""
        if self.values.shape[1] == 1:  # a row's only token is real
            return self.values[:, 0]
        weight = self.mask.unsqueeze(-1).to(self.values.dtype)
        return (self.values * weight).sum(1) / weight.sum(1).clamp(min=1.0)

    def without(self, gone: Tensor) -> Tokens:
        """The same tokens with the rows of ``gone`` ``(B,)`` as if their samples were absent."""
        if self.absent is None:
            raise ValueError("only tokens behind the host's adapter know their absent token")
        values = self.values.where(~gone[:, None, None], self.absent.to(self.values.dtype))
        first = self.mask.new_ones(self.mask.shape[1]).cumsum(0) == 1  # (T,)
        mask = self.mask.where(~gone[:, None], first)
        return Tokens(values, mask, self.losses, self.absent)


@dataclass
class FusionResult:
    """What a fusion gives back.

    Attributes:
        outputs: target -> ``(B, width)``: logits, or standardised numbers (regression).
        fused: the joint vector ``(B, D)``, where the fusion has one.
        per_modality: modality -> target -> ``(B, width)``, where it has heads a modality.
        weights: modality -> ``(B,)``, how much each modality counted, where that is defined.
        attention: modality -> ``(B, T)`` weights over tokens, where the fusion has them.
        losses: its own terms, already scaled (auxiliary heads, KL, reconstruction).
        aux: anything a regulariser of the same plugin needs.
    """

    outputs: Mapping[str, Tensor]
    fused: Tensor | None = None
    per_modality: Mapping[str, Mapping[str, Tensor]] | None = None
    weights: Mapping[str, Tensor] | None = None
    attention: Mapping[str, Tensor] | None = None
    losses: Mapping[str, Tensor] = field(default_factory=dict)
    aux: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Mix:
    """Rows that were mixed with others: their labels are mixed alike.

    Attributes:
        partner: ``(B,)`` place in the batch of each row's partner.
        share: ``(B,)`` how much of the row is its own, 0 to 1.
    """

    partner: Tensor
    share: Tensor


@dataclass
class Batch:
    """One training batch, on the device.

    Attributes:
        present: modality -> ``(B,)`` bool.
        targets: target -> ``(B,)`` class indices (multiclass), floats (binary, regression) or
            ``(B, width)`` floats (multilabel).
        observed: target -> ``(B,)`` bool, False where the label is missing.
        index: ``(B,)`` row numbers in the data set.
        progress: share of training done, 0 to 1.
        mix: set by a regulariser that mixes rows; None where rows are their own.
    """

    present: Mapping[str, Tensor]
    targets: Mapping[str, Tensor]
    observed: Mapping[str, Tensor]
    index: Tensor
    progress: float = 0.0
    mix: Mix | None = None


class Forward(Protocol):
    """The model behind the adapters, for regularisers that run it again on changed tokens."""

    def __call__(self, tokens: Mapping[str, Tokens], batch: Batch) -> FusionResult:
        """The fusion's result."""

    def task_loss(self, outputs: Mapping[str, Tensor], batch: Batch) -> Tensor:
        """{target: (B, width)} -> (B,), zero where nothing is observed."""


NO_FILE = re.compile(r'[\x00-\x1f<>"/\\|?*]')
"""Signs that lead out of a folder, or that no file may be called by."""

MOST_KEY = 100


def single_arm(key: str) -> str:
    """The name of the arm of one modality alone, and of its folder, whatever a column is called."""
    plain = NO_FILE.sub("_", key)[:MOST_KEY]
    if plain != key:  # another column must not end in the same folder
        plain += f"_{hashlib.sha256(key.encode()).hexdigest()[:6]}"
    return plain.replace(":", "_") + "_only"


class HeadFactory(Protocol):
    """Makes output heads: ``heads(dim)`` is a module ``(B, dim) -> {target: (B, width)}``."""

    targets: Mapping[str, TargetSpec]

    def __call__(self, dim: int) -> nn.Module:
        """One module for all targets."""
