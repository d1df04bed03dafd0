"""The search: what was tried, what it found, what mattered, and when it ran."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from statistics import fmean

from mmauto.plugin import Block, Fold, Section, StudyView, Table, Text, TrialView
from mmauto_sections import curves, history, importance, parallel, timeline
from mmauto_sections.brackets import percent


class Search(Section):
    """History, importance, parallel coordinates, timeline and learning curves of the trials."""

    name = "search"
    summary = "every trial: best so far, what mattered, how they lie, when they ran"
    reference = "mmauto; importance: Watanabe, Bansal & Hutter 2023, PED-ANOVA, IJCAI"
    title = "The search"
    order = 110

    def render(self, study: StudyView) -> Sequence[Block]:
        """Words, then figures from the coarsest to the finest."""
        if not study.trials:
            return []
        return [
            *_words(study),
            *history.blocks(study),
            *_fold("Trials by state", [_states(study)]),
            *_fold(
                "Which parameters mattered", [*importance.blocks(study), *parallel.blocks(study)]
            ),
            *_fold("When the trials ran", timeline.blocks(study)),
            *_fold("How the best candidates learned", curves.blocks(study)),
        ]


def _fold(title: str, blocks: Sequence[Block]) -> list[Fold]:
    return [Fold(title, blocks)] if blocks else []


def _words(study: StudyView) -> list[Text]:
    words = []
    if all(trial.value is None for trial in study.trials):
        words.append(Text("No trial has a result yet."))
    words += _chances(study)
    share = saved(study.trials)
    if share > 0:
        words.append(
            Text(
                f"Pruning saved about {percent(share)} of the epochs that there would have been, "
                "had pruned trials run as long as the complete ones of their arm do on average."
            )
        )
    return words


def _chances(study: StudyView) -> list[Text]:
    """Whether the search ended before all arms had as many trials."""
    ended = Counter(trial.arm for trial in study.trials if trial.state != "running")
    counts = [ended[arm.name] for arm in study.arms if not arm.parked]
    several = [count for count in counts if count > 1]  # an arm that is fixed needs one
    if not several or max(several) - min(several) <= 1:  # fine-tuning is one more
        return []
    told = f"The search ended when arms had had from {min(several)} to {max(several)} trials"
    if study.confirmations:
        return [Text(f"{told}; each was judged by the best of its first {min(several)}.")]
    return [Text(f"{told}: those with more had more chances.", "note")]


def saved(trials: Sequence[TrialView]) -> float:
    """The share of epochs that pruning saved; 0 where no arm has both kinds of trials.

    A pruned trial is taken to have run, otherwise, as long as the complete ones of its arm.
    """
    ran = full = 0.0
    for arm in dict.fromkeys(trial.arm for trial in trials):
        own = [trial for trial in trials if trial.arm == arm and trial.curve]
        whole = [len(trial.curve) for trial in own if trial.state == "complete"]
        pruned = [len(trial.curve) for trial in own if trial.state == "pruned"]
        if whole:
            ran += sum(whole) + sum(pruned)
            full += sum(whole) + sum(max(epochs, fmean(whole)) for epochs in pruned)
    return 1 - ran / full if full else 0.0


def _states(study: StudyView) -> Table:
    rows: list[list[str | int | float | None]] = []
    for arm in study.arms:
        own = [trial for trial in study.trials if trial.arm == arm.name]
        states = [trial.state for trial in own]
        rows.append(
            [
                arm.name + (" (parked)" if arm.parked else ""),
                *(states.count(state) for state in ("complete", "pruned", "failed", "running")),
                sum(len(trial.curve) for trial in own),
                round(sum(trial.seconds for trial in own), 1),
            ]
        )
    return Table(
        ("arm", "complete", "pruned", "failed", "running", "epochs", "seconds"),
        rows,
        "Trials by state. Seconds include encoding, which the first trial to need it pays for all.",
        sortable=True,
    )
