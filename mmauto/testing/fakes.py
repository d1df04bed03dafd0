"""Seeded samples, tokens, targets and hosts on which components are checked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from mmauto.contracts import Component, Fusion
from mmauto.data.columns import TabularValues, Texts
from mmauto.data.image_columns import ImageArrays
from mmauto.errors import PluginError
from mmauto.space import Params, defaults
from mmauto.values import (
    Batch,
    Column,
    FeatureSpec,
    FusionResult,
    HeadFactory,
    TargetSpec,
    TaskView,
    Tokens,
)

if TYPE_CHECKING:
    from torch import Tensor, nn

LIMIT = 16
"""Beyond so many corners of a space, each end is tried once with the rest at the defaults."""

FEATURES: Mapping[str, FeatureSpec] = {
    "image": FeatureSpec(5, 24),
    "text": FeatureSpec(3, 16),
    "tabular": FeatureSpec(1, 8),
}
"""Unequal on purpose: nothing promises a fusion equal widths or lengths."""

TARGETS: Mapping[str, TargetSpec] = {
    "class.of": TargetSpec("class.of", "multiclass", ("a", "b", "c")),
    "yes": TargetSpec("yes", "binary", ("no", "yes")),
    "tags": TargetSpec("tags", "multilabel", ("p", "q")),
    "size": TargetSpec("size", "regression"),
}
"""All four kinds. A target's name is a user's column, so it may hold a full stop."""

WORDS = ("no", "acute", "fever", "cough", "opacity", "left", "lung", "heart", "since", "two days")


def expect(holds: bool, seen: str) -> None:
    """Fail the check that asks, with what was seen.

    Raises:
        AssertionError: it does not hold.
    """
    if not holds:
        raise AssertionError(seen)


def task_view() -> TaskView:
    """A task with three modalities and a target of each kind."""
    modalities = {key: key for key in FEATURES}
    return TaskView("fake", modalities, TARGETS, next(iter(TARGETS)), "balanced_accuracy")


def default_params(component: Component) -> Params:
    """The component's defaults on `task_view`."""
    return defaults(component.space(task_view()))


def column(component: Component, modality: str, rows: int = 12, seed: int = 0) -> Column:
    """Raw samples of a modality; every fourth is missing, the first never.

    Another seed brings words, categories and ranges of numbers that seed 0 does not have.

    For modalities that the kit does not know, the encoder brings its own samples in a method
    ``fake_column(rows, seed) -> Column``.

    Raises:
        PluginError: the modality is unknown and the encoder has no such method.
    """
    own = getattr(component, "fake_column", None)
    if own is not None:
        return own(rows, seed)  # type: ignore[no-any-return]
    makers = {"image": _images, "text": _texts, "tabular": _tabular}
    if modality not in makers:
        raise PluginError(
            f"the kit makes samples of {', '.join(makers)}, {component.name!r} reads {modality!r}; "
            "give it a method fake_column(rows, seed) -> Column"
        )
    rng = np.random.default_rng(seed)
    return makers[modality](rng, rows, np.arange(rows) % 4 != 3, seed)


def _images(rng: np.random.Generator, rows: int, present: np.ndarray, seed: int) -> Column:
    values = rng.integers(0, 256 - 10 * seed, (rows, 40, 32, 3), dtype=np.uint8)
    return ImageArrays(values, present)


def _texts(rng: np.random.Generator, rows: int, present: np.ndarray, seed: int) -> Column:
    lengths = rng.integers(1 + 10 * seed, 30 + 10 * seed, rows)
    words = [*WORDS, f"term{seed}"] if seed else WORDS
    texts = [" ".join(rng.choice(words, length)) for length in lengths]
    texts[1] = ""  # an empty note is there, but has no words
    return Texts([text if here else None for text, here in zip(texts, present, strict=True)])


def _tabular(rng: np.random.Generator, rows: int, present: np.ndarray, seed: int) -> Column:
    age = np.where(present, rng.normal(60 + 10 * seed, 15, rows), np.nan)
    pulse = np.where(present & (rng.random(rows) < 0.7), rng.normal(80, 10, rows), np.nan)
    sex = rng.choice(["f", "m", "x"][: 2 + min(seed, 1)], rows).astype(object)
    sex[~present] = None
    fields = {"age": "numeric", "pulse": "numeric", "sex": "categorical"}
    return TabularValues({"age": age, "pulse": pulse, "sex": sex}, fields)


def target_arrays(
    specs: Mapping[str, TargetSpec], rows: int, seed: int = 0
) -> dict[str, np.ndarray]:
    """Labels as in ``Batch.targets``; every fifth is unobserved (-1 or NaN), the first never."""
    rng = np.random.default_rng(seed)
    found: dict[str, np.ndarray] = {}
    for name, spec in specs.items():
        if spec.kind == "multiclass":
            values = np.arange(rows) % spec.width
        elif spec.kind == "multilabel":
            values = rng.integers(0, 2, (rows, spec.width)).astype(np.float32)
        elif spec.kind == "binary":
            values = (np.arange(rows) % 2).astype(np.float32)
        else:
            values = rng.normal(5, 2, rows).astype(np.float32)
        values[4::5] = -1 if spec.kind == "multiclass" else np.nan
        found[name] = values
    return found


def tokens(
    features: Mapping[str, FeatureSpec], rows: int, seed: int = 0
) -> tuple[dict[str, Tokens], dict[str, Tensor]]:
    """Raw tokens ``(B, T, D)`` with padding, and presence: absent rows, one with nothing at all."""
    import torch

    draw = torch.Generator().manual_seed(seed)
    found, present = {}, {}
    for place, (key, spec) in enumerate(features.items()):
        values = torch.randn(rows, spec.tokens, spec.dim, generator=draw)
        length = torch.randint(1, spec.tokens + 1, (rows, 1), generator=draw)
        found[key] = Tokens(values, torch.arange(spec.tokens) < length)
        number = torch.arange(rows)
        present[key] = (number % 3 != place) & (number != 4) if rows > 1 else number >= 0
    return found, present


def batch(present: Mapping[str, Tensor], specs: Mapping[str, TargetSpec], seed: int = 0) -> Batch:
    """A training batch with unobserved labels set to 0, as the host does it."""
    import torch

    rows = len(next(iter(present.values())))
    targets, observed = {}, {}
    for name, raw in target_arrays(specs, rows, seed).items():
        values = torch.from_numpy(raw)
        known = values >= 0 if specs[name].kind == "multiclass" else ~values.isnan()
        targets[name] = torch.where(known, values, torch.zeros_like(values))
        observed[name] = known if known.ndim == 1 else known.all(1)
    return Batch(dict(present), targets, observed, torch.arange(rows), progress=0.5)


def adapted(features: Mapping[str, FeatureSpec], width: int) -> tuple[nn.Module, Any]:
    """The host's adapters as a module ``tokens, present -> tokens``, and the specs behind them."""
    from torch import nn

    from mmauto.engine.adapters import adapt

    adapters, after = adapt(features, width)

    class Front(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.adapters = adapters

        def forward(
            self, raw: Mapping[str, Tokens], present: Mapping[str, Tensor]
        ) -> dict[str, Tokens]:
            pairs = zip(features, self.adapters, strict=True)
            return {key: adapter(raw[key], present[key]) for key, adapter in pairs}

    return Front(), after


class PlainFusion(Fusion):
    """The plainest fusion that fills every field; it wants one width for all modalities."""

    name, stage = "plain", "early"
    summary, reference = "the mean of all modalities", "the kit's own"

    def build(
        self, features: Mapping[str, FeatureSpec], heads: HeadFactory, params: Params
    ) -> nn.Module:
        """See `Fusion.build`."""
        import torch
        from torch import nn

        width = next(iter(features.values())).dim

        class Plain(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.heads = heads(width)

            def forward(
                self, tokens: Mapping[str, Tokens], present: Mapping[str, Tensor]
            ) -> FusionResult:
                pooled = {key: part.mean() for key, part in tokens.items()}
                fused = torch.stack(list(pooled.values())).mean(0)
                return FusionResult(
                    self.heads(fused),
                    fused=fused,
                    per_modality={key: self.heads(part) for key, part in pooled.items()},
                    weights={k: torch.full_like(fused[:, 0], 1 / len(pooled)) for k in pooled},
                    attention={k: p.mask / p.mask.sum(1, keepdim=True) for k, p in tokens.items()},
                )

        return Plain()
