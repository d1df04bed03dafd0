"""What the user must know of the arms before they train: what they lack, what is untrained."""

from __future__ import annotations

from collections.abc import Sequence

from mmauto.config import StudyConfig
from mmauto.findings import Finding
from mmauto.registry import Registry
from mmauto.space import Choice
from mmauto.tuning.arms import Arm, lacks


def unfitting(arms: Sequence[Arm], registry: Registry, config: StudyConfig) -> list[Finding]:
    """A sentence for what some arms are searched without: regularisers, GradNorm."""
    found = [_without_fused(arms, registry)]
    for name in [name for name in config.regularisers if name != "none"]:
        needs = registry.regulariser(name)
        able = [arm for arm in arms if arm.view.kind != "control"]
        without = [arm.name for arm in able if lacks(registry.fusion(arm.view.component), needs)]
        if without:
            found.append(
                Finding(
                    "regularisers",
                    f"the regulariser {name!r} needs {', '.join(sorted(needs.needs))} of a fusion, "
                    f"which {', '.join(without)} do not give",
                    "these arms are searched without it",
                    warning=len(without) == len(able),
                )
            )
    return [finding for finding in found if finding is not None]


def _without_fused(arms: Sequence[Arm], registry: Registry) -> Finding | None:
    lacking = []
    for arm in arms:
        weights = arm.space.get("train/target_weights")
        asked = isinstance(weights, Choice) and "gradnorm" in weights.options
        if asked and "fused" not in registry.fusion(arm.view.component).gives:
            lacking.append(arm.name)
    if not lacking:
        return None
    return Finding(
        "target_weights",
        f"GradNorm needs the fused vector of a fusion, which {', '.join(lacking)} do not give",
        "their targets keep equal weights",
    )


def untrained(arms: Sequence[Arm]) -> list[Finding]:
    """A sentence an encoder whose weights are random and frozen, or never saw other data."""
    found: dict[str, list[str]] = {}
    for arm in arms:
        for name, wanted in arm.space.items():
            key, encoder, *rest = [*name.split("/"), ""]
            chosen = arm.space.get(f"{key}/encoder")
            used = isinstance(chosen, Choice) and encoder in chosen.options
            if used and rest and isinstance(wanted, Choice) and "random" in wanted.options:
                found.setdefault(f"{encoder} ({key})", []).append(arm.name)
    return [
        Finding(
            "weights",
            f"the weights of {encoder} in {', '.join(names)} are random: nothing was learned "
            "before this study",
            "kept as named; name pretrained weights to compare with published results",
            warning=True,
        )
        for encoder, names in found.items()
    ]
