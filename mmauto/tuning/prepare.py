"""From a configuration to data that an executor can use: loaded, split, encoded, checked."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mmauto.config import StudyConfig
from mmauto.data.checks import check_dataset, keep_twins_together, twins_of
from mmauto.data.columns import DOMAIN
from mmauto.data.dataset import Dataset
from mmauto.data.folds import declared, fold_splits
from mmauto.data.places import cache_folder
from mmauto.data.splits import Splits, fingerprint, make_splits
from mmauto.data.subgroups import subgroup_cells, subgroup_labels
from mmauto.data.targets import encode_targets
from mmauto.engine.jobs import Setup
from mmauto.engine.metrics import default_metric, resolve_metric, score
from mmauto.errors import ConfigError
from mmauto.findings import Finding
from mmauto.registry import Registry
from mmauto.values import TargetSpec, TaskView
from mmauto.views import Predictions


@dataclass(frozen=True)
class Prepared:
    """Everything about the data that search, store and report need.

    Attributes:
        config: with the columns that were guessed, so that it says all.
        findings: warnings first.
    """

    config: StudyConfig
    setup: Setup
    task: TaskView
    findings: tuple[Finding, ...]
    fingerprint: str
    ceiling: Mapping[str, float]

    @property
    def rows(self) -> dict[str, int]:
        """Rows a split."""
        splits = self.setup.splits
        return {"train": len(splits.train), "valid": len(splits.valid), "test": len(splits.test)}

    def truth(self) -> dict[str, Predictions]:
        """Labels of the validation and test rows by split and target."""
        return {
            split: {name: values[rows] for name, values in self.setup.targets.items()}
            for split, rows in self._scored().items()
        }

    def learned(self) -> dict[str, list[int]]:
        """Target -> train rows of each class, where it has classes and a row has one."""
        rows = self.setup.splits.train
        return {
            name: [
                int((self.setup.targets[name][rows] == n).sum()) for n in range(len(spec.classes))
            ]
            for name, spec in self.task.targets.items()
            if spec.kind in ("binary", "multiclass")
        }

    def groups(self) -> dict[str, np.ndarray | None]:
        """Group labels by split, None where rows are independent."""
        labels = self.setup.dataset.groups
        return {
            split: None if labels is None else labels[rows]
            for split, rows in self._scored().items()
        }

    def ids(self) -> dict[str, np.ndarray]:
        """Row ids by split, those of train rows included."""
        return {
            side: self.setup.dataset.ids[rows] for side, rows in self.setup.splits.sides().items()
        }

    def subgroups(self) -> dict[str, np.ndarray]:
        """Column -> subgroup labels of the test rows."""
        splits = self.setup.splits
        # folds are read as one study, whose subgroups must have the same names
        cut_by = np.arange(len(self.setup.dataset)) if self.config.folds else splits.train
        return {
            name: subgroup_labels(cells, cut_by)[splits.test]
            for name, cells in self.setup.dataset.subgroups.items()
        }

    def _scored(self) -> dict[str, np.ndarray]:
        return {"valid": self.setup.splits.valid, "test": self.setup.splits.test}


def load(config: StudyConfig, registry: Registry) -> Dataset:
    """The task's data, or the user's table.

    Raises:
        DataError: it cannot be used.
        ConfigError: there is no such task.
    """
    named: dict[str, Any] = {
        "image": config.image, "text": config.text, "tabular": config.tabular,
        "target": config.target, "group": config.group, "split": config.split, "id": config.id,
        "domain": config.domain,
        "image_folder": config.image_folder,
    }  # fmt: skip
    unlabelled = any(
        registry.regulariser(name, "--regularisers").unlabelled
        for name in config.regularisers
        if name != "none"
    )
    if config.task:
        given = {key: value for key, value in named.items() if value not in ((), None)}
        for key in ("metric", "separator", "roles"):
            if getattr(config, key):
                given[key] = getattr(config, key)
        if config.data is not None:
            given |= {"max_bad": config.max_bad, "unlabelled": unlabelled}
            given |= {"subgroup": config.subgroup} if config.subgroup else {}
        return registry.task(config.task, "--task").load(
            config.data, {**given, "seed": config.seed}
        )
    from mmauto.data.table import read_table

    assert config.data is not None
    return read_table(
        config.data, name=config.whole.name, metric=config.metric, roles=config.roles,
        max_bad=config.max_bad, separator=config.separator, unlabelled=unlabelled,
        subgroup=config.subgroup, **named,
    )  # fmt: skip


def resolved(config: StudyConfig, dataset: Dataset) -> StudyConfig:
    """The configuration with every column's role as it was found, so that nothing is guessed."""
    if config.task or not dataset.roles:
        return config

    def named(*roles: str) -> tuple[str, ...]:
        return tuple(guess.column for guess in dataset.roles if guess.role in roles)

    def one(role: str) -> str:
        return next(iter(named(role)), "")

    inputs = {"image": config.image, "text": config.text, "tabular": config.tabular}
    if not any(inputs.values()):
        inputs = {
            "image": named("image"), "text": named("text"),
            "tabular": named("numeric", "categorical"),
        }  # fmt: skip
    # other tabular columns are read as what they hold
    kinds = {
        guess.column: guess.role
        for guess in dataset.roles
        if guess.role in ("numeric", "categorical")
        and (guess.column in config.roles or "count as missing" in guess.reason)
    }
    return replace(
        config,
        target=tuple(dataset.targets),
        image=inputs["image"],
        text=inputs["text"],
        tabular=inputs["tabular"],
        group=one("group"),
        split=one("split"),
        id=one("id"),
        domain=one("domain") or None,
        roles=kinds,
    )


def prepare(config: StudyConfig, registry: Registry, device: str) -> Prepared:
    """Load, split, encode and check; nothing has trained when an error comes.

    Args:
        device: as `find_device` gives it.

    Raises:
        MmautoError: the data or the configuration cannot be used.
    """
    dataset = load(config, registry)
    dataset = replace(dataset, subgroups=subgroup_cells(dataset, config.subgroup))
    config = resolved(config, dataset)
    twins = twins_of(dataset)
    dataset = keep_twins_together(dataset, twins)
    dataset, splits = _split(dataset, config)
    specs, targets, odd = encode_targets(dataset, splits)
    primary = next(iter(specs))
    metric = config.metric or dataset.targets[primary].metric or default_metric(specs[primary].kind)
    resolve_metric(metric, specs[primary].kind)
    task = TaskView(
        config.task or dataset.name,
        {k: c.modality for k, c in dataset.columns.items() if c.modality != DOMAIN},
        specs,
        primary,
        metric,
        dataset.simulated,
    )
    said = (*dataset.notes, *splits.notes, *odd)
    findings = (
        *dataset.findings, *check_dataset(dataset, splits, targets, twins),
        *(Finding("reading", note) for note in said),
    )  # fmt: skip
    setup = Setup(
        replace(dataset, looks={}), splits, specs, targets, metric, _weighted(config, metric),
        device, str(cache_folder() / "features"),
    )  # fmt: skip
    return Prepared(
        config, setup, task, tuple(sorted(findings, key=lambda found: not found.warning)),
        fingerprint(dataset, splits), ceiling(dataset, splits, specs, targets, metric),
    )  # fmt: skip


def _split(dataset: Dataset, config: StudyConfig) -> tuple[Dataset, Splits]:
    """The rows of each side; of one fold, with the classes of all, where it is one."""
    if not config.folds:
        return dataset, make_splits(dataset, config.seed)
    return declared(dataset), fold_splits(dataset, config.seed, config.folds, max(1, config.fold))


def ceiling(
    dataset: Dataset,
    splits: Splits,
    specs: Mapping[str, TargetSpec],
    targets: Mapping[str, np.ndarray],
    metric: str,
) -> dict[str, float]:
    """Observer -> primary metric of the ideal observer on the test rows (simulated data only)."""
    primary = next(iter(specs))
    return {
        observer: score(metric, specs[primary], targets[primary][splits.test], scores[splits.test])
        for observer, scores in dataset.ideal.items()
    }


def find_device(asked: str) -> str:
    """``cpu`` or ``cuda[:n]``.

    Raises:
        ConfigError: the device that was asked for is not there.
    """
    if asked == "cpu" or (asked == "auto" and shutil.which("nvidia-smi") is None):
        return "cpu"
    import torch

    there = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if asked == "auto":
        return "cuda" if there else "cpu"
    index = int(asked.partition(":")[2] or 0)
    if index >= there:
        raise ConfigError(
            f"a device must exist, --device {asked} was asked for and torch sees {there} CUDA "
            "devices; use --device cpu, or install a CUDA build of torch"
        )
    return asked


def _weighted(config: StudyConfig, metric: str) -> bool:
    if config.class_weights == "auto":
        # classes count alike in these metrics, so they should in the loss
        return metric in ("balanced_accuracy", "f1", "recall")
    return config.class_weights == "balanced"
