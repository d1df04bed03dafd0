"""What a study is asked to do: flags, study files and the Python API end in one value."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmauto.config_check import check, typed
from mmauto.config_engine import ENGINE_SETTINGS
from mmauto.config_space import MOST_NAME
from mmauto.errors import ConfigError, unknown
from mmauto.storage import without_password

KEPT = ("time", "trial_timeout", "workers", "probe_rows", "subgroup")
"""Settings that may differ when a study continues: they do not change what a trial means. Unless
they are given anew they are those of its ``study.toml``."""

NOT_IDENTITY = {"name", "out", "storage", *KEPT, *ENGINE_SETTINGS}
"""Settings that are not compared when a study continues."""


@dataclass(frozen=True)
class StudyConfig:
    """A study's configuration; every field has the same name in a study file.

    Attributes:
        task: a built-in or plugged-in task; empty when ``data`` and ``target`` define one.
        data: a table, or a folder with ``data.csv``.
        image, text, tabular, target: column names; empty: the task's own, or guessed.
        group, split, id: column names; None: those of this name, or guessed; empty: off.
        domain: column that says where a row comes from; each value gets a domain adapter.
        subgroup: columns by whose values the report breaks the answers down; that makes none of
            them an input. A finished study may be continued with others: nothing is trained.
        roles: column -> role, over what is guessed of a table.
        image_folder: where image paths start; None: the table's folder.
        max_bad: share of the images that may be unusable; they count as missing.
        separator: between the labels of a multilabel target.
        trials: per arm.
        time: seconds for the whole search, confirmation included; None: no limit.
        epochs, patience: per trial; early stopping on the validation metric.
        encoders, fusions, controls: names to use; empty: the defaults; fusions may be ``all``.
        exclude: names of encoders, fusions, controls or arms to leave out.
        preset: ``thorough`` adds the trained encoders and gives trials more epochs.
        arms: name -> an arm of the study's own: ``fusion``, and optionally ``modalities`` and a
            ``space`` of its own; with it only named fusions have arms beside.
        space: parameter -> a fixed value, a list of choices, or ``{low, high, log}``.
        generation: candidates that an arm asks for at once.
        pack: candidates in a row that share their shapes and differ in learning rate, weight decay
            and dropout, so that they can train as one stacked model; 1: every one has its own.
        finetune: after the search, the best candidates of the ``topN`` arms are trained on, their
            frozen encoders included; ``auto`` is ``top3`` on a GPU and ``none`` on a CPU.
        finetune_epochs: of that second stage.
        warm_start: an earlier study (its folder, or its name under ``out``) whose best candidates
            each arm tries first.
        soup: so many of a confirmation run's best checkpoints may be averaged, as far as
            validation gains by it; 1: none.
        probe_rows: test rows on which the confirmed models are asked what they rely on and how they
            break; 0: they are not asked.
        workers: executors side by side; 0: one a core on a CPU, one on a GPU, a cluster full.
        engine, address: ``local``, or ``ray``: a Ray cluster, and its head, ``host:port``.
        cpus_per_trial, gpus_per_trial: what a worker takes of it; fractions share a device.
        folds: so many whole studies, in which every row is tested once; 0: one study, one split.
        fold: which of them this is, from 1; 0: all of them. Set by `part` only.
        storage: URL of a database that several studies share, without its password; empty: a file
            in the study's folder.
        trial_timeout: seconds without a word from a trial after which it counts as hung and its
            process is ended. A pack says one after each epoch, and an encoder while it encodes; a
            trial may take as long as its epochs do, and all of them together as long as ``time``.
    """

    task: str = ""
    data: str | None = None
    name: str = ""
    out: str = "studies"
    storage: str = ""
    image: tuple[str, ...] = ()
    text: tuple[str, ...] = ()
    tabular: tuple[str, ...] = ()
    target: tuple[str, ...] = ()
    group: str | None = None
    split: str | None = None
    id: str | None = None
    domain: str | None = None
    subgroup: tuple[str, ...] = ()
    roles: Mapping[str, str] = field(default_factory=dict)
    image_folder: str | None = None
    max_bad: float = 0.05
    separator: str = ""
    metric: str = ""
    class_weights: str = "auto"
    trials: int = 16
    time: float | None = None
    epochs: int = 20
    patience: int = 5
    encoders: tuple[str, ...] = ()
    fusions: tuple[str, ...] = ()
    controls: tuple[str, ...] = ()
    regularisers: tuple[str, ...] = ("none",)
    exclude: tuple[str, ...] = ()
    preset: str = "default"
    seed: int = 0
    device: str = "auto"
    sampler: str = "tpe"
    pruner: str = "halving"
    confirm_seeds: int = 5
    generation: int = 8
    pack: int = 4
    finetune: str = "auto"
    finetune_epochs: int = 5
    soup: int = 1
    probe_rows: int = 400
    folds: int = 0
    fold: int = 0
    warm_start: str | None = None
    workers: int = 0
    engine: str = "local"
    address: str = ""
    cpus_per_trial: float = 1.0
    gpus_per_trial: float = 0.0
    trial_timeout: float = 600.0
    arms: Mapping[str, Any] = field(default_factory=dict)
    space: Mapping[str, Any] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """Where the study's files stand."""
        return Path(self.out) / self.name

    @property
    def title(self) -> str:
        """The study's name among others: a fold has that of the whole, too."""
        return f"{self.whole.name}/{self.fold}" if self.fold else self.name

    def part(self, fold: int) -> StudyConfig:
        """The study of one fold, counted from 1, in ``folds/`` of this one's folder."""
        own: dict[str, Any] = {"fold": fold, "name": str(fold), "out": str(self.folder / "folds")}
        if self.warm_start is not None and (Path(self.out) / self.warm_start).exists():
            own["warm_start"] = str(Path(self.out) / self.warm_start)
        if self.time is not None:
            own["time"] = self.time / self.folds
        return dataclasses.replace(self, **own)

    @property
    def whole(self) -> StudyConfig:
        """The study that this fold is a part of; itself where it is none."""
        folder = Path(self.out).parent
        own = dataclasses.replace(self, fold=0, name=folder.name, out=str(folder.parent))
        return own if self.fold else self

    def identity(self) -> dict[str, Any]:
        """The part that must be equal when a study continues, as JSON values."""
        return {k: v for k, v in plain(self).items() if k not in NOT_IDENTITY}


def plain(config: StudyConfig) -> dict[str, Any]:
    """The configuration as JSON values, None left out."""
    found: dict[str, Any] = {}
    for item in dataclasses.fields(config):
        value = getattr(config, item.name)
        if value is None:
            continue
        if isinstance(value, tuple):
            found[item.name] = list(value)
        else:
            found[item.name] = dict(value) if isinstance(value, Mapping) else value
    return found


def from_mapping(values: Mapping[str, Any], source: str = "") -> StudyConfig:
    """A checked configuration.

    Args:
        source: named in messages, e.g. the study file; keys are named as ``--key`` without it.

    Raises:
        ConfigError: an unknown key, a wrong type or an impossible value.
    """
    fields = {item.name: item for item in dataclasses.fields(StudyConfig)}
    clean: dict[str, Any] = {}
    for key, value in values.items():
        where = f"{source}: {key}" if source else f"--{key.replace('_', '-')}"
        if key not in fields:
            raise ConfigError(unknown("setting", key, fields, source=source))
        clean[key] = typed(where, str(fields[key].type), value)
        if key == "storage" and value:
            clean[key] = without_password(clean[key], where)
    config = StudyConfig(**clean)
    if not config.name:
        config = dataclasses.replace(config, name=default_name(config))
    check(config, source)
    return config


def default_name(config: StudyConfig) -> str:
    """The task's name, with the data's where the data is the user's own."""
    stem = ""
    if config.data is not None:
        path = Path(config.data)
        stem = path.stem if path.suffix and path.stem != "data" else path.resolve().name
        stem = path.resolve().parent.name if path.stem == "data" and path.suffix else stem
    parts = [part for part in (config.task, stem) if part]
    found = re.sub(r"[^A-Za-z0-9_.-]+", "-", "-".join(parts)).strip("-._")
    return found[:MOST_NAME] or "study"


def difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """``key: old -> new`` for each setting that differs."""
    keys = sorted(set(old) | set(new))
    return [
        f"{key}: {old.get(key, 'unset')!r} -> {new.get(key, 'unset')!r}"
        for key in keys
        if old.get(key) != new.get(key)
    ]
