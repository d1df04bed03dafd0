"""A stored study as one value."""

from __future__ import annotations

from mmauto.answers.compare import compare
from mmauto.store.study import StudyStore
from mmauto.views import StudyView


def study_view(store: StudyStore) -> StudyView:
    """Everything that was stored, with the comparison computed once."""
    arms, trials, confirmations = store.arms(), store.trials(), store.confirmations()
    truth, groups, ids = store.truth()
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
        ceiling=ceiling,
        notes=store.facts["notes"],
        comparison=compare(store.task, arms, trials, confirmations, truth, groups, ceiling=ceiling),
    )
