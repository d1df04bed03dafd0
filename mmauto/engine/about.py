"""What ``bundle.json`` must say before any of it is used: a bundle may come from a stranger."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

import numpy as np

from mmauto.config_space import NAME
from mmauto.values import Kind


def check_about(about: Any) -> None:
    """Refuse what `mmauto.engine.save` never writes.

    Raises:
        ValueError: the part that is at fault.
    """
    _need(isinstance(about, dict), "a JSON object")
    _need(about.get("kind") in ("fusion", "control"), "kind: fusion or control")
    _need(isinstance(about.get("component"), str), "component: a name")
    _need(isinstance(about.get("params"), dict), "params: an object")
    _need(_texts(about.get("plugins"), dict), "plugins: names")
    widths = _targets(about.get("targets"))
    _columns(about.get("columns"), about.get("modalities"))
    _cuts(about.get("thresholds", {}), widths)
    domain = about.get("domain") or {"source": ["-"], "names": []}
    _need(
        isinstance(domain, dict) and _texts(domain.get("names")) and _texts(domain.get("source")),
        "domain: its names and its column",
    )
    _need(len(domain["source"]) == 1, "domain: one column")
    _need(isinstance(about.get("id", "id"), str), "id: a name")
    if about["kind"] == "control":
        _control(about.get("control"))
    else:
        _need(_scales(about.get("regression"), about["targets"]), "regression: centre and spread")


def _need(fine: object, what: str) -> None:
    if not fine:
        raise ValueError(f"it must say {what}")


def _texts(values: Any, kind: type = list) -> bool:
    """Whether it is a list of texts, or an object of them."""
    inner = values.values() if isinstance(values, dict) else values
    return isinstance(values, kind) and all(isinstance(value, str) for value in inner)


def _targets(targets: Any) -> dict[str, int]:
    """Target -> outputs."""
    _need(isinstance(targets, list) and targets, "targets: a list")
    widths = {}
    for spec in targets:
        fine = isinstance(spec, dict) and isinstance(spec.get("name"), str)
        _need(fine and spec.get("kind") in get_args(Kind), "targets: a name and a kind each")
        _need(_texts(spec.get("classes")), "targets: classes")
        count = len(spec["classes"])
        enough = {"regression": count == 0, "binary": count == 2}.get(spec["kind"], count > 1)
        _need(enough, "targets: as many classes as their kind has")
        widths[spec["name"]] = count if spec["kind"] in ("multiclass", "multilabel") else 1
    return widths


def _columns(columns: Any, modalities: Any) -> None:
    _need(isinstance(columns, dict) and columns, "columns: an object")
    _need(_texts(modalities) and set(modalities) == set(columns), "modalities: the columns")
    for about in columns.values():
        _need(isinstance(about, dict), "columns: an object each")
        for part in ("modality", "encoder"):
            _need(isinstance(about.get(part), str), f"columns: their {part}")
        fields, source = about.get("fields"), about.get("source", [])
        _need(_texts(fields, dict), "columns: their fields")
        _need(set(fields.values()) <= {"numeric", "categorical"}, "columns: kinds of fields")
        _need(_texts(source), "columns: their source")
        _need(isinstance(about.get("state"), dict), "columns: their state")
        alone = about["modality"] == "tabular" or len(source) < 2
        _need(alone, "columns: one column of the table each")


def _cuts(thresholds: Any, widths: Mapping[str, int]) -> None:
    _need(isinstance(thresholds, dict), "thresholds: an object")
    for name, cuts in thresholds.items():
        _need(_numbers(cuts) and len(cuts) in (0, widths.get(name)), "thresholds: one an output")


def _scales(scales: Any, targets: Any) -> bool:
    names = {spec["name"] for spec in targets if spec["kind"] == "regression"}
    return (
        isinstance(scales, dict)
        and set(scales) >= names
        and all(_numbers(pair) and len(pair) == 2 for pair in scales.values())
    )


def _numbers(values: Any) -> bool:
    return isinstance(values, list) and all(
        isinstance(value, int | float) and np.isfinite(value) for value in values
    )


def _control(control: Any) -> None:
    _need(isinstance(control, dict) and isinstance(control.get("plain"), dict), "control: a state")
    names = control.get("estimators")
    # each is a file of the bundle, and of no other folder
    _need(_texts(names) and all(map(NAME.fullmatch, names)), "control: names of estimators")
