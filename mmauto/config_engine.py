"""Where trials run: settings of the engine that must fit together."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from mmauto.errors import ConfigError, unknown

if TYPE_CHECKING:
    from mmauto.config import StudyConfig

ENGINES = ("local", "ray")
ENGINE_SETTINGS = ("engine", "address", "cpus_per_trial", "gpus_per_trial")


def check_engine(config: StudyConfig, where: Callable[[str], str]) -> None:
    """Refuse what cannot run.

    Args:
        where: gives the name by which a message calls a setting.

    Raises:
        ConfigError: settings of a cluster without one, or shares of a device that is not used.
    """
    cpus, gpus = config.cpus_per_trial, config.gpus_per_trial
    if config.engine not in ENGINES:
        raise ConfigError(unknown("engine", config.engine, ENGINES, source=where("engine")))
    if not 0 < cpus < float("inf"):
        raise ConfigError(f"{where('cpus_per_trial')} must be a positive number, it is {cpus:g}")
    if not 0 <= gpus < float("inf"):
        raise ConfigError(f"{where('gpus_per_trial')} must be 0 or more, it is {gpus:g}")
    if config.engine == "local":
        given = {"address": config.address, "gpus_per_trial": gpus, "cpus_per_trial": cpus != 1.0}
        for key, value in given.items():
            if value:
                raise ConfigError(
                    f"{where(key)} is of a Ray cluster, the engine is {config.engine!r}; "
                    "leave it out, or add --engine ray"
                )
        return
    if gpus and config.device == "cpu":
        raise ConfigError(
            f"{where('gpus_per_trial')} is for trials on a GPU, --device is 'cpu'; "
            "leave one of them out"
        )
    if config.device.startswith("cuda") and (":" in config.device or not gpus):
        raise ConfigError(
            f"on a cluster Ray hands out the GPUs, --device {config.device} says nothing of how "
            "much of one a trial needs; use --gpus-per-trial 1 instead, or a fraction"
        )
