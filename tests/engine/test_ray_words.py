"""How words travel to an actor and back, and what its losses are called; no cluster is there."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import ray
from ray.exceptions import ActorDiedError, GetTimeoutError, RayTaskError

from mmauto.engine import ray_runner
from mmauto.engine.child_process import LostExecutorError
from mmauto.engine.jobs import Setup
from mmauto.engine.ray_runner import RayExecutor
from mmauto.errors import MmautoError
from mmauto.version import __version__

Answer = Callable[[], Any]


def lost() -> Any:
    raise ActorDiedError


def silent() -> Any:
    raise GetTimeoutError


def fine() -> Any:
    return False, __version__


class Places:
    """A cluster whose actors answer as they are told to."""

    def __init__(self, ready: Answer = fine, hear: Answer = silent, full: bool = False):
        answers = {"ready": ready, "hear": hear, "tell": lambda: None}
        self.answers, self.full, self.squeezed = answers, full, []

    def actor(self, squeezed: bool = False) -> Any:
        self.squeezed.append(squeezed)
        return SimpleNamespace(
            **{
                name: SimpleNamespace(remote=lambda *_, answer=answer: answer)
                for name, answer in self.answers.items()
            }
        )

    def shared(self, setup: Setup) -> Any:
        return setup


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch, setup: Setup) -> Callable[[Places], RayExecutor]:
    def start(places: Places) -> RayExecutor:
        def wait(references: list[Any], timeout: float) -> tuple[list[Any], list[Any]]:
            return ([], references) if places.full else (references, [])

        monkeypatch.setattr(ray, "wait", wait)
        monkeypatch.setattr(ray, "get", lambda reference, timeout: reference())
        cluster: Any = places
        executor = RayExecutor(cluster, 5.0, lambda text: None, lambda outcome: None)
        executor.use(setup)
        return executor

    return start


Start = Callable[[Places], RayExecutor]


def test_a_full_cluster_has_its_places_shared(started: Start) -> None:
    places = Places(full=True)
    started(places)
    assert places.squeezed[-2:] == [False, True]


def test_two_versions_are_refused(started: Start) -> None:
    with pytest.raises(MmautoError, match=r"need one version .* another has 0\.0; install the sam"):
        started(Places(ready=lambda: (True, "0.0")))


def test_a_worker_that_cannot_start_says_why(started: Start) -> None:
    def absent() -> Any:
        cause = RayTaskError("ready", "Traceback\nNo module named 'mmauto_gmu'", ImportError())
        raise ActorDiedError(cause)

    with pytest.raises(MmautoError, match=r"on one it did not: No module named 'mmauto_gmu'; inst"):
        started(Places(ready=absent))


def test_a_worker_that_does_not_start_in_time_ends_the_search(started: Start) -> None:
    with pytest.raises(MmautoError, match=r"must start within 600 seconds, .*; see ray status"):
        started(Places(ready=silent))


def test_one_that_is_lost_before_it_has_the_data_is_started_later(started: Start) -> None:
    executor = started(Places(ready=lost))
    assert executor.child is None


@pytest.mark.parametrize(
    ("hear", "kind", "message"),
    [
        (lost, "killed", "a worker of the cluster was lost"),
        (silent, "timeout", "a trial must report at least every 5 seconds"),
        (lambda: ("broken", "Traceback: why"), "killed", "a worker of the cluster broke down"),
    ],
)
def test_losses_have_kinds(started: Start, hear: Answer, kind: str, message: str) -> None:
    child = started(Places(hear=hear)).child
    assert child is not None
    with pytest.raises(LostExecutorError, match=message) as caught:
        child.receive(5.0)
    assert caught.value.kind == kind


def test_a_single_trial_gets_three_workers_and_a_silent_one_is_not_tried_again(
    started: Start, make_job: Callable[..., Any]
) -> None:
    for hear, actors in ((lost, ray_runner.LOSSES), (silent, 1)):
        places = Places(hear=hear)
        (outcome,) = started(places).run_pack([make_job(0)], lambda epoch, values: {})
        assert outcome.state == "failed"
        assert len(places.squeezed) == actors
