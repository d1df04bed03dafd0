"""`mmauto search` as a command in a process of its own, and what its database says of the time."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmauto.bench.measure import Ran, run
from mmauto.store.seconds import ASKING, SPENT, STORE
from mmauto.store.study import StudyStore
from mmauto.toml import write_toml

CONTROLS = ("majority", "logistic", "boosting")
SINGLES = ("image_only", "text_only")


@dataclass(frozen=True)
class Found:
    """A search that has ended.

    Attributes:
        workers: executors that it had.
    """

    ran: Ran
    folder: Path
    workers: int


@dataclass(frozen=True)
class Spent:
    """Where the seconds of a search went.

    The first group is wall time and sums to the whole process:

    Attributes:
        start: interpreter, imports, data checks, workers, until the first candidates are stored.
        search: from there to confirmation.
        confirmation: retraining, test predictions, latencies, saving the model.
        report: importances, Optuna's copy, leaderboard, report, and leaving.
        encoding: worker-seconds of the search until features are there, as each trial tells them:
            importing libraries, and waiting for another worker that makes the same ones, included.
        training: worker-seconds in training loops.
        evaluation: worker-seconds in the validation of each epoch.
        ending: worker-seconds of trials outside these: building models, choosing the form of a
            pack, last predictions.
        idle: worker-seconds outside of trials: starting, waiting for candidates and messages, and
            having no work.

    The third stands beside them, on the coordinator, and sums to nothing:

    Attributes:
        store: seconds of beginning trials and of the thread that writes behind the search, from
            the study's start to its end.
        asking: seconds of choosing candidates, while workers train those of other arms.
    """

    start: float
    search: float
    confirmation: float
    report: float
    encoding: float
    training: float
    evaluation: float
    ending: float
    idle: float
    store: float
    asking: float


def search(
    table: Path, folder: Path, cache: Path, workers: int, settings: Mapping[str, Any]
) -> Found:
    """Run the command on a study file.

    Args:
        folder: of the study; its name is the study's.
        cache: of features; empty for a cold start.
        settings: of the study file, over those that name the data.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    file = folder.parent / f"{folder.name}.toml"
    values = {
        "data": str(table), "image": ["image"], "text": ["text"], "target": ["label"],
        "name": folder.name, "out": str(folder.parent), "workers": workers, "confirm_seeds": 1,
        **settings,
    }  # fmt: skip
    write_toml(file, values)
    # a study that a user runs finds the plugins that this process finds
    environment = {
        "MMAUTO_CACHE": str(cache),
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
    }
    command = [sys.executable, "-m", "mmauto", "search", str(file), "--quiet"]
    return Found(run(command, environment), folder, workers)


def equal_work(trials: int, epochs: int, side: int, device: str) -> dict[str, Any]:
    """Settings of a search that trains every epoch of every trial, as a loop does.

    Encoders are a frozen ResNet-18 and TF-IDF with one token each; all else is searched, in packs
    of 16. Models are not asked what they rely on, which no loop does either. Arms are the caller's:
    ``fusions`` or ``arms``.

    Args:
        side: pixels that the ResNet reads.
    """
    return {
        "encoders": ["resnet18", "bag_of_words"], "exclude": [*SINGLES, *CONTROLS],
        "trials": trials, "epochs": epochs, "patience": epochs, "pruner": "none",
        "generation": 32, "pack": 16,
        "finetune": "none", "probe_rows": 0, "device": device,
        "space": {
            "image/resnet18/weights": "random", "image/resnet18/size": side,
            "image/resnet18/grid": 1, "text/bag_of_words/max_features": 1000,
        },
    }  # fmt: skip


def spent(found: Found) -> Spent:
    """Where the time of a search went, as far as its database can tell.

    A trial that failed tells no encoding: its time is in ``ending``.
    """
    store = _store(found)
    with closing(store):
        trials, confirmed = store.rows("search"), store.rows("confirm")
        beside = store.facts.get(SPENT, {})
    end = found.ran.started + found.ran.seconds
    asked = min(row.started for row in trials)
    confirming = min((row.started for row in confirmed), default=end)
    arms = {row.arm: 0.0 for row in confirmed}
    for row in confirmed:
        arms[row.arm] += row.seconds
    ended = max((row.started + arms[row.arm] for row in confirmed), default=end)
    training = sum(row.costs.get("train_seconds", 0.0) for row in trials)
    evaluation = sum(row.costs.get("evaluation_seconds", 0.0) for row in trials)
    encoding = sum(row.costs.get("encoding_seconds", 0.0) for row in trials)
    inside = sum(row.seconds for row in trials)
    return Spent(
        asked - found.ran.started, confirming - asked, min(ended, end) - confirming,
        end - min(ended, end), encoding, training - evaluation, evaluation,
        inside - training - encoding, found.workers * (confirming - asked) - inside,
        beside.get(STORE, 0.0), beside.get(ASKING, 0.0),
    )  # fmt: skip


@dataclass(frozen=True)
class Between:
    """The generations of a search but its first one, which waits for its worker to start.

    Attributes:
        trials: how many they are.
        wall: seconds from the storing of their first candidates to confirmation.
        outside: those of them that no trial took.
        first: the same of the first generation.
    """

    trials: int
    wall: float
    outside: float
    first: float


def between(found: Found) -> Between:
    """What passes between trials, where one worker runs the trials of one arm."""
    store = _store(found)
    with closing(store):
        trials, confirmed = store.rows("search"), store.rows("confirm")
    later = [row for row in trials if row.generation > 0]
    asked = min(row.started for row in trials)
    again = min(row.started for row in later)
    wall = min(row.started for row in confirmed) - again
    inside = sum(row.seconds for row in later)
    before = sum(row.seconds for row in trials) - inside
    return Between(len(later), wall, wall - inside, again - asked - before)


def trials_of(found: Found) -> int:
    """Trials of the search, confirmation left out."""
    store = _store(found)
    with closing(store):
        return len(store.rows("search"))


def weights(found: Found) -> tuple[float, int]:
    """Trained weights of a trial in the mean, and of the generation that has most of them."""
    store = _store(found)
    with closing(store):
        trials = store.rows("search")
    generations: Counter[tuple[str, int]] = Counter()
    for row in trials:
        generations[row.arm, row.generation] += row.costs.get("parameters", 0)
    return generations.total() / len(trials), max(generations.values())


def training_flops(found: Found, dims: int, train: int, valid: int) -> float:
    """Operations in the training loops of a search over frozen features.

    A weight that multiplies a row costs 2 operations forward, 2 for its gradient, and 2 for its
    input's gradient, which the adapters do not need as their input is not trained.

    Args:
        dims: features of all modalities together, which the adapters project.
        train, valid: rows.
    """
    store = _store(found)
    with closing(store):
        trials, curves = store.rows("search"), {t.id: len(t.curve) for t in store.trials()}
    total = 0.0
    for row in trials:
        weights = row.costs.get("parameters", 0)
        adapters = dims * int(row.params["adapter/width"])
        epoch = train * (6 * weights - 2 * adapters) + valid * 2 * weights
        total += epoch * curves[row.id]
    return total


def _store(found: Found) -> StudyStore:
    store = StudyStore.open(found.folder)
    assert store is not None, "a search that ended well has stored its study"
    return store
