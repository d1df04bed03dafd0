"""Executors that share a generation decide as one executor would."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping, Sequence

import pytest

from mmauto.engine.jobs import Candidate, Outcome, Report, Runner, TrialJob
from mmauto.tuning.pruning import Halving
from mmauto.tuning.team import Team, shared_out

EPOCHS = 20


def curve(trial: int) -> list[float]:
    source = random.Random(trial)
    return [source.random() + epoch / EPOCHS for epoch in range(EPOCHS)]


class Made(Runner):
    """Gives each trial its own curve; some trials stop by themselves, or the executor fails."""

    def __init__(self, pause: float = 0.0, breaks: bool = False):
        self.pause, self.breaks = pause, breaks
        self.trained: list[int] = []

    def run_pack(self, jobs: Sequence[TrialJob], report: Report) -> Sequence[Outcome]:
        alive, ended = {job.id: curve(job.id) for job in jobs}, {}
        self.trained += alive
        for epoch in range(EPOCHS):
            time.sleep(self.pause)
            if self.breaks and epoch == 1:
                raise RuntimeError("this executor is lost")
            for trial in [t for t in alive if t % 5 == 4 and epoch == 7]:  # patience
                ended[trial] = Outcome(trial, "complete", curve=tuple(alive.pop(trial)[:7]))
            if not alive:
                break
            keep = report(epoch, {trial: values[epoch] for trial, values in alive.items()})
            for trial in [t for t, on in keep.items() if not on]:
                ended[trial] = Outcome(trial, "pruned", curve=tuple(alive.pop(trial)[: epoch + 1]))
        ended |= {t: Outcome(t, "complete", curve=tuple(values)) for t, values in alive.items()}
        return [ended[job.id] for job in jobs]

    def close(self) -> None: ...


def jobs(count: int = 12, pack: int = 3) -> list[TrialJob]:
    nothing = Candidate("fusion", "concat_mlp", (), {})
    return [
        TrialJob(trial, nothing, 0, EPOCHS, EPOCHS, pack=f"p{trial // pack}")
        for trial in range(count)
    ]


def reporting(asked: list[tuple[int, set[int]]]) -> Report:
    pruner = Halving(True, 100, EPOCHS, range(12), {})

    def report(epoch: int, values: Mapping[int, float]) -> Mapping[int, bool]:
        asked.append((epoch, set(values)))
        return pruner.keep(epoch, values)

    return report


@pytest.mark.parametrize("pauses", [(0.0, 0.0), (0.002, 0.0), (0.0, 0.001, 0.002)])
def test_a_team_ends_its_trials_where_one_executor_would(pauses: tuple[float, ...]) -> None:
    alone: list[tuple[int, set[int]]] = []
    wanted = Made().run_pack(jobs(), reporting(alone))
    asked: list[tuple[int, set[int]]] = []
    runners = [Made(pause) for pause in pauses]
    found = Team(runners).run_pack(jobs(), reporting(asked))
    assert found == wanted
    assert asked == alone
    assert all(runner.trained for runner in runners)
    assert sorted(trial for runner in runners for trial in runner.trained) == list(range(12))


def test_a_lost_executor_leaves_nobody_waiting() -> None:
    whole = Made()
    with pytest.raises(RuntimeError, match="is lost"):
        Team([whole, Made(breaks=True)]).run_pack(jobs(), reporting([]))
    assert whole.trained


def test_a_decision_that_fails_leaves_nobody_waiting() -> None:
    def report(epoch: int, values: Mapping[int, float]) -> Mapping[int, bool]:
        raise ValueError("no decision")

    with pytest.raises(ValueError, match="no decision"):
        Team([Made(), Made()]).run_pack(jobs(), report)


def test_a_large_pack_is_split_so_that_a_costly_shape_keeps_nobody_waiting() -> None:
    parts = shared_out(jobs(32, 16), 2)
    assert [[job.pack for job in part] for part in parts] == [["p0"] * 8 + ["p1"] * 8] * 2
    assert sorted(job.id for part in parts for job in part) == list(range(32))


def test_small_packs_stay_whole() -> None:
    parts = shared_out(jobs(12, 4), 2)
    assert [sorted({job.pack for job in part}) for part in parts] == [["p0", "p2"], ["p1"]]
    assert shared_out(jobs(2, 4), 3) == [jobs(2, 4)]


def test_jobs_without_a_pack_are_shared_one_by_one() -> None:
    single = [TrialJob(n, Candidate("fusion", "f", (), {}), n, 5, 5) for n in range(5)]
    assert [len(part) for part in shared_out(single, 2)] == [3, 2]
