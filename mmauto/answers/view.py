"""A stored study as one value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from mmauto.answers.compare import compare
from mmauto.engine.thresholds import choose_thresholds
from mmauto.findings import Finding, RoleGuess
from mmauto.store.examples import load_examples
from mmauto.store.probes import load_probes
from mmauto.store.study import StudyStore
from mmauto.values import TaskView
from mmauto.views import ConfirmationView, Optimism, Predictions, StudyView

OPTIMISM = "optimism"
"""The fact of a study that holds the luck of choosing, by arm."""


def study_view(store: StudyStore) -> StudyView:
    """Everything that was stored, with the comparison computed once."""
    arms, trials = store.arms(), store.trials()
    truth, groups, ids = store.truth()
    confirmations = [decided(run, store.task, truth["valid"]) for run in store.confirmations()]
    ceiling = store.facts["ceiling"]
    _, seconds = store.state
    return StudyView(
        name=store.name,
        task=store.task,
        config=store.config,
        command=store.command,
        environment={**store.environment, "seconds": seconds, "created": store.created},
        arms=arms,
        trials=trials,
        confirmations=confirmations,
        truth=truth,
        groups=groups,
        ids=ids,
        rows=store.facts["rows"],
        learned=store.facts.get("learned", {}),
        ceiling=ceiling,
        findings=_findings(store.facts),
        roles=[RoleGuess(**guess) for guess in store.facts.get("roles", [])],
        licence=store.facts["licence"],
        optimism={n: Optimism(**one) for n, one in store.facts.get(OPTIMISM, {}).items()},
        probes=load_probes(store.folder),
        subgroups=store.subgroups(),
        examples=load_examples(store.folder),
        comparison=compare(store.task, arms, trials, confirmations, truth, groups, ceiling=ceiling),
    )


def decided(run: ConfirmationView, task: TaskView, truth: Predictions) -> ConfirmationView:
    """The run with the thresholds that its validation predictions suggest."""
    found = {}
    for name, given in run.valid.items():
        metric = task.metric if name == task.primary else ""
        found[name] = choose_thresholds(metric, task.targets[name], truth[name], given)
    return replace(run, thresholds=found)


def _findings(facts: Mapping[str, Any]) -> list[Finding]:
    # studies of the first release stored sentences
    said = [Finding("reading", note) for note in facts.get("notes", [])]
    return said + [Finding(**found) for found in facts.get("findings", [])]
