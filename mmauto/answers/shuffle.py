"""Permutation test of a gap: could the labels of the subgroups as well stand at other rows?

If a model serves all rows alike, it does not matter which of them are called a subgroup. So labels
are dealt anew at random, and the gap as it is is compared with those after dealing (Good 2005,
Permutation, Parametric and Bootstrap Tests of Hypotheses). Where rows come in groups, the groups
are put in a random order and the labels, sorted so that those of a group stand together, are laid
over their rows: each subgroup keeps its number of rows, and a group keeps its label but where
the end of a subgroup cuts one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from mmauto.answers.sums import RANKINGS, both_columns, contributions, value_of
from mmauto.answers.weighted import weighted_score
from mmauto.values import TargetSpec

SHUFFLES = 9_999

CELLS = 4_000_000
"""Shuffles times rows that are in memory at once."""


class LabelShuffle:
    """The same shuffled labels for every run and subgroup of one column.

    Args:
        truth: ``(N,)`` or ``(N, width)``, all observed.
        codes: ``(N,)`` subgroup of each row, counted from 0.
        units: ``(N,)`` group of each row, counted from 0; None: rows are independent.
        shuffles: random ones; the p value is at least ``1 / (shuffles + 1)``.
    """

    def __init__(
        self,
        metric: str,
        spec: TargetSpec,
        truth: np.ndarray,
        codes: np.ndarray,
        units: np.ndarray | None = None,
        shuffles: int = SHUFFLES,
        seed: int = 0,
    ):
        self.metric, self.spec, self.truth, self.codes = metric, spec, truth, codes
        self.units = np.arange(len(codes)) if units is None else units
        self.sizes = np.bincount(self.units)
        by_unit = np.argsort(self.units, kind="stable")
        self.within = np.empty(len(codes), dtype=int)  # place of a row in its group
        starts = np.cumsum(self.sizes) - self.sizes
        self.within[by_unit] = np.arange(len(codes)) - np.repeat(starts, self.sizes)
        table = np.zeros((len(self.sizes), codes.max() + 1), dtype=int)
        np.add.at(table, (self.units, codes), 1)
        self.line = codes[np.lexsort((self.units, table.argmax(axis=1)[self.units]))]
        self.shuffles, self.seed = shuffles, seed

    def p_values(
        self, arms: Sequence[Sequence[np.ndarray]], subgroups: Sequence[int]
    ) -> np.ndarray:
        """``(A, G)`` two-sided p values of each subgroup's gap to all other rows.

        Args:
            arms: for each, the ``(N, width)`` predictions of its runs; a gap is their mean.
            subgroups: codes to test; the metric must be defined in each and in the rest.
        """
        score = self._ranked if self.metric in RANKINGS else self._summed
        given = [[both_columns(self.spec, run) for run in runs] for runs in arms]
        limit = np.abs(score(self.codes[None], given, subgroups)[0]) * (1 - 1e-9) - 1e-12
        extreme = np.ones(limit.shape)  # the labels as they are count among the shuffled ones
        for codes in self._shuffled():
            # where a shuffle leaves the metric undefined, it counts against the gap
            extreme += (~(np.abs(score(codes, given, subgroups)) < limit)).sum(axis=0)
        return np.asarray(extreme / (self.shuffles + 1))

    def _shuffled(self) -> Iterator[np.ndarray]:
        """(R, N) codes."""
        source = np.random.default_rng(self.seed)
        step = max(1, CELLS // len(self.codes))
        for first in range(0, self.shuffles, step):
            count = min(step, self.shuffles - first)
            order = source.permuted(np.tile(np.arange(len(self.sizes)), (count, 1)), axis=1)
            sizes, starts = self.sizes[order], np.empty_like(order)
            np.put_along_axis(starts, order, sizes.cumsum(axis=1) - sizes, axis=1)
            yield self.line[starts[:, self.units] + self.within]

    def _summed(
        self, codes: np.ndarray, arms: Sequence[Sequence[np.ndarray]], subgroups: Sequence[int]
    ) -> np.ndarray:
        """(R, A, G) gaps in a metric of sums: all runs in one product."""
        each = [
            [contributions(self.metric, self.spec, self.truth, run) for run in runs]
            for runs in arms
        ]
        stacked = np.hstack([run for runs in each for run in runs])
        total, width = stacked.sum(axis=0), each[0][0].shape[1]
        found = np.empty((len(codes), len(arms), len(subgroups)))
        for place, subgroup in enumerate(subgroups):
            inside = (codes == subgroup).astype(float) @ stacked
            gaps = [
                value_of(self.metric, self.spec, inside[:, cut])
                - value_of(self.metric, self.spec, total[cut] - inside[:, cut])
                for cut in (slice(at, at + width) for at in range(0, len(total), width))
            ]
            found[:, :, place] = _means(gaps, arms)
        return found

    def _ranked(
        self, codes: np.ndarray, arms: Sequence[Sequence[np.ndarray]], subgroups: Sequence[int]
    ) -> np.ndarray:
        """(R, A, G) gaps in any other metric."""
        first = 1 if self.spec.kind == "binary" else 0  # `weighted_score` makes both columns of one
        found = np.empty((len(codes), len(arms), len(subgroups)))
        for place, subgroup in enumerate(subgroups):
            inside = np.equal(codes.T, subgroup).astype(float)  # (N, R), for `weighted_score`
            gaps = [
                weighted_score(self.metric, self.spec, self.truth, run[:, first:], inside.T)
                - weighted_score(self.metric, self.spec, self.truth, run[:, first:], 1 - inside.T)
                for runs in arms
                for run in runs
            ]
            found[:, :, place] = _means(gaps, arms)
        return found


def _means(gaps: Sequence[np.ndarray], arms: Sequence[Sequence[np.ndarray]]) -> np.ndarray:
    """(R, A) the mean gap over each arm's runs, which follow each other."""
    ends = np.cumsum([len(runs) for runs in arms])[:-1]
    return np.stack([np.mean(part, axis=0) for part in np.split(np.array(gaps), ends)], axis=1)
