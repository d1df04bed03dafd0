"""The contracts between the host and its plugins, in one file.

Shapes: ``N`` samples, ``B`` batch, ``T`` tokens, ``D`` features. Modalities are dict keys, never
positions. Nothing here imports torch, so a plugin's module stays cheap to import: it imports torch
inside ``build``. Concrete plugin classes are final: compose, don't override.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias

from mmauto.space import Params, Space
from mmauto.values import Column, FeatureSpec, HeadFactory, TargetSpec, TaskView

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor, nn

    from mmauto.blocks import Block
    from mmauto.data.dataset import Dataset
    from mmauto.views import StudyView

API_VERSION = 1
"""Raised when a contract changes in a way that plugins notice; checked when a plugin loads.

Version 1 is that of the first release: until then it may change under its number.
"""

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


class Component(ABC):
    """What every plugin class shares.

    Attributes:
        name: ``^[a-z][a-z0-9_]*$``, unique in its kind.
        summary: one line, shown by ``mmauto plugins``.
        reference: the paper or library that defines it.
        licence: of pretrained weights that it brings, for the model card; empty where it has none.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    reference: ClassVar[str]
    licence: ClassVar[str] = ""

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
        remembered: what ``fit`` gives follows from the train rows and the parameters alone - from
            no file, no variable and no random draw - so the host may keep it for the next search.
    """

    modality: ClassVar[str]
    default: ClassVar[bool] = True
    remembered: ClassVar[bool] = False

    def frozen(self, params: Params) -> bool:
        """True: tokens depend on the sample alone, so the host computes them once and caches."""
        return False

    def tunable(self, params: Params) -> bool:
        """True: frozen tokens come from a network whose weights may be trained further.

        The best candidates are fine-tuned with it: the module of ``build`` then reads prepared
        arrays in training, its norms over batches in evaluation mode.
        """
        return False

    @abstractmethod
    def fit(self, train: Column, params: Params) -> State:
        """Vocabulary, statistics ...: learned from TRAIN rows only.

        ``notes``, a list of sentences in it, are told to the user and stand in the model card.
        """

    @abstractmethod
    def prepare(self, column: Column, state: State, params: Params) -> Mapping[str, Tensor]:
        """Raw samples -> arrays ``(N, ...)`` by name; missing samples become zeros.

        A sample's arrays depend on the sample alone: the host prepares a column in parts.
        An array called ``mask`` ``(N, T)`` says which positions are real; the host then encodes
        rows of like length together.
        """

    @abstractmethod
    def features(self, state: State, params: Params) -> FeatureSpec:
        """The shape of the tokens, without torch: impossible pairs are refused before a build."""

    def stem(self, state: State, params: Params) -> nn.Module | None:
        """A frozen first part, run once a sample and cached by the host; none unless overridden.

        Its ``forward(**arrays)`` gives arrays ``(B, ...)`` by name, which the module of ``build``
        then reads instead of the prepared ones (fine-tuning of the last layers only). An encoder
        that is ``frozen`` as a whole has none.
        """
        return None

    @abstractmethod
    def build(self, state: State, params: Params) -> nn.Module:
        """A module with ``forward(**arrays) -> Tokens``; optional ``augment(arrays, generator)``
        returns changed arrays and is called on training batches only (not for frozen encoders)."""


class Fusion(Component):
    """Everything between tokens and outputs.

    The host's adapter stands before it: absent rows already hold a learned absent token (with the
    mask True at the first position only), so a fusion needs no case for an empty modality; late
    fusions use ``present`` to leave an absent modality's vote out.

    Attributes:
        default: gets an arm without being named.
        gives: fields of ``FusionResult`` that it always fills beside ``outputs``.
    """

    stage: ClassVar[Stage]
    default: ClassVar[bool] = True
    gives: ClassVar[frozenset[str]] = frozenset()

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
        -> FusionResult``.

        It may have ``objective(result, batch, task_loss) -> scalar``, which replaces the task's
        mean loss (``task_loss`` maps outputs to ``(B,)``), and ``groups()``, the parameters that
        serve one modality alone, by modality.
        """


class Regulariser(Component):
    """Anything added to training beyond the task's loss, on the adapters' output.

    ``build`` returns a module with any of

    * ``before(tokens, batch) -> (tokens, batch)``: changes what the fusion reads;
    * ``loss(result, batch, tokens, forward) -> scalar``: a term; ``forward`` (see `Forward`) runs
      the fusion again and gives the task's loss of any outputs;
    * ``after_backward(result, batch, groups)``: changes gradients; ``groups`` are the parameters
      of encoders, adapters and of the fusion that serve one modality alone;
    * ``epoch(train, held)``: after each epoch, the mean task loss of ``"joint"`` and of each
      modality's own outputs, on rows trained on and on rows held out: with it the host holds out a
      tenth of the train rows.

    Attributes:
        needs: fields of ``FusionResult`` that the fusion must give, e.g. ``{"per_modality"}``;
            fusions that do not are searched without it.
        relates: compares or drops modalities: arms of a single one are searched without it.
        unlabelled: learns from rows without a label; a search over it keeps them, in train.
    """

    needs: ClassVar[frozenset[str]] = frozenset()
    unlabelled: ClassVar[bool] = False
    relates: ClassVar[bool] = False

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
