"""What the settings of a study may be."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmauto.config_engine import check_engine
from mmauto.config_space import NAME, check_arm, dimension
from mmauto.errors import ConfigError, unknown

if TYPE_CHECKING:
    from mmauto.config import StudyConfig

SAMPLERS = ("tpe", "random", "qmc", "gp")
PRUNERS = ("halving", "median", "hyperband", "none")
PRESETS = ("default", "thorough")
CLASS_WEIGHTS = ("auto", "balanced", "none")
LEAST_FOLDS, MOST_FOLDS = 3, 20
MOST_SEED = 2**32 - 1
"""NumPy and scikit-learn take no larger one."""


def typed(where: str, kind: str, value: Any) -> Any:
    """``value`` as the field's type; a list of names may be given as one text.

    Raises:
        ConfigError: it is of another type.
    """
    kind = kind.removesuffix(" | None")
    if value is None:
        return None
    if kind.startswith("tuple"):
        items = [value] if isinstance(value, str) else value
        if not isinstance(items, Sequence) or not all(isinstance(item, str) for item in items):
            raise ConfigError(f"{where} must be a list of names, it is {value!r}")
        return tuple(items)
    if kind == "float" and isinstance(value, int) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:  # whole numbers of a study file have no end
            raise ConfigError(f"{where} must be a number of less than 300 digits") from None
    wanted: Any = {"str": str, "int": int, "float": float}.get(kind, Mapping)
    if kind == "str" and isinstance(value, Path):
        return str(value)
    if kind == "str" and isinstance(value, str) and "\0" in value:
        raise ConfigError(f"{where} must be a text without NUL characters, it is {value!r}")
    if not isinstance(value, wanted) or isinstance(value, bool):
        noun = {"str": "a text", "int": "a whole number", "float": "a number"}.get(kind, "a table")
        raise ConfigError(f"{where} must be {noun}, it is {value!r}")
    return value


def check(config: StudyConfig, source: str) -> None:
    """Refuse values that are impossible, or do not fit together.

    Raises:
        ConfigError: as said.
    """

    def where(key: str) -> str:
        return f"{source}: {key}" if source else f"--{key.replace('_', '-')}"

    for key, least in (
        ("trials", 1), ("epochs", 1), ("patience", 1), ("generation", 1), ("pack", 1),
        ("confirm_seeds", 1), ("finetune_epochs", 1), ("seed", 0), ("workers", 0),
        ("probe_rows", 0), ("soup", 1),
    ):  # fmt: skip
        if getattr(config, key) < least:
            raise ConfigError(
                f"{where(key)} must be at least {least}, it is {getattr(config, key)}"
            )
    if config.folds and not LEAST_FOLDS <= config.folds <= MOST_FOLDS:
        raise ConfigError(
            f"{where('folds')} must be from {LEAST_FOLDS} to {MOST_FOLDS}, it is {config.folds}; "
            "leave it out for a single split"
        )
    if not 0 <= config.max_bad < 1:
        raise ConfigError(
            f"{where('max_bad')} must be a share from 0 to less than 1, or like 5%, it is "
            f"{config.max_bad:g}"
        )
    if config.seed > MOST_SEED:
        raise ConfigError(f"{where('seed')} must be at most {MOST_SEED}, it is {config.seed}")
    for key in ("time", "trial_timeout"):
        value = getattr(config, key)
        if value is not None and not 0 < value < float("inf"):
            raise ConfigError(f"{where(key)} must be a positive number of seconds, it is {value:g}")
    for key, options in (
        ("sampler", SAMPLERS), ("pruner", PRUNERS), ("preset", PRESETS),
        ("class_weights", CLASS_WEIGHTS),
    ):  # fmt: skip
        if getattr(config, key) not in options:
            raise ConfigError(unknown(key, getattr(config, key), options, source=where(key)))
    if not config.task and config.data is None:
        raise ConfigError(
            "a search needs a task or data, neither was given; "
            "use --task medical, or --data TABLE with --target COLUMN"
        )
    if not NAME.fullmatch(config.name):
        raise ConfigError(
            f"{where('name')} must be letters, digits, '.', '_' or '-' (no folders), "
            f"it is {config.name!r}"
        )
    own = config.name, config.folder
    if config.warm_start is not None and config.warm_start in map(str, own):
        raise ConfigError(
            f"a study cannot begin with its own results, {where('warm_start')} names this one, "
            f"{config.warm_start!r}; give it another name, or continue it with --resume"
        )
    if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", config.device):
        raise ConfigError(
            f"{where('device')} must be auto, cpu, cuda or cuda:N, it is {config.device!r}"
        )
    check_engine(config, where)
    if not re.fullmatch(r"auto|none|top[1-9]\d*", config.finetune):
        raise ConfigError(
            f"{where('finetune')} must be auto, none or like top3, it is {config.finetune!r}"
        )
    for name, given in config.space.items():
        dimension(f"{where('space')}.{name}", given)
    for name, arm in config.arms.items():
        check_arm(f"{where('arms')}.{name}", name, arm)
