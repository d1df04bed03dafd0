"""Arms that are chosen anew in each fold, and how a nested cross-validation came about.

Every row validates one fold's study and tests another's. So the arm that validates best over all
folds was chosen on rows that are tested, too, and its test score is too good: on labels that have
nothing to do with the inputs by several points. A choice within each fold, on its own validation
rows, is tested on rows that took no part in it (Varma and Simon 2006, BMC Bioinformatics 7; Cawley
and Talbot 2010, JMLR 11). Such a choice is an arm of its own here. Its mean validation score is at
least that of any single arm, so that it ranks first and comparisons are made with it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from mmauto.views import ArmKind, ArmView, Comparison, StudyView

KINDS: Mapping[str, tuple[ArmKind, tuple[str, ...]]] = {
    "best fusion of each fold": ("fusion", ("fusion",)),
    "best single of each fold": ("single", ("single",)),
    "best control of each fold": ("control", ("control",)),
    "best of each fold": ("ensemble", ("fusion", "single", "control")),
}
"""Name -> the kind that the choice counts as, and the kinds that it is made from."""

LEADING = 2
"""Sentences of the comparison that stay in front."""


def nested_arms(views: Sequence[StudyView]) -> list[tuple[ArmView, list[str]]]:
    """The choices, each with the arm of every fold; none where all folds choose the same arm.

    The choice among all arms is left out where it equals that among those of one kind.
    """
    found: list[tuple[ArmView, list[str]]] = []
    for name, (kind, kinds) in KINDS.items():
        chosen = [_best(view, kinds) for view in views]
        if len(set(chosen)) > 1 and "" not in chosen and chosen not in (own for _, own in found):
            found.append(
                (ArmView(name, kind, name, "chosen in each fold", _made_of(chosen)), chosen)
            )
    return found


def nested_verdict(
    views: Sequence[StudyView], found: Comparison, chosen: Sequence[ArmView], by: float
) -> tuple[str, ...]:
    """The sentences of the pooled comparison, with how it was made.

    Args:
        views: the folds.
        found: their comparison.
        chosen: the arms of `nested_arms`.
        by: as `mmauto.answers.overlap.stretch` gives it.
    """
    if found.winner is None:
        return found.verdict
    said = found.verdict
    picks = "; ".join(f"{arm.name} is {arm.summary}" for arm in chosen)
    anew = [f"Arms are chosen in each fold anew, on its own validation rows: {picks}."]
    how = [_how(views), *_allowance(by), *(anew if chosen else [])]
    return (*said[:LEADING], *how, *said[LEADING:])


def _allowance(by: float) -> list[str]:
    if by == 1:
        return []
    return [
        "The folds train on each other's rows, so chance goes further: intervals and p values of "
        f"the leaderboard allow for deviations that are {by - 1:.0%} larger than those of "
        "independent rows."
    ]


def _how(views: Sequence[StudyView]) -> str:
    folds = int(views[0].config.get("folds", 0)) or len(views)
    rows = sum(len(view.ids["test"]) for view in views)
    if len(views) < folds:
        return (
            f"Of a nested {folds}-fold cross-validation {len(views)} of the folds can be counted "
            f"so far: {rows} rows were tested once."
        )
    return (
        f"This is a nested {folds}-fold cross-validation: each of the {rows} rows was tested once, "
        "by models that neither trained nor were chosen on it."
    )


def _best(view: StudyView, kinds: Sequence[str]) -> str:
    """The arm of these kinds that validates best in a fold; empty without one."""
    return next((s.arm.name for s in view.comparison.standings if s.arm.kind in kinds), "")


def _made_of(chosen: Sequence[str]) -> str:
    (first, count), *rest = Counter(chosen).most_common()
    others = "".join(f", {name} in {times}" for name, times in rest)
    return f"{first} in {count} fold{'' if count == 1 else 's'}{others}"
