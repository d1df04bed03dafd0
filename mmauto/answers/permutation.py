"""Paired permutation tests: could the difference between two arms be the luck of single rows?

If two arms are equally good, it does not matter which of them made which prediction of a row. So
their predictions of a row, those of all seeds together, are swapped at random (of a whole group
where rows come in groups), and the difference as it is is compared with those after swapping
(Fisher 1935; Good 2005, Permutation, Parametric and Bootstrap Tests of Hypotheses).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from mmauto.answers.statistics import units_of
from mmauto.answers.sums import both_columns, contributions, value_of
from mmauto.answers.weighted import weighted_score
from mmauto.engine.metrics import observed
from mmauto.values import TargetSpec

SWAPS = 9_999
CELLS = 4_000_000
"""Swaps times rows that are in memory at once."""


class SwapTest:
    """The same swaps for every pair of arms that is compared on the same rows.

    Args:
        truth: ``(N,)`` or ``(N, width)``; unobserved rows are left out.
        groups: ``(N,)`` labels whose rows are swapped together, or None.
        swaps: random ones; the p value is at least ``1 / (swaps + 1)``.
        stretch: as of `mmauto.answers.statistics.Resampled`.
    """

    def __init__(
        self,
        metric: str,
        spec: TargetSpec,
        truth: np.ndarray,
        groups: np.ndarray | None,
        seed: int = 0,
        swaps: int = SWAPS,
        stretch: float = 1.0,
    ):
        self.metric, self.spec, self.seed, self.swaps = metric, spec, seed, swaps
        self.stretch = stretch
        self.known = observed(spec, truth)
        self.truth = truth[self.known]
        size = len(self.truth)
        self.units = units_of(size, None if groups is None else groups[self.known])
        self.total = int(self.units.max()) + 1 if size else 0

    def p_values(
        self, pairs: Mapping[str, tuple[Sequence[np.ndarray], Sequence[np.ndarray]]]
    ) -> dict[str, float]:
        """Two-sided p values of the difference in the mean metric over seeds.

        Args:
            pairs: name -> ``(N, width)`` predictions of both arms, one a seed, in the same order.

        Returns:
            NaN where the metric is not defined.
        """
        statistics = {name: self._statistic(*pair) for name, pair in pairs.items()}
        extreme = dict.fromkeys(pairs, 1)  # the difference as it is counts among the swapped ones
        source = np.random.default_rng(self.seed)
        step = max(1, CELLS // max(1, self.total))
        for start in range(0, self.swaps, step):
            shape = (min(step, self.swaps - start), self.total)
            signs = 2.0 * source.integers(0, 2, shape, dtype=np.int8) - 1.0
            for name, statistic in statistics.items():
                found = np.abs(statistic.swapped(signs))
                # equal but for rounding counts as equal
                limit = abs(statistic.value) * (1 - 1e-9) - 1e-12
                extreme[name] += int((found >= limit).sum())
        return {
            name: less_sure(extreme[name] / (self.swaps + 1), self.stretch)
            if np.isfinite(statistic.value)
            else np.nan
            for name, statistic in statistics.items()
        }

    def _statistic(
        self, ours: Sequence[np.ndarray], theirs: Sequence[np.ndarray]
    ) -> _Sums | _Pairs | _Pooled:
        both = [
            (both_columns(self.spec, a[self.known]), both_columns(self.spec, b[self.known]))
            for a, b in zip(ours, theirs, strict=True)
        ]
        if self.metric == "auroc":
            return _Pairs(self, both)
        return (_Pooled if self.metric == "average_precision" else _Sums)(self, both)


class _Sums:
    """Metrics of sums over rows: a swap moves a row's contribution from one arm to the other."""

    def __init__(self, test: SwapTest, both: Sequence[tuple[np.ndarray, np.ndarray]]):
        self.metric, self.spec = test.metric, test.spec
        pairs = [
            [contributions(test.metric, test.spec, test.truth, given) for given in pair]
            for pair in both
        ]
        self.sums = [(a.sum(axis=0), b.sum(axis=0)) for a, b in pairs]
        moves = np.stack([_by_unit(b - a, test) for a, b in pairs], axis=1)  # (U, S, K)
        self.shape = moves.shape[1:]
        flat = moves.reshape(len(moves), -1)
        self.columns = np.flatnonzero(flat.any(axis=0))
        self.moves = flat[:, self.columns]
        self.value = float(self.swapped(np.ones((1, test.total)))[0])

    def swapped(self, signs: np.ndarray) -> np.ndarray:
        """``(R,)`` differences; a sign of -1 swaps a unit."""
        moved = np.zeros((len(signs), self.shape[0] * self.shape[1]))
        moved[:, self.columns] = 0.5 * (self.moves.sum(axis=0) - signs @ self.moves)
        moved = moved.reshape(len(signs), *self.shape)
        each = [
            value_of(self.metric, self.spec, a + moved[:, place])
            - value_of(self.metric, self.spec, b - moved[:, place])
            for place, (a, b) in enumerate(self.sums)
        ]
        return np.asarray(np.mean(each, axis=0))


class _Pairs:
    """The area under the ROC curve: its difference is linear in the signs.

    For a positive row i and a negative row j, let ``w(a, b)`` be 1 where the first scores higher
    (half where they tie). With signs ``s``, the pair adds ``(s_i + s_j) / 2`` times
    ``w(a_i, a_j) - w(b_i, b_j)`` and ``(s_i - s_j) / 2`` times ``w(a_i, b_j) - w(b_i, a_j)``.
    """

    def __init__(self, test: SwapTest, both: Sequence[tuple[np.ndarray, np.ndarray]]):
        classes = _against_the_rest(test.spec, test.truth)
        weights = np.zeros(len(test.truth))
        for a, b in both:
            for positive, column in classes:
                weights += _shares(positive, a[:, column], b[:, column])
        count = len(both) * len(classes)
        self.weights = _by_unit(weights / count if count else weights + np.nan, test)
        self.value = float(self.weights.sum())

    def swapped(self, signs: np.ndarray) -> np.ndarray:
        """See `_Sums.swapped`."""
        return np.asarray(signs @ self.weights)


class _Pooled:
    """Any other metric: both arms' predictions in one pool, of which a swap weighs one each."""

    def __init__(self, test: SwapTest, both: Sequence[tuple[np.ndarray, np.ndarray]]):
        self.test = test
        self.truth = np.concatenate([test.truth, test.truth])
        self.pools = [np.concatenate(pair) for pair in both]
        self.value = float(self.swapped(np.ones((1, test.total)))[0])

    def swapped(self, signs: np.ndarray) -> np.ndarray:
        """See `_Sums.swapped`."""
        stays = (signs.T[self.test.units] > 0).astype(float)  # (N, R), for `weighted_score`
        ours, theirs = np.concatenate([stays, 1 - stays]).T, np.concatenate([1 - stays, stays]).T
        metric, spec = self.test.metric, self.test.spec
        first = 1 if spec.kind == "binary" else 0  # `weighted_score` makes both columns of one
        pools = [pool[:, first:] for pool in self.pools]
        each = [
            weighted_score(metric, spec, self.truth, pool, ours)
            - weighted_score(metric, spec, self.truth, pool, theirs)
            for pool in pools
        ]
        return np.asarray(np.mean(each, axis=0))


def less_sure(p: float, by: float) -> float:
    """The two-sided p value of a normal deviate that is so many times smaller."""
    if by == 1:  # to the last bit
        return p
    from scipy.special import ndtr, ndtri

    return float(2 * ndtr(ndtri(p / 2) / by))


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """P values that allow for the number of tests (Holm 1979, Scandinavian J. of Statistics).

    The chance of any false claim among all of them stays below the level. NaN stays NaN.
    """
    known = sorted((p, name) for name, p in p_values.items() if np.isfinite(p))
    found, least = dict(p_values), 0.0
    for place, (p, name) in enumerate(known):
        least = max(least, min(1.0, p * (len(known) - place)))
        found[name] = least
    return found


def _by_unit(values: np.ndarray, test: SwapTest) -> np.ndarray:
    """(N, ...) -> (U, ...) sums over the rows that are swapped together."""
    if test.total == len(values):
        return values[np.argsort(test.units, kind="stable")]
    found = np.zeros((test.total, *values.shape[1:]))
    np.add.at(found, test.units, values)
    return found


def _against_the_rest(spec: TargetSpec, truth: np.ndarray) -> list[tuple[np.ndarray, int]]:
    """Each class as (``(N,)`` whether it is there, its column), where both sides occur."""
    if spec.kind == "multilabel":
        pairs = [(truth[:, place] > 0.5, place) for place in range(truth.shape[1])]
    else:
        places = [1] if spec.kind == "binary" else range(len(spec.classes))
        pairs = [(truth == place, place) for place in places]
    return [(positive, place) for positive, place in pairs if 0 < positive.sum() < len(positive)]


def _shares(positive: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(N,) what each row adds to AUROC(a) - AUROC(b); see `_Pairs`."""
    found = np.zeros(len(positive))
    scale = 2.0 * positive.sum() * (~positive).sum()
    for own, other in ((positive, ~positive), (~positive, positive)):
        sign = 1.0 if own is positive else -1.0
        # from the other side, the mixed pairs change sign; so does the order of scores
        same = _beaten(a[own], a[other]) - _beaten(b[own], b[other])
        mixed = _beaten(a[own], b[other]) - _beaten(b[own], a[other])
        found[own] = sign * (same + mixed) / scale
    return found


def _beaten(scores: np.ndarray, others: np.ndarray) -> np.ndarray:
    """For each score, how many of the others it exceeds; ties count half."""
    order = np.sort(others)
    below, upto = (np.searchsorted(order, scores, side) for side in ("left", "right"))
    return np.asarray((below + upto) / 2)
