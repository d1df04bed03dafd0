"""How to run the same study again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mmauto.plugin import Block, Code, Section, StudyView


class Reproduce(Section):
    """The command, the configuration, versions and machine."""

    name = "reproduce"
    summary = "the command that reproduces the study, its configuration and versions"
    reference = "mmauto"
    title = "How to reproduce"
    order = 140

    def render(self, study: StudyView) -> Sequence[Block]:
        """Pieces of text to copy."""
        machine = {k: v for k, v in study.environment.items() if k not in ("versions", "created")}
        if "seconds" in machine:
            machine["seconds"] = round(machine["seconds"], 1)
        blocks = [
            Code(study.command, "On the same versions, on a CPU, this gives the same trials:"),
            Code(_toml(study.config), "Configuration, as in study.toml:"),
            Code(_toml(study.environment.get("versions", {})), "Versions:"),
            Code(_toml(machine), "Machine, and seconds spent:"),
        ]
        return [block for block in blocks if block.text]


def _toml(values: Mapping[str, Any]) -> str:
    import tomli_w

    known = {name: value for name, value in values.items() if value not in (None, {})}
    return tomli_w.dumps(known).rstrip()
