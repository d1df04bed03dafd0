"""What was stored of a study, as plain values: the one input of comparison, report and API."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from mmauto.answered import Examples, Probes
from mmauto.findings import Finding, RoleGuess
from mmauto.space import Params
from mmauto.values import TaskView

if TYPE_CHECKING:
    import numpy as np

Predictions: TypeAlias = Mapping[str, "np.ndarray"]
"""target -> ``(N, width)``: probabilities, or numbers in the target's own unit (regression)."""

FailureKind: TypeAlias = Literal["oom", "nan", "data", "plugin", "timeout", "killed", "disk"]
TrialState: TypeAlias = Literal["running", "complete", "pruned", "failed"]
ArmKind: TypeAlias = Literal["fusion", "single", "control", "ensemble"]


@dataclass(frozen=True)
class Failure:
    """Why a trial ended without a result; ``traceback`` is its tail."""

    kind: FailureKind
    message: str
    traceback: str = ""


@dataclass(frozen=True)
class Costs:
    """What a confirmed model costs; 0 where a figure does not apply.

    Attributes:
        train_seconds: one training run, encoding left out.
        parameters: trained ones.
        frozen_parameters: those of frozen encoders, which prediction needs too.
        peak_memory: bytes, of the executor while it trained.
        latency_1, latency_64: milliseconds for a batch of 1 and 64 from prepared arrays, encoders
            included, median of several.
        evaluation_seconds: the part of training that was validation.
        encoding_seconds: before training, until features were there; near 0 for all but those that
            had them made.
    """

    train_seconds: float = 0.0
    parameters: int = 0
    frozen_parameters: int = 0
    peak_memory: int = 0
    latency_1: float = 0.0
    latency_64: float = 0.0
    evaluation_seconds: float = 0.0
    encoding_seconds: float = 0.0


@dataclass(frozen=True)
class ArmView:
    """One arm: a fusion, one modality alone, or another control.

    Attributes:
        component: the fusion or control that it runs.
        stage: the fusion's stage; ``"single modality"`` or ``"control"`` otherwise.
        importances: parameter -> share of the validation metric's variance, where computed.
        parked: too many failures in a row; no further trials were given to it.
    """

    name: str
    kind: ArmKind
    component: str
    stage: str
    summary: str
    importances: Mapping[str, float] = field(default_factory=dict)
    parked: bool = False


@dataclass(frozen=True)
class TrialView:
    """One trial of the search; ``value`` is the best epoch's validation metric.

    Attributes:
        index: the trial's number within its arm, from 0.
        curve: validation metric of each epoch.
        losses: mean training loss of each epoch.
        started: Unix seconds.
        costs: what training it took; the memory of failed ones, too.
    """

    id: int
    arm: str
    generation: int
    index: int
    state: TrialState
    params: Params
    value: float | None = None
    best_epoch: int | None = None
    curve: tuple[float, ...] = ()
    losses: tuple[float, ...] = ()
    seconds: float = 0.0
    started: float = 0.0
    failure: Failure | None = None
    costs: Costs = field(default_factory=Costs)


@dataclass(frozen=True)
class ConfirmationView:
    """The best candidate of an arm, retrained with one seed and scored on the test split.

    Attributes:
        trial: the id of the search trial whose candidate this is.
        value: its validation metric.
        valid, test: predictions, empty where the run failed.
        thresholds: target -> ``(width,)`` where a probability becomes a decision, chosen on
            validation (binary and multilabel).
    """

    arm: str
    seed: int
    trial: int
    params: Params
    value: float | None = None
    curve: tuple[float, ...] = ()
    valid: Predictions = field(default_factory=dict)
    test: Predictions = field(default_factory=dict)
    costs: Costs = field(default_factory=Costs)
    failure: Failure | None = None
    thresholds: Predictions = field(default_factory=dict)


@dataclass(frozen=True)
class Interval:
    """A number with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Optimism:
    """The best trial's validation metric, and what it is worth without the luck of the choice.

    Attributes:
        chosen_from: trials.
        best: validation metric of the best of them.
        corrected: the mean of the chosen trial on rows that took no part in choosing.
    """

    chosen_from: int
    best: float
    corrected: float


@dataclass(frozen=True)
class Standing:
    """One arm's line in the leaderboard.

    Attributes:
        rank: by validation, 1 is best.
        validation: mean of the primary metric over confirmation seeds (chosen on this).
        test: the primary metric on the test split, with its interval (estimated by this).
        difference: test metric minus that of the reference (the best single modality, chosen on
            validation), paired, signed so that positive is better; None for the reference itself.
        metrics: target -> metric -> mean over seeds, on the test split.
        p: of the difference, by swapping the predictions of both arms row by row; NaN where there
            is no difference to test.
        p_holm: the same, allowing for the number of fusions that are tested; NaN for other arms.
    """

    arm: ArmView
    rank: int
    validation: float
    test: Interval
    difference: Interval | None
    metrics: Mapping[str, Mapping[str, float]]
    costs: Costs
    seeds: int
    trials: int
    failed: int
    p: float = math.nan
    p_holm: float = math.nan


@dataclass(frozen=True)
class Averaged:
    """The weighted mean of several arms' predictions, as a contender beside them.

    Attributes:
        weights: arm -> weight, summing to 1, selected on validation.
        standing: its line; ``validation`` is cross-fitted: weights from one half of the rows,
            scored on the other. It is ranked 0: it needs several models, so it never wins.
        over_winner: its paired gain over the winner on the test split.
    """

    weights: Mapping[str, float]
    standing: Standing
    over_winner: Interval


@dataclass(frozen=True)
class Comparison:
    """Everything that the terminal table, the report, the files and the Python API show.

    Attributes:
        standings: best validation first.
        winner: the arm that is best on validation, or None where nothing was confirmed.
        reference: the single modality that is best on validation, or None where there is none.
        verdict: sentences: what wins, by how much, how sure, and what cannot be decided.
        ensemble: the confirmed arms averaged; None where there are fewer than two.
    """

    metric: str
    target: str
    maximise: bool
    standings: tuple[Standing, ...]
    winner: str | None
    reference: str | None
    verdict: tuple[str, ...]
    ensemble: Averaged | None = None

    @property
    def lines(self) -> tuple[Standing, ...]:
        """The standings, and the ensemble below them where there is one."""
        return (*self.standings, *([self.ensemble.standing] if self.ensemble else []))


@dataclass(frozen=True)
class StudyView:
    """All that was stored of one study.

    Attributes:
        config: the resolved configuration, as in ``study.toml``.
        command: the shell command that reproduces the study.
        environment: versions, device, processor, seconds spent.
        truth: split -> target -> ``(N,)`` (or ``(N, width)`` for multilabel): class indices, 0/1,
            or numbers; NaN (or -1) where unobserved. Splits are ``valid`` and ``test``.
        groups: split -> ``(N,)`` group labels, or None where rows are independent.
        ids: split -> ``(N,)`` row ids.
        rows: split -> number of rows, with ``train``.
        ceiling: observer -> primary metric of the ideal observer on the test rows (simulated
            data only), e.g. ``{"image": 0.6, "all": 0.9}``.
        findings: about the data, warnings first.
        roles: of the columns of the user's own table.
        licence: of the data, where known.
        optimism: by arm, and under the empty name for a choice among all trials.
        probes: what the kept models rely on; None where they were not asked.
        subgroups: column -> ``(N,)`` subgroup labels of the test rows.
        examples: test rows to look at; None where none were chosen.
        learned: target -> train rows of each class, where it has classes and they were counted.
        predicted: the confirmation runs as they were predicted, where ``confirmations`` hold ranks
            (pooled folds whose metric is a ranking one).
    """

    name: str
    task: TaskView
    config: Mapping[str, Any]
    command: str
    environment: Mapping[str, Any]
    arms: Sequence[ArmView]
    trials: Sequence[TrialView]
    confirmations: Sequence[ConfirmationView]
    truth: Mapping[str, Predictions]
    groups: Mapping[str, np.ndarray | None]
    ids: Mapping[str, np.ndarray]
    rows: Mapping[str, int]
    ceiling: Mapping[str, float]
    findings: Sequence[Finding]
    comparison: Comparison
    roles: Sequence[RoleGuess] = ()
    licence: str = ""
    optimism: Mapping[str, Optimism] = field(default_factory=dict)
    probes: Probes | None = None
    subgroups: Mapping[str, np.ndarray] = field(default_factory=dict)
    examples: Examples | None = None
    learned: Mapping[str, Sequence[int]] = field(default_factory=dict)
    predicted: Sequence[ConfirmationView] = ()

    @property
    def decisions(self) -> Sequence[ConfirmationView]:
        """The confirmation runs whose predictions may be cut at their thresholds."""
        return self.predicted or self.confirmations
