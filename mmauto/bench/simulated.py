"""Studies drawn at the level of predictions: what is true is known, so claims can be counted.

A row has an easy or a hard day with every arm (shared noise), each arm sees it in its own way, and
each training run differs a little again and is a little better or worse as a whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np

from mmauto.answers.compare import compare
from mmauto.answers.verdict import helps
from mmauto.engine.metrics import score
from mmauto.values import TargetSpec, TaskView
from mmauto.views import ArmView, Comparison, ConfirmationView

SHARED, OWN, TRAINING, LUCK = 0.8, 0.6, 0.5, 0.12
"""Standard deviations: a row's noise that all arms share, an arm's, a run's, and of a run's skill
(0.12 are about three points of balanced accuracy)."""

SPEC = TargetSpec("y", "multiclass", ("a", "b", "c"))
REFERENCE, FUSION = "image_only", "fusion 0"


@dataclass(frozen=True)
class Truth:
    """What holds in a simulated world.

    Attributes:
        singles, fusions: the skill of each arm; equal skill is equal quality in expectation.
        luck: standard deviation of a run's skill.
    """

    singles: tuple[float, ...]
    fusions: tuple[float, ...]
    luck: float = LUCK

    @property
    def skills(self) -> dict[str, float]:
        """Arm -> skill."""
        names = (REFERENCE, "text_only", *(f"fusion {n}" for n in range(len(self.fusions))))
        return dict(zip(names, (*self.singles, *self.fusions), strict=True))


WORLDS: Mapping[str, Truth] = {
    "no difference at all": Truth((1.0, 1.0), (1.0,) * 3),
    "labels unrelated": Truth((0.0, 0.0), (0.0,) * 3),
    "one modality informative, the other noise": Truth((1.0, 0.0), (1.0,) * 3),
    "no difference, but training is a lottery": Truth((1.0, 1.0), (1.0,) * 3, luck=0.4),
    "fusion gains a little": Truth((1.0, 0.8), (1.2,) * 3),
    "fusion gains much": Truth((1.0, 0.8), (1.5,) * 3),
}
NULL = tuple(WORLDS)[:4]
"""Worlds in which no fusion is better than the best single modality."""


def draw(truth: Truth, rows: int, seeds: int, metric: str, seed: int) -> Comparison:
    """The comparison of one study: as many validation rows as test rows, independent of them."""
    source = np.random.default_rng(seed)
    labels = {side: source.integers(0, 3, rows) for side in ("valid", "test")}
    shared = {side: source.normal(0, SHARED, (rows, 3)) for side in labels}
    runs, arms = [], []
    for name, skill in truth.skills.items():
        kind = "fusion" if name.startswith("fusion") else "single"
        arms.append(ArmView(name, kind, name, "early", name))  # type: ignore[arg-type]
        own = {side: shared[side] + source.normal(0, OWN, (rows, 3)) for side in labels}
        for place in range(seeds):
            knows = skill + source.normal(0, truth.luck)
            given = {
                side: {"y": _chances(knows, labels[side], own[side], source)} for side in labels
            }
            value = score(metric, SPEC, labels["valid"], given["valid"]["y"])
            runs.append(
                ConfirmationView(name, place, 0, {}, value, (), given["valid"], given["test"])
            )
    task = TaskView("simulated", {"image": "image", "text": "text"}, {"y": SPEC}, "y", metric, True)
    # no validation labels: an ensemble would cost time and claims nothing about fusion
    right = {"test": {"y": labels["test"]}}
    return compare(task, arms, (), runs, right, {"test": None}, ceiling={})


def claims_help(found: Comparison) -> bool:
    """Whether the verdict says that fusion helps."""
    best = next(line for line in found.standings if line.arm.kind == "fusion")
    return helps(best) is True


@cache
def expected(skill: float, metric: str, luck: float = LUCK) -> float:
    """The metric of an arm over all rows and runs, by drawing very many."""
    source = np.random.default_rng(12345)
    found = []
    for _ in range(300):
        labels = source.integers(0, 3, 3000)
        noise = source.normal(0, np.hypot(SHARED, OWN), (len(labels), 3))
        given = _chances(skill + source.normal(0, luck), labels, noise, source)
        found.append(score(metric, SPEC, labels, given))
    return float(np.mean(found))


def _chances(
    skill: float, labels: np.ndarray, noise: np.ndarray, source: np.random.Generator
) -> np.ndarray:
    logits = skill * np.eye(3)[labels] + noise + source.normal(0, TRAINING, noise.shape)
    powers = np.exp(logits)
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))
