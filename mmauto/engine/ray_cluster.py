"""The connection to a Ray cluster (https://docs.ray.io), and the room that trials have on it."""

from __future__ import annotations

import importlib
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from mmauto.engine.jobs import Setup
from mmauto.engine.ray_shelf import Shelf, put_up
from mmauto.errors import ConfigError, MmautoError

MOST_ACTORS = 64
"""By default: the coordinator asks and stores for all of them."""


@contextmanager
def connected(address: str, cpus: float, gpus: float) -> Iterator[Cluster]:
    """A cluster to run trials on; one that this process is connected to already stays so.

    Args:
        address: of the head, ``host:port``; empty: the cluster that runs on this machine
            (``$RAY_ADDRESS``, or ``ray start``), else one of this machine alone, for as long as
            the search takes.
        cpus, gpus: of each trial; fractions share a device.

    Raises:
        ConfigError: Ray is not installed, or no cluster is at the address.
    """
    try:
        import ray
    except ImportError:
        raise ConfigError(
            "--engine ray needs the package ray, it is not installed here; "
            "use pip install mmauto[ray], on every machine of the cluster"
        ) from None
    ours = not ray.is_initialized()
    if ours:
        try:
            ray.init(address or None, log_to_driver=False, logging_level=logging.ERROR)
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise ConfigError(
                f"--address must name the head of a Ray cluster that this machine is part of, no "
                f"connection to {address or 'a cluster of this machine'!r} was possible "
                f"({_first_line(error)}); start one with ray start --head, and join it from here "
                "with ray start --address"
            ) from None
        _silence(True)
    cluster = Cluster(cpus, gpus)
    try:
        yield cluster
    finally:
        cluster.leave()
        if ours:
            ray.shutdown()
            _silence(False)


class Cluster:
    """Starts actors and gives each the data.

    Args:
        cpus, gpus: of each actor.
    """

    def __init__(self, cpus: float, gpus: float):
        import ray

        self.cpus, self.gpus = cpus, gpus
        self.home = ray.get_runtime_context().get_node_id()
        self._shared: tuple[Setup, Any] | None = None
        self._shelf: Shelf | None = None

    def workers(self, asked: int) -> int:
        """How many actors to start: as many as asked for, or as fit now up to `MOST_ACTORS`.

        Raises:
            ConfigError: the cluster is too small.
        """
        import ray

        most = self._fitting([node["Resources"] for node in ray.nodes() if node["Alive"]])
        if most < max(1, asked):
            needs = f"{self.cpus:g} CPUs" + (f" and {self.gpus:g} GPUs" if self.gpus else "")
            raise ConfigError(
                f"every worker needs {needs} of one node, this cluster has room for {most} and "
                f"{max(1, asked)} must run; join machines with ray start --address, or give less "
                "with --workers, --cpus-per-trial or --gpus-per-trial"
            )
        free = self._fitting([ray.available_resources()])
        return asked or max(1, min(most, free, MOST_ACTORS))

    def _fitting(self, places: list[dict[str, float]]) -> int:
        wanted = {"CPU": self.cpus, "GPU": self.gpus}
        asked = {name: amount for name, amount in wanted.items() if amount}
        slack = 1e-6  # of fractions
        return sum(
            min(int(has.get(name, 0.0) / amount + slack) for name, amount in asked.items())
            for has in places
        )

    def actor(self, squeezed: bool = False) -> Any:
        """A new actor with an executor.

        Args:
            squeezed: beside others, on a place that is taken.

        Raises:
            MmautoError: no place is left that could be shared.
        """
        import ray

        from mmauto.engine.ray_host import Host

        host: Any = ray.remote(Host)
        place = self._taken() if squeezed else {"num_cpus": self.cpus, "num_gpus": self.gpus}
        return host.options(
            **place,
            max_restarts=0,
            max_concurrency=4,  # it hears while it is asked
            runtime_env={"env_vars": environment()},
        ).remote(self.home)

    def _taken(self) -> dict[str, Any]:
        """Anywhere on a processor that is taken; a taken GPU is found by its node."""
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        if not self.gpus:
            return {"num_cpus": 0}
        for node in ray.nodes():
            if node["Alive"] and self._fitting([node["Resources"]]):
                only = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
                return {"num_cpus": 0, "num_gpus": 0, "scheduling_strategy": only}
        raise MmautoError(
            "trials need a machine with a GPU, none is left in the cluster; join one with "
            "ray start --address and give the same command again to continue"
        )

    def shared(self, setup: Setup) -> Any:
        """A reference to the setup, which is in the object store once for all actors."""
        import ray

        if self._shared is None or self._shared[0] is not setup:
            self._shelf = self._shelf or put_up(setup.cache, self.home)
            self._shared = setup, ray.put(replace(setup, shelf=self._shelf))
        return self._shared[1]

    def leave(self) -> None:
        """Take away what was put up."""
        if self._shelf is not None:
            self._shelf.sign.unlink(missing_ok=True)


def environment() -> dict[str, str]:
    """Variables of an actor: it must find the plugins that this process finds."""
    installed = tuple({sys.prefix, sys.base_prefix, sys.exec_prefix})
    own = [p for p in sys.path if p and not any(Path(p).is_relative_to(i) for i in installed)]
    # threads that spin while they wait would take the core that they wait for
    return {"PYTHONPATH": os.pathsep.join(own), "OMP_WAIT_POLICY": "PASSIVE"}


def _silence(quiet: bool) -> None:
    """Whether Ray keeps to itself what nodes say: else it stands among the lines of ``--json``."""
    worker: Any = importlib.import_module("ray._private.worker")
    worker._worker_logs_enabled = not quiet  # no option covers lost workers; Ray's debugger does so


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
