"""The contracts between the host and its plugins, in one file.

Shapes: ``N`` samples, ``B`` batch, ``T`` tokens, ``D`` features. Modalities are dict keys, never
positions. Nothing here imports torch, so a plugin's module stays cheap to import: it imports torch
inside ``build``. Concrete plugin classes are final: compose, don't override.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, TypeAlias

from mmauto.space import Params, Space

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor, nn

    from mmauto.data.dataset import Dataset
    from mmauto.views import Block, StudyView

API_VERSION = 1
"""Raised when a contract changes in a way that plugins notice; checked when a plugin loads."""

Kind: TypeAlias = Literal["binary", "multiclass", "multilabel", "regression"]
Stage: TypeAlias = Literal[
    "early",
    "late",
    "attention",
    "gated",
    "conditioning",
    "bilinear",
    "multitask",
    "routed",
    "generative",
    "hypernetwork",
    "reinforcement",
]
State: TypeAlias = Mapping[str, Any]
"""What ``fit`` learned: JSON values and tensors by name, so that it is stored without pickle."""


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
    """

    present: Mapping[str, Tensor]
    targets: Mapping[str, Tensor]
    observed: Mapping[str, Tensor]
    index: Tensor
    progress: float = 0.0


class HeadFactory(Protocol):
    """Makes output heads: ``heads(dim)`` is a module ``(B, dim) -> {target: (B, width)}``."""

    targets: Mapping[str, TargetSpec]

    def __call__(self, dim: int) -> nn.Module:
        """One module for all targets."""


# ------------------------------------------------------------------------------------- components


class Component(ABC):
    """What every plugin class shares.

    Attributes:
        name: ``^[a-z][a-z0-9_]*$``, unique in its kind.
        summary: one line, shown by ``mmauto plugins``.
        reference: the paper or library that defines it.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    reference: ClassVar[str]

    def space(self, task: TaskView) -> Space:
        """The hyper-parameters to search, each with a default; none unless overridden."""
        return {}

    def missing(self) -> str | None:
        """A sentence saying what must be installed or downloaded before it can run; else None."""
        return None


class Encoder(Component):
    """One modality in, tokens ``(B, T, D)`` out.

    Attributes:
        modality: the modality that it reads.
        default: joins a search without being named. Encoders that are costly, or useless without
            weights of the user's own, say False.
    """

    modality: ClassVar[str]
    default: ClassVar[bool] = True

    def frozen(self, params: Params) -> bool:
        """True: tokens depend on the sample alone, so the host computes them once and caches."""
        return False

    @abstractmethod
    def fit(self, train: Column, params: Params) -> State:
        """Vocabulary, statistics ...: learned from TRAIN rows only."""

    @abstractmethod
    def prepare(self, column: Column, state: State, params: Params) -> Mapping[str, Tensor]:
        """Raw samples -> arrays ``(N, ...)`` by name; missing samples become zeros."""

    @abstractmethod
    def features(self, state: State, params: Params) -> FeatureSpec:
        """The shape of the tokens, without torch: impossible pairs are refused before a build."""

    @abstractmethod
    def build(self, state: State, params: Params) -> nn.Module:
        """A module with ``forward(**arrays) -> Tokens``; optional ``augment(arrays, generator)``
        returns changed arrays and is called on training batches only (not for frozen encoders)."""


class Fusion(Component):
    """Everything between tokens and outputs.

    The host's adapter stands before it: absent rows already hold a learned absent token (with the
    mask True at the first position only), so a fusion needs no case for an empty modality; late
    fusions use ``present`` to leave an absent modality's vote out.
    """

    stage: ClassVar[Stage]

    def refuses(
        self, features: Mapping[str, FeatureSpec], targets: Mapping[str, TargetSpec]
    ) -> str | None:
        """A sentence saying why it cannot join these, or None when it fits."""
        return None

    @abstractmethod
    def build(
        self, features: Mapping[str, FeatureSpec], heads: HeadFactory, params: Params
    ) -> nn.Module:
        """A module with ``forward(tokens: dict[str, Tokens], present: dict[str, Bool (B,)])
        -> FusionResult``."""


class Regulariser(Component):
    """Anything added to training beyond the task's loss, on the adapters' output.

    ``build`` returns a module with any of ``before(tokens, batch) -> (tokens, batch)``,
    ``loss(result, batch, tokens) -> scalar`` and ``after_backward(result, batch, groups)``, where
    ``groups`` are the parameters by modality.

    Attributes:
        needs: fields of ``FusionResult`` that the fusion must fill, e.g. ``{"per_modality"}``.
    """

    needs: ClassVar[frozenset[str]] = frozenset()

    @abstractmethod
    def build(
        self,
        features: Mapping[str, FeatureSpec],
        targets: Mapping[str, TargetSpec],
        params: Params,
    ) -> nn.Module:
        """The module; see the class for the methods that the host calls."""


class Control(Component):
    """A contender that fusion must beat, in numpy: no torch, no gradient.

    Attributes:
        once: one trial is enough, nothing to tune (the majority class).
    """

    once: ClassVar[bool] = False

    @abstractmethod
    def fit(
        self,
        features: Mapping[str, np.ndarray],
        targets: Mapping[str, np.ndarray],
        specs: Mapping[str, TargetSpec],
        params: Params,
        seed: int,
    ) -> State:
        """Learn from train rows.

        Args:
            features: modality -> ``(N, D)`` floats, NaN where a value or a sample is missing.
            targets: as in ``Batch.targets``, NaN (or -1 for class indices) where unobserved.

        Returns:
            JSON values, arrays and scikit-learn estimators by name.
        """

    @abstractmethod
    def predict(
        self, features: Mapping[str, np.ndarray], state: State, specs: Mapping[str, TargetSpec]
    ) -> Mapping[str, np.ndarray]:
        """target -> ``(N, width)``: probabilities, or numbers in the target's own unit."""


class Task(Component):
    """Named data with its targets; ``load`` reads the user's folder, or makes the data."""

    @abstractmethod
    def load(self, source: str | None, options: Mapping[str, Any]) -> Dataset:
        """The data.

        Args:
            source: ``--data``, or None where the task brings its own data.
            options: columns named by the user: ``text``, ``image``, ``tabular``, ``target``,
                ``group``, ``split`` (absent keys were not given), and ``seed``.

        Raises:
            DataError: the source is missing or does not fit the task.
        """


class Section(Component):
    """One part of the report: a pure function of what is stored.

    Attributes:
        title: the heading.
        order: sections are sorted by it, then by name.
    """

    title: ClassVar[str]
    order: ClassVar[int] = 500

    @abstractmethod
    def render(self, study: StudyView) -> Sequence[Block]:
        """Texts, tables and figures; an empty sequence leaves the section out."""
