"""What a study notes about itself so that it can be run again."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import os
import platform
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmauto.config import KEPT, StudyConfig, plain
from mmauto.toml import read_toml, write_toml
from mmauto.version import __version__

PACKAGES = (
    "torch", "torchvision", "transformers", "optuna", "scikit-learn", "sqlalchemy", "plotly",
    "numpy", "timm",
)  # fmt: skip


def environment(device: str) -> dict[str, Any]:
    """Versions and the machine, as JSON values."""
    versions = {"mmauto": __version__, "python": platform.python_version()}
    for name in PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {
        "versions": versions,
        "platform": platform.platform(),
        "processor": _processor(),
        "cores": os.cpu_count() or 1,
        "device": device,
    }


def command(config: StudyConfig) -> str:
    """The shell command that runs this study again."""
    if config.space or config.arms:  # no flag can say these
        return f"mmauto search {shlex.quote(str(config.folder / 'study.toml'))}"
    words = ["mmauto", "search"]
    usual = plain(StudyConfig())
    for item in dataclasses.fields(config):
        value = plain(config).get(item.name)
        if value is None or value == usual.get(item.name):
            continue
        if isinstance(value, dict):
            words += [w for key, role in value.items() for w in ("--role", f"{key}={role}")]
            continue
        text = ",".join(value) if isinstance(value, list) else str(value)
        words += [f"--{item.name.replace('_', '-')}", text]
    return shlex.join(words)


def kept_settings(file: Path) -> dict[str, Any]:
    """Those of `KEPT` that a ``study.toml`` has; none where there is no file.

    Raises:
        ConfigError: it cannot be read.
    """
    values = read_toml(file) if file.exists() else {}
    return {name: values[name] for name in KEPT if name in values}


def write_study_toml(
    path: Path, config: StudyConfig, about: Mapping[str, Any], fingerprint: str
) -> None:
    """``study.toml``: a study file that `mmauto search` reads, with a record of how it ran."""
    values = {key: value for key, value in plain(config).items() if key != "space"}
    record = {"fingerprint": fingerprint, **about}
    write_toml(path, {**values, "space": dict(config.space), "record": record})


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
