"""A made-up study with everything in it that a report or a comparison may meet.

Three fusions, three single modalities, boosting and the majority class; trials that finished, were
pruned and failed; five confirmation seeds an arm with predictions whose quality follows the arm's
skill, for a three-class, a binary and a regression target, in groups, under a known ceiling.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from mmauto.findings import Finding, RoleGuess
from mmauto.values import TargetSpec, TaskView
from mmauto.views import (
    ArmKind,
    ArmView,
    Comparison,
    ConfirmationView,
    Costs,
    Failure,
    Interval,
    Predictions,
    Standing,
    StudyView,
    TrialState,
    TrialView,
)

ARMS: Sequence[tuple[str, ArmKind, str, str, float]] = (
    # name, kind, component, stage, skill: how far the right class stands out of the noise
    ("concat_mlp", "fusion", "concat_mlp", "early", 2.4),
    ("cross_attention", "fusion", "cross_attention", "attention", 2.6),
    ("logit_mean", "fusion", "logit_mean", "late", 2.0),
    ("image alone", "single", "concat_mlp", "single modality", 1.4),
    ("text alone", "single", "concat_mlp", "single modality", 1.6),
    ("tabular alone", "single", "concat_mlp", "single modality", 0.9),
    ("boosting", "control", "boosting", "control", 1.8),
    ("majority", "control", "majority", "control", 0.0),
)
TARGETS: Mapping[str, TargetSpec] = {
    "diagnosis": TargetSpec("diagnosis", "multiclass", ("normal", "nodule", "pneumonia")),
    "urgent": TargetSpec("urgent", "binary", ("no", "yes")),
    "stay_days": TargetSpec("stay_days", "regression"),
}
ROWS = {"train": 240, "valid": 80, "test": 120}
SEEDS = (0, 1, 2, 3, 4)
TRIALS = 8


def fake_study(seed: int = 0, **changes: Any) -> StudyView:
    """A complete, internally consistent study.

    Args:
        seed: of everything random in it.
        changes: fields of `StudyView` to replace, e.g. ``trials=()``.
    """
    rng = np.random.default_rng(seed)
    arms = tuple(_arm(*row[:4]) for row in ARMS)
    skills = {row[0]: row[4] for row in ARMS}
    truth = {split: _truth(rng, ROWS[split]) for split in ("valid", "test")}
    trials = [trial for arm in arms for trial in _trials(rng, arm, skills[arm.name])]
    trials = [replace(trial, id=index) for index, trial in enumerate(trials)]
    confirmations = tuple(
        view for arm in arms for view in _confirmations(rng, arm, skills[arm.name], trials, truth)
    )
    study = StudyView(
        name="fake",
        task=TaskView(
            name="fake",
            modalities={"image": "image", "text": "text", "tabular": "tabular"},
            targets=TARGETS,
            primary="diagnosis",
            metric="balanced_accuracy",
            simulated=True,
        ),
        config={"task": "fake", "trials": TRIALS, "seed": seed, "train": {"optimiser": "adamw"}},
        command=f"mmauto search --task fake --trials {TRIALS} --seed {seed}",
        environment={"python": "3.11", "torch": "2.13", "device": "cpu", "seconds": 210.0},
        arms=arms,
        trials=tuple(trials),
        confirmations=confirmations,
        truth=truth,
        groups={split: _groups(ROWS[split]) for split in ("valid", "test")},
        ids={
            split: np.array([f"{split}-{row:03d}" for row in range(ROWS[split])])
            for split in ("valid", "test")
        },
        rows=ROWS,
        ceiling={"image": 0.66, "text": 0.7, "tabular": 0.55, "all": 0.95},
        findings=(
            Finding("leak", "column 'x' alone predicts 'y'", "left out", warning=True),
            Finding("reading", "3 <b>odd</b> rows were left out."),
        ),
        roles=(RoleGuess("photo", "image", "paths of pictures"), RoleGuess("y", "target", "named")),
        comparison=fake_comparison(arms, trials, confirmations, truth["test"]),
    )
    return replace(study, **changes)


def fake_comparison(
    arms: Sequence[ArmView],
    trials: Sequence[TrialView],
    confirmations: Sequence[ConfirmationView],
    truth: Predictions,
) -> Comparison:
    """The comparison that belongs to these runs, with intervals of a made-up width."""
    runs = {arm.name: [view for view in confirmations if view.arm == arm.name] for arm in arms}
    done = [arm for arm in arms if runs[arm.name]]
    valid = {a.name: float(np.mean([v.value for v in runs[a.name] if v.value])) for a in done}
    test = {
        arm.name: float(np.mean([_balanced(truth, view.test) for view in runs[arm.name]]))
        for arm in done
    }
    best = sorted(done, key=lambda arm: -valid[arm.name])
    reference = next((arm.name for arm in best if arm.kind == "single"), None)

    def standing(rank: int, arm: ArmView) -> Standing:
        value, own = test[arm.name], [trial for trial in trials if trial.arm == arm.name]
        gap = value - test[reference] if reference and arm.name != reference else None
        return Standing(
            arm=arm,
            rank=rank,
            validation=valid[arm.name],
            test=Interval(value, max(0.0, value - 0.06), min(1.0, value + 0.06)),
            difference=None if gap is None else Interval(gap, gap - 0.05, gap + 0.05),
            metrics={"diagnosis": {"balanced_accuracy": value, "accuracy": min(1.0, value + 0.02)}},
            costs=runs[arm.name][0].costs,
            seeds=len(runs[arm.name]),
            trials=len(own),
            failed=sum(trial.state == "failed" for trial in own),
        )

    winner = best[0].name if best else None
    verdict = (
        (f"{winner} is best on validation.", "The data is simulated.")
        if winner
        else ("No arm was confirmed, so nothing can be said yet.",)
    )
    return Comparison(
        metric="balanced_accuracy",
        target="diagnosis",
        maximise=True,
        standings=tuple(standing(rank, arm) for rank, arm in enumerate(best, start=1)),
        winner=winner,
        reference=reference,
        verdict=verdict,
    )


def empty_study(seed: int = 0) -> StudyView:
    """A study that was stopped before anything finished: arms, but no trial and no confirmation."""
    study = fake_study(seed)
    nothing = fake_comparison(study.arms, (), (), study.truth["test"])
    return replace(study, trials=(), confirmations=(), ceiling={}, findings=(), comparison=nothing)


def _arm(name: str, kind: ArmKind, component: str, stage: str) -> ArmView:
    importances = {"train/lr": 0.6, "fusion/width": 0.3} if kind != "control" else {}
    return ArmView(name, kind, component, stage, f"made-up arm {name}", importances)


def _truth(rng: np.random.Generator, rows: int) -> dict[str, np.ndarray]:
    diagnosis = rng.choice(3, rows, p=(0.5, 0.2, 0.3))
    urgent = (rng.random(rows) < 0.15 + 0.3 * diagnosis).astype(float)
    stay = 2.0 + 1.5 * diagnosis + urgent + rng.gamma(2.0, 0.5, rows)
    urgent[:2], stay[2:4] = np.nan, np.nan  # labels that nobody wrote down
    return {"diagnosis": diagnosis, "urgent": urgent, "stay_days": stay}


def _groups(rows: int) -> np.ndarray:
    return np.array([f"patient-{row // 2:03d}" for row in range(rows)])


def _trials(rng: np.random.Generator, arm: ArmView, skill: float) -> list[TrialView]:
    count = 1 if arm.component == "majority" else TRIALS
    return [_trial(rng, arm, skill, index) for index in range(count)]


def _trial(rng: np.random.Generator, arm: ArmView, skill: float, index: int) -> TrialView:
    states: dict[int, TrialState] = {3: "pruned", 6: "failed"}
    state: TrialState = states.get(index, "complete")
    epochs = {"complete": 8, "pruned": 3, "failed": 0}[state] if arm.kind != "control" else 1
    top = 0.33 + 0.22 * skill + rng.normal(0, 0.02)
    shape = (1 - np.exp(-np.arange(1, epochs + 1) / 2)) / (1 - np.exp(-4))
    curve = np.clip(0.33 + (top - 0.33) * shape, 0, 1) if epochs > 1 else np.full(epochs, top)
    failed = state == "failed"
    return TrialView(
        id=0,
        arm=arm.name,
        generation=index // 4,
        index=index,
        state=state,
        params={"train/lr": float(10 ** rng.uniform(-4, -2)), "fusion/width": 128},
        value=None if failed else float(curve.max()),
        best_epoch=None if failed else int(curve.argmax()),
        curve=tuple(curve.tolist()) if not failed else (),
        losses=tuple((1.1 - 0.08 * np.arange(epochs)).tolist()) if not failed else (),
        seconds=float(rng.uniform(1, 4)),
        started=1_700_000_000.0 + 5 * index,
        failure=Failure("nan", "the training loss of epoch 1 is not <finite>") if failed else None,
    )


def _confirmations(
    rng: np.random.Generator,
    arm: ArmView,
    skill: float,
    trials: Sequence[TrialView],
    truth: Mapping[str, Predictions],
) -> list[ConfirmationView]:
    own = [trial for trial in trials if trial.arm == arm.name and trial.value is not None]
    best = max(own, key=lambda trial: trial.value or 0.0)
    views = []
    for seed in SEEDS[:1] if arm.component == "majority" else SEEDS:
        valid = _predictions(rng, truth["valid"], skill)
        views.append(
            ConfirmationView(
                arm=arm.name,
                seed=seed,
                trial=best.id,
                params=best.params,
                value=_balanced(truth["valid"], valid),
                curve=best.curve,
                valid=valid,
                test=_predictions(rng, truth["test"], skill),
                costs=Costs(2.0 + skill, int(50_000 * skill), 1000, 300 << 20, 0.8, 6.0),
            )
        )
    return views


def _predictions(rng: np.random.Generator, truth: Predictions, skill: float) -> Predictions:
    rows = len(truth["diagnosis"])
    noise = rng.normal(size=(rows, 3)) if skill else np.zeros((rows, 3))
    scores = np.exp(skill * np.eye(3)[truth["diagnosis"]] + noise + np.array([0.2, 0.0, 0.1]))
    urgent = 1 / (1 + np.exp(-skill * (np.nan_to_num(truth["urgent"]) * 2 - 1 + noise[:, 0])))
    mean = float(np.nanmean(truth["stay_days"]))
    share = skill / (1 + skill)
    stay = mean + share * (np.nan_to_num(truth["stay_days"], nan=mean) - mean) + 0.3 * noise[:, 1]
    return {
        "diagnosis": scores / scores.sum(1, keepdims=True),
        "urgent": urgent[:, None],
        "stay_days": stay[:, None],
    }


def _balanced(truth: Predictions, predicted: Predictions) -> float:
    right = predicted["diagnosis"].argmax(1) == truth["diagnosis"]
    return float(np.mean([right[truth["diagnosis"] == label].mean() for label in range(3)]))
