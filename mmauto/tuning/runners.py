"""What trains the trials: processes of this machine, or actors of a Ray cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from mmauto.config import StudyConfig
from mmauto.engine.jobs import Outcome
from mmauto.engine.process import ProcessExecutor
from mmauto.tuning.crew import cores, default_workers
from mmauto.tuning.prepare import find_device

if TYPE_CHECKING:
    from mmauto.engine.ray_cluster import Cluster


@contextmanager
def cluster_of(config: StudyConfig) -> Iterator[Cluster | None]:
    """The cluster that the study asks for, held as long as it runs; None: this machine alone.

    Raises:
        ConfigError: there is no such cluster.
    """
    if config.engine == "local":
        yield None
        return
    from mmauto.engine.ray_cluster import connected

    with connected(config.address, config.cpus_per_trial, config.gpus_per_trial) as cluster:
        yield cluster


def device_of(config: StudyConfig) -> str:
    """``cpu`` or ``cuda[:n]``; the coordinator of a cluster needs no GPU of its own.

    Raises:
        ConfigError: the device that was asked for is not there.
    """
    if config.engine == "local":
        return find_device(config.device)
    return "cuda" if config.gpus_per_trial else "cpu"


def make_runners(
    config: StudyConfig,
    cluster: Cluster | None,
    device: str,
    say: Callable[[str], None],
    done: Callable[[Outcome], None],
) -> Sequence[ProcessExecutor]:
    """As many executors as are asked for, starting already.

    Args:
        device: as `device_of` gives it.
        say, done: as in `ProcessExecutor`.

    Raises:
        ConfigError: the cluster has no room for so many.
    """
    silence = config.trial_timeout
    if cluster is None:
        count = config.workers or default_workers(device)
        return [ProcessExecutor(silence, say, done) for _ in range(count)]
    from mmauto.engine.ray_runner import RayExecutor

    count = cluster.workers(config.workers)
    return [RayExecutor(cluster, silence, say, done) for _ in range(count)]


def threads_each(config: StudyConfig, workers: int) -> int:
    """The cores that each of so many busy workers has for itself."""
    if config.engine == "local":
        return max(1, cores() // workers)
    return max(1, int(config.cpus_per_trial))
