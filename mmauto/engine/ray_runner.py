"""Executors on a Ray cluster, behind the same door as those in processes of this machine.

An actor runs the very loop that a child process runs (`mmauto.engine.child.serve`), so the
coordinator speaks to both alike; what differs is how a word travels, and what a loss means: a
machine of a cluster goes away without any trial's fault.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from mmauto.engine.child_process import Child, LostExecutorError
from mmauto.engine.jobs import NOTE, Outcome, Setup, TrialJob
from mmauto.engine.parcels import folders_read, packed, unpacked
from mmauto.engine.process import ProcessExecutor
from mmauto.engine.ray_cluster import Cluster
from mmauto.errors import MmautoError
from mmauto.version import __version__

LOSSES = 3
"""So many times may an executor be lost under one trial before it counts as the trial's fault."""

PATIENCE = 30.0
"""Seconds that a new actor may wait for a place of its own before it shares one with others: they
may be waiting for what it is to train."""

START = 600.0
"""Seconds in which an actor must have started on its place, and have read the data."""


class RayExecutor(ProcessExecutor):
    """The `Runner` door to one actor, started again on another node whenever it is lost.

    Args:
        cluster: where actors run.
        silence, say, done: as in `ProcessExecutor`.
    """

    lives = LOSSES

    def __init__(
        self,
        cluster: Cluster,
        silence: float,
        say: Callable[[str], None],
        done: Callable[[Outcome], None],
    ):
        self.cluster = cluster
        super().__init__(silence, say, done)

    def _begin_again(self, lost: LostExecutorError, left: Sequence[TrialJob]) -> None:
        self.say(f"{NOTE}{lost}; what it ran, {_named(left)}, runs again")

    def _start(self) -> Child:
        return _Actor(self.cluster, self.say)


def _named(jobs: Sequence[TrialJob]) -> str:
    one = "trial" if len(jobs) == 1 else "trials"
    return f"{one} {', '.join(str(job.id) for job in jobs)}"


class _Actor:
    """One actor and how words reach it."""

    def __init__(self, cluster: Cluster, say: Callable[[str], None]):
        self.cluster, self.say, self.away = cluster, say, False
        self.actor, self.begun = cluster.actor(), time.monotonic()

    def connect(self, setup: Setup) -> None:
        """Wait until the actor has started and hand it the setup.

        Raises:
            MmautoError: it cannot start.
            LostExecutorError: its node went away.
        """
        if not self._placed():
            self.say("the cluster is full: a worker shares its place with others")
            self.kill()
            self.actor = self.cluster.actor(squeezed=True)
        self.away, version = self._first(self.actor.ready.remote())
        if version != __version__:
            raise MmautoError(
                f"all machines of a cluster need one version of mmauto, this one has "
                f"{__version__} and another has {version}; install the same everywhere"
            )
        self._first(self.actor.tell.remote(self.cluster.shared(setup), {}))

    def send(self, message: Any) -> None:
        """Say something, with the bundles that it needs where they are out of reach."""
        folders = folders_read(message) if self.away else ()
        parcels = {folder: packed(Path(folder)) for folder in folders}
        self._get(self.actor.tell.remote(message, parcels), START)

    def receive(self, silence: float) -> tuple[str, Any]:
        """The next word that is for the coordinator; bundles are written where they belong.

        Raises:
            LostExecutorError: the actor is gone, or said nothing for ``silence`` seconds.
        """
        while True:
            word, content = self._get(self.actor.hear.remote(), silence)
            if word == "broken":
                raise LostExecutorError("killed", "a worker of the cluster broke down", content)
            if word != "bundle":
                return word, content
            folder, parcel = content
            unpacked(parcel, Path(folder))

    def kill(self) -> None:
        """End the actor, at once."""
        import ray

        if ray.is_initialized():
            ray.kill(self.actor)

    def _placed(self) -> bool:
        import ray

        wait = max(0.0, self.begun + PATIENCE - time.monotonic())
        done, _ = ray.wait([self.actor.ready.remote()], timeout=wait)
        return bool(done)

    def _first(self, reference: Any) -> Any:
        """An actor's first answers: it may be that no actor can ever give them."""
        from ray.exceptions import RayActorError, RayTaskError, RuntimeEnvSetupError

        try:
            return self._get(reference, START)
        except LostExecutorError as lost:
            cause = lost.__cause__
            if lost.kind == "timeout":
                raise MmautoError(
                    f"a worker must start within {START:g} seconds, on this cluster one did not; "
                    "see ray status, and give the same command again to continue"
                ) from None
            never = isinstance(cause, RayActorError) and cause.actor_init_failed
            if not never and not isinstance(cause, RayTaskError | RuntimeEnvSetupError):
                raise
            raise MmautoError(
                "a worker must start on every machine of the cluster, on one it did not: "
                f"{lost.log.splitlines()[-1]}; install the same mmauto and plugins everywhere"
            ) from None

    def _get(self, reference: Any, wait: float) -> Any:
        import ray
        from ray.exceptions import GetTimeoutError, RayError

        try:
            return ray.get(reference, timeout=wait)
        except GetTimeoutError:
            raise LostExecutorError(
                "timeout",
                f"a trial must report at least every {wait:g} seconds, this one did not; "
                "its worker was ended (where an epoch takes longer, raise --trial-timeout)",
                "",
            ) from None
        except RayError as error:
            raise LostExecutorError(
                "killed", "a worker of the cluster was lost", str(error).strip()
            ) from error
