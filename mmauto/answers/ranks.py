"""Arms over several data sets: average ranks, the Friedman test, the critical difference.

Demsar 2006, Statistical Comparisons of Classifiers over Multiple Data Sets (JMLR 7). Scores of
different data sets cannot be averaged, their ranks can.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mmauto.answers.several import same_rows
from mmauto.errors import ConfigError
from mmauto.views import StudyView

FEW_SETS = 5
"""Data sets below which ranks are too coarse for a test."""

LEVEL = 0.05


@dataclass(frozen=True)
class Ranking:
    """The arms that all studies have, the best average rank first.

    Attributes:
        scores, ranks: ``(D, A)`` test metric and rank of each arm in each study; 1 is best.
        by_source: ``(S, A)`` the ranks on each data set, by the average over its studies: splits
            and seeds of one data set are not independent and count once.
        p: of the Friedman test that all arms are equally good; NaN where it is not made.
        critical: average ranks that differ by more are told apart (Nemenyi); NaN where the
            Friedman test finds no difference at all.
        together: arms that are not told apart, as many at a time as possible.
    """

    arms: tuple[str, ...]
    scores: np.ndarray
    ranks: np.ndarray
    by_source: np.ndarray
    p: float = math.nan
    critical: float = math.nan
    together: tuple[tuple[str, ...], ...] = ()

    @property
    def means(self) -> np.ndarray:
        """``(A,)`` the average ranks."""
        return np.asarray(self.by_source.mean(axis=0))

    @property
    def sources(self) -> int:
        """Data sets behind the studies."""
        return len(self.by_source)


def ranking(views: Sequence[StudyView]) -> Ranking:
    """Rank the arms that all studies have by their test metric, study by study.

    Raises:
        ConfigError: two studies have the same rows, or fewer than two arms are in all of them.
    """
    for one, other in itertools.combinations(views, 2):
        if same_rows(one, other):
            raise ConfigError(
                f"studies are either all of the same test rows or all of different ones, "
                f"{one.name} and {other.name} share theirs and others do not; compare those two "
                "alone, or leave one of them out"
            )
    known = [{s.arm.name: s.test.value for s in v.comparison.standings} for v in views]
    arms = [n for n in known[0] if all(math.isfinite(own.get(n, math.nan)) for own in known)]
    if len(arms) < 2:
        raise ConfigError(
            f"studies of different rows are compared by the arms that all of them have, "
            f"{', '.join(view.name for view in views)} have {', '.join(arms) or 'none'} in common; "
            "search them with the same --fusions and --controls"
        )
    scores = np.array([[own[name] for name in arms] for own in known])
    sources = [(v.config.get("task"), v.config.get("data")) for v in views]
    signs = [1.0 if view.comparison.maximise else -1.0 for view in views]
    return ranked(arms, scores * np.array(signs)[:, None], scores, sources)


def ranked(
    arms: Sequence[str], better: np.ndarray, scores: np.ndarray, sources: Sequence[Hashable]
) -> Ranking:
    """Ranks and, with enough data sets, what they prove.

    Args:
        better: ``(D, A)``, more is better.
        scores: ``(D, A)`` as people read them.
        sources: the data set that each of the D studies is of.
    """
    from scipy.stats import rankdata

    ranks = rankdata(-better, axis=1)
    places = {source: [at for at, s in enumerate(sources) if s == source] for source in sources}
    by_source = rankdata([ranks[own].mean(axis=0) for own in places.values()], axis=1)
    order = np.argsort(by_source.mean(axis=0), kind="stable")
    names = tuple(arms[place] for place in order)
    found = Ranking(names, scores[:, order], ranks[:, order], by_source[:, order])
    if found.sources < FEW_SETS or len(names) < 3:
        return found
    found = replace(found, p=friedman(found.by_source))
    if not found.p < LEVEL:  # pairs are tested after all arms together, or not at all
        return found
    critical = critical_difference(len(names), found.sources)
    return replace(found, critical=critical, together=_together(names, found.means, critical))


def friedman(ranks: np.ndarray) -> float:
    """The p value that arms are equally good, given ranks ``(D, A)`` of at least three arms."""
    from scipy.stats import friedmanchisquare

    if (ranks == ranks[:, :1]).all():  # nothing but ties, which scipy cannot divide by
        return 1.0
    return float(friedmanchisquare(*ranks.T).pvalue)


def critical_difference(arms: int, sets: int) -> float:
    """By how much average ranks must differ for the Nemenyi test to tell two arms apart."""
    from scipy.stats import studentized_range

    quantile = studentized_range.ppf(1 - LEVEL, arms, math.inf) / math.sqrt(2)
    return float(quantile * math.sqrt(arms * (arms + 1) / (6 * sets)))


def _together(
    names: Sequence[str], means: np.ndarray, critical: float
) -> tuple[tuple[str, ...], ...]:
    """The longest runs of arms, in the order of their ranks, that are within the difference."""
    found: list[tuple[str, ...]] = []
    reached = 0
    for first in range(len(names)):
        end = int(np.searchsorted(means, means[first] + critical, side="right"))
        if end - first > 1 and end > reached:
            found.append(tuple(names[first:end]))
            reached = end
    return tuple(found)
