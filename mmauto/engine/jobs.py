"""What the coordinator and an executor say to each other: plain, picklable values; no torch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from mmauto.data.columns import DOMAIN
from mmauto.data.dataset import Dataset
from mmauto.data.splits import Splits
from mmauto.space import Params, unscoped
from mmauto.values import TargetSpec, TaskView
from mmauto.views import Costs, Failure, Predictions

if TYPE_CHECKING:
    from mmauto.engine.cache import Shelf

NOTE = "note: "
"""Begins a sentence of a worker that stays, among those on what is going on."""

Report: TypeAlias = Callable[[int, Mapping[int, float]], Mapping[int, bool]]
"""(epoch, job id -> validation metric) -> job id -> whether to go on."""


@dataclass(frozen=True)
class Candidate:
    """One choice of encoders, fusion (or control) and every hyper-parameter.

    Attributes:
        modalities: the column keys that it reads.
        params: flat, e.g. ``image/encoder``, ``image/resnet18/pool``, ``fusion/width``,
            ``train/lr``.
    """

    kind: Literal["fusion", "control"]
    component: str
    modalities: tuple[str, ...]
    params: Params

    def encoder(self, key: str) -> str:
        """The encoder chosen for a modality."""
        return str(self.params[f"{key}/encoder"])

    def encoder_params(self, key: str) -> Params:
        """The chosen encoder's own parameters, without prefix."""
        return unscoped(f"{key}/{self.encoder(key)}", self.params)

    @property
    def own_params(self) -> Params:
        """The fusion's or control's own parameters, without prefix."""
        return unscoped(self.kind, self.params)

    @property
    def regularisers(self) -> tuple[str, ...]:
        """The regularisers that take part; none when the parameter is absent or ``none``."""
        name = str(self.params.get("regulariser", "none"))
        return () if name == "none" else (name,)


@dataclass(frozen=True)
class TrialJob:
    """One candidate to train and evaluate.

    Attributes:
        seed: of initialisation, batches and dropout; never derived from the trial's number.
        epochs: at most so many; ``patience`` epochs without a better value end it earlier.
        score_test: predict the test split too (confirmation only).
        bundle: a folder to save the trained model to.
        measure: time predictions for ``Costs``.
        soup: so many of a run's best checkpoints may be averaged (`mmauto.engine.soup`); 1: none.
        pack: jobs of one generation with the same text (not empty) have the same shapes and may
            train as one stacked model.
        checkpoints: a folder in which long training is kept, so that a search that is killed goes
            on from there; none where it is empty.
    """

    id: int
    candidate: Candidate
    seed: int
    epochs: int
    patience: int
    score_test: bool = False
    bundle: str | None = None
    measure: bool = False
    soup: int = 1
    pack: str = ""
    checkpoints: str = ""


@dataclass(frozen=True)
class ProbeJob:
    """Kept models to ask about changed rows; see `mmauto.engine.probe`.

    Attributes:
        folders: arm -> its bundle.
        rows: ``(M,)`` rows of the data.
        spoilt: so many of them, from the first, are spoilt, too.
    """

    folders: Mapping[str, str]
    rows: np.ndarray
    spoilt: int
    seed: int


@dataclass(frozen=True)
class ExplainJob:
    """A kept model to ask what it looks at in some rows; see `mmauto.engine.explain`.

    Attributes:
        folder: its bundle.
        rows: ``(M,)`` rows of the data.
        outputs: ``(M,)`` the output of the primary target that each row is asked about.
        signs: ``(M,)`` 1, or -1 where the answer is that the output is low.
        seconds: pieces are hidden for so long; without them, rows are shown all the same.
    """

    folder: str
    rows: np.ndarray
    outputs: np.ndarray
    signs: np.ndarray
    seconds: float


@dataclass(frozen=True)
class Outcome:
    """What became of a job; see `mmauto.views.TrialView` for the fields."""

    id: int
    state: Literal["complete", "pruned", "failed"]
    value: float | None = None
    best_epoch: int | None = None
    curve: tuple[float, ...] = ()
    losses: tuple[float, ...] = ()
    seconds: float = 0.0
    valid: Predictions = field(default_factory=dict)
    test: Predictions = field(default_factory=dict)
    costs: Costs = field(default_factory=Costs)
    failure: Failure | None = None


@dataclass(frozen=True)
class Setup:
    """Everything an executor needs once, before any job.

    Attributes:
        specs, targets: as `mmauto.data.targets.encode_targets` gives them, the primary first.
        metric: of the primary target.
        class_weights: weigh classes inversely to their frequency in the train rows.
        device: ``cpu`` or ``cuda[:n]``.
        cache: the folder of cached features.
        threads: torch threads while heads and small encoders train.
        training_threads: torch threads while encoders train that are worth several: as
            `encoding_threads`, but all workers train at once.
        encoding_threads: torch threads while encoding: the cores that a worker has for itself, as
            threads that wait for each other on busy cores are many times slower than one.
        shelf: where an executor finds what others have encoded whose cache it cannot read.
    """

    dataset: Dataset
    splits: Splits
    specs: Mapping[str, TargetSpec]
    targets: Mapping[str, np.ndarray]
    metric: str
    class_weights: bool
    device: str
    cache: str
    threads: int = 1
    encoding_threads: int = 1
    training_threads: int = 1
    shelf: Shelf | None = None

    @property
    def task(self) -> TaskView:
        """What components may know of the data."""
        columns = {k: c.modality for k, c in self.dataset.columns.items() if k != DOMAIN}
        return TaskView(
            self.dataset.name, columns, self.specs, self.primary, self.metric,
            self.dataset.simulated,
        )  # fmt: skip

    @property
    def domains(self) -> tuple[str, ...]:
        """The domains of the train rows, sorted; none where the data has no domain column."""
        column = None if self.dataset is None else self.dataset.columns.get(DOMAIN)
        if column is None:
            return ()
        return tuple(sorted({str(v) for v in column.take(self.splits.train) if v is not None}))

    @property
    def primary(self) -> str:
        """The target that the metric belongs to."""
        return next(iter(self.specs))


class Runner(ABC):
    """The door between search and engine: something that runs packs of jobs."""

    @abstractmethod
    def run_pack(self, jobs: Sequence[TrialJob], report: Report) -> Sequence[Outcome]:
        """Train the jobs side by side, epoch by epoch; never raises for a single job."""

    @abstractmethod
    def close(self) -> None:
        """Give back what is held, for good."""
