"""After confirmation: the rows that are worth a look are kept, with what the winner looks at."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mmauto.answered import Example, Examples, Shown
from mmauto.answers.examples import picks
from mmauto.answers.view import study_view
from mmauto.config import StudyConfig
from mmauto.engine.child_process import LostExecutorError
from mmauto.engine.jobs import ExplainJob, Runner
from mmauto.engine.process import ProcessExecutor
from mmauto.store.examples import load_examples, save_examples
from mmauto.store.study import StudyStore
from mmauto.tuning.watch import Watcher

SECONDS = 12.0
"""Pieces are hidden for so long at most; reading the rows and the model comes on top."""


class Explaining:
    """Keeps the winner's surest mistakes and the rows on which arms disagree.

    Args:
        test: ``(N,)`` the test rows' places in the data.
    """

    def __init__(self, store: StudyStore, config: StudyConfig, watcher: Watcher, test: np.ndarray):
        self.store, self.config, self.watcher, self.test = store, config, watcher, test

    def run(self, runner: Runner) -> None:
        """Choose rows, ask the winner, and keep both; a runner that trains only is not asked."""
        if not isinstance(runner, ProcessExecutor) or not self.config.probe_rows:
            return
        self.store.flush()
        view = study_view(self.store)
        chosen = picks(view)
        arm = view.comparison.winner
        if arm is None or not chosen:
            return
        rows = tuple(Example(pick.row, pick.why) for pick in chosen)
        known = load_examples(self.store.folder)
        if known is not None and (known.arm, _places(known)) == (arm, _places(Examples(arm, rows))):
            return
        self.watcher.saying("looking at what the winner gets wrong")
        job = ExplainJob(
            str(self.store.folder / "models" / arm),
            self.test[[pick.row for pick in chosen]],
            np.array([pick.output for pick in chosen]),
            np.array([pick.sign for pick in chosen]),
            SECONDS,
        )
        save_examples(self.store.folder, self._asked(runner, job, Examples(arm, rows)))

    def _asked(self, runner: ProcessExecutor, job: ExplainJob, examples: Examples) -> Examples:
        parts: list[dict[str, Shown]] = [{} for _ in examples.rows]
        notes: list[str] = []

        def take(place: int, key: str, found: Shown | str) -> None:
            if isinstance(found, str):
                notes.append(found)
            else:
                parts[place][key] = found

        try:
            runner.explain(job, take)
        except LostExecutorError as lost:
            notes.append(f"what the winner looked at could not be told: {lost}")
        for note in notes:
            self.watcher.note(note)
        rows = [replace(row, parts=own) for row, own in zip(examples.rows, parts, strict=True)]
        return replace(examples, rows=tuple(rows), notes=tuple(notes))


def _places(examples: Examples) -> list[tuple[int, str]]:
    return [(row.row, row.why) for row in examples.rows]
