"""Decision thresholds: where they fall, and that bending probabilities keeps their order."""

from __future__ import annotations

import numpy as np
import pytest

from mmauto.engine.metrics import score
from mmauto.engine.thresholds import centred, choose_thresholds
from mmauto.values import TargetSpec

BINARY = TargetSpec("y", "binary", ("no", "yes"))
TAGS = TargetSpec("t", "multilabel", ("a", "b"))


def skewed(rows: int = 4000) -> tuple[np.ndarray, np.ndarray]:
    """Labels of a rare class, and their exact probabilities: the best balanced cut is its share."""
    rng = np.random.default_rng(0)
    given = rng.beta(1, 9, rows)
    return (rng.random(rows) < given).astype(float), given[:, None]


def test_the_cut_of_exact_probabilities_is_the_share_of_the_class() -> None:
    truth, given = skewed()
    (cut,) = choose_thresholds("balanced_accuracy", BINARY, truth, given)
    assert cut == pytest.approx(0.1, abs=0.05)
    half = score("balanced_accuracy", BINARY, truth, given)
    assert score("balanced_accuracy", BINARY, truth, centred(given, np.array([cut]))) > half + 0.1
    # a ranking metric does not care, so the usual cut of its kind is chosen
    assert choose_thresholds("auroc", BINARY, truth, given) == pytest.approx([cut])


def test_on_few_rows_the_cut_stays_near_one_half() -> None:
    rng = np.random.default_rng(1)
    truth = np.array([0.0, 1.0] * 10)
    given = np.clip(0.5 + 0.2 * (truth - 0.5) + rng.normal(0, 0.2, 20), 0, 1)[:, None]
    (cut,) = choose_thresholds("accuracy", BINARY, truth, given)
    assert abs(cut - 0.5) < 0.1


def test_every_label_has_a_cut_of_its_own_and_other_kinds_have_none() -> None:
    truth, given = skewed()
    both = np.column_stack([truth, truth])
    cuts = choose_thresholds("f1", TAGS, both, np.column_stack([given[:, 0], given[:, 0] ** 0.25]))
    assert cuts.shape == (2,)
    assert cuts[1] > cuts[0]
    many = TargetSpec("m", "multiclass", ("a", "b", "c"))
    assert not len(choose_thresholds("accuracy", many, np.zeros(4), np.full((4, 3), 1 / 3)))
    number = TargetSpec("n", "regression")
    assert not len(choose_thresholds("rmse", number, np.zeros(4), np.zeros((4, 1))))


def test_unobserved_labels_do_not_count() -> None:
    truth, given = skewed()
    holes = np.concatenate([truth, np.full(500, np.nan)])
    more = np.concatenate([given, np.full((500, 1), 0.9)])
    assert choose_thresholds("f1", BINARY, holes, more) == choose_thresholds(
        "f1", BINARY, truth, given
    )


@pytest.mark.parametrize("cut", [0.0, 0.01, 0.3, 0.5, 0.99, 1.0])
def test_bending_keeps_order_and_range(cut: float) -> None:
    given = np.linspace(0, 1, 101)[:, None]
    bent = centred(given, np.array([cut]))
    assert (np.diff(bent[:, 0]) >= 0).all()
    assert bent.min() >= 0
    assert bent.max() <= 1
    inside = given[:, 0] >= max(cut, 1e-6)
    assert ((bent[:, 0] >= 0.5) == inside).all()
    assert centred(given, None) is given
