"""Study files: TOML in, TOML out."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmauto.errors import ConfigError


def read_toml(path: Path) -> dict[str, Any]:
    """A study file as a mapping; the record of an earlier run in it is left out.

    Raises:
        ConfigError: there is no such file, or it is not TOML.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(
            f"a study file must exist, {path} does not; give a path to a .toml file, or use "
            "--task or --data"
        ) from None
    except (ValueError, RecursionError, OSError) as error:  # also of numbers without an end
        raise ConfigError(f"a study file must be TOML, {path} is not: {error}") from error
    values.pop("record", None)
    return values


def write_toml(path: Path, values: Mapping[str, Any]) -> None:
    """Write a mapping as TOML."""
    import tomli_w

    path.write_text(tomli_w.dumps(values), encoding="utf-8")
