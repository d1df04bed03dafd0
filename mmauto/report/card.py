"""A model card beside each bundle: what the model is, how well it works, and where it fails.

The headings follow Mitchell et al. 2019, Model Cards for Model Reporting (FAT*).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mmauto.answers.scores import scores_of
from mmauto.engine.metrics import METRICS
from mmauto.engine.thresholds import centred
from mmauto.views import Standing, StudyView

CARD = "README.md"


def write_cards(view: StudyView, folder: Path) -> None:
    """Write ``models/ARM/README.md`` for every confirmed arm that has a bundle."""
    for line in view.comparison.standings:
        place = folder / "models" / line.arm.name
        if not (place / "bundle.json").is_file():
            continue
        about = json.loads((place / "bundle.json").read_text(encoding="utf-8"))
        fresh = place / f"{CARD}.tmp"
        fresh.write_text(render_card(view, line, about), encoding="utf-8")
        fresh.replace(place / CARD)


def render_card(view: StudyView, line: Standing, about: Mapping[str, Any]) -> str:
    """The card of one arm as Markdown.

    Args:
        about: the bundle's ``bundle.json``.
    """
    parts = [f"# {_inert(view.name)}: {line.arm.name}", _summary(view, line)]
    for title, lines in (
        ("Intended use", _use(view)), ("Data", _data(view)), ("Results", _results(view, line)),
        ("Known failures and limits", _failures(view, line)), ("Cost", _cost(line)),
        ("Model", _model(line, about)), ("Licences", _licences(view, about)),
        ("How to use it", _how(view, line, about)),
    ):  # fmt: skip
        parts.append(f"## {title}\n" + "\n".join(lines))
    return "\n\n".join(parts) + "\n"


def _summary(view: StudyView, line: Standing) -> str:
    chosen = " The study chose it on validation." if line.arm.name == view.comparison.winner else ""
    return f"{line.arm.summary[:1].upper()}{line.arm.summary[1:]}.{chosen}"


def _use(view: StudyView) -> Iterator[str]:
    inputs = ", ".join(view.task.modalities)
    yield (
        f"Predicts `{_inert(view.task.primary)}` from {_inert(inputs)}, for rows that are drawn "
        "like those it was trained on. Its figures say nothing about other sources, times or "
        "places: run `mmauto evaluate` on labelled rows of your own before relying on it."
    )
    if view.task.simulated:
        yield "\n**The data is simulated.** This model must not be used on real rows."


def _data(view: StudyView) -> Iterator[str]:
    rows = ", ".join(f"{count:,} {split}" for split, count in view.rows.items())
    given = view.config.get("split")
    how = f"as column `{_inert(given)}` says" if given else f"cut with seed {view.config['seed']}"
    yield f"- rows: {rows}; the split is {how}"
    if view.groups.get("test") is not None:
        yield "- rows of one group, or with an equal picture, stand on one side of the split"
    for name, spec in view.task.targets.items():
        classes = f": {', '.join(_inert(c) for c in spec.classes)}" if spec.classes else ""
        yield f"- target `{_inert(name)}`, {spec.kind}{classes}"
    for found in view.findings:
        yield f"- {'warning: ' if found.warning else ''}{_inert(str(found))}"


def _results(view: StudyView, line: Standing) -> Iterator[str]:
    yield (
        f"Mean over {line.seeds} seeds; intervals (95 %) resample rows"
        f"{' in whole groups' if view.groups.get('test') is not None else ''} and seeds.\n"
    )
    yield "| metric | test [95 % interval] |\n|---|---|"
    for name, found in scores_of(view, line.arm.name).items():
        used = " (the study's metric)" if name == view.task.metric else ""
        yield (
            f"| {METRICS[name].label}{used} | {found.value:.3f} [{found.low:.3f}, "
            f"{found.high:.3f}] |"
        )
    if line.difference is not None:
        gain = line.difference
        yield (
            f"\nGain over {view.comparison.reference}, the best single modality: {gain.value:+.3f} "
            f"[{gain.low:+.3f}, {gain.high:+.3f}] (positive is better)."
        )


def _failures(view: StudyView, line: Standing) -> Iterator[str]:
    weakest = _weakest(view, line.arm.name)
    if weakest:
        yield f"- {weakest}"
    if not any(found.kind.startswith("missing") for found in view.findings):
        yield (
            "- every training row had every input: with one missing, predictions are a guess that "
            "nothing has checked"
        )
    if line.failed:
        yield f"- {line.failed} of its trials failed in the search"
    yield "- probabilities were not calibrated after training"


def _weakest(view: StudyView, arm: str) -> str:
    primary = view.task.primary
    spec, truth = view.task.targets[primary], view.truth["test"][primary]
    if spec.kind not in ("binary", "multiclass"):
        return ""
    recall = []
    for place, name in enumerate(spec.classes):
        rows = truth == place
        hits = [
            float((_guess(run.test[primary], run.thresholds.get(primary))[rows] == place).mean())
            for run in view.decisions
            if run.arm == arm and primary in run.test and rows.any()
        ]
        if hits:
            recall.append((float(np.mean(hits)), int(rows.sum()), name))
    if not recall:
        return ""
    share, count, name = min(recall)
    return f"class `{_inert(name)}` is found least: {share:.0%} of its {count} test rows"


def _guess(given: np.ndarray, thresholds: np.ndarray | None) -> np.ndarray:
    if given.shape[1] > 1:
        return np.asarray(given.argmax(1))
    return (centred(given, thresholds)[:, 0] >= 0.5).astype(int)


def _cost(line: Standing) -> Iterator[str]:
    costs = line.costs
    yield f"- {costs.train_seconds:.1f} seconds to train once, encoding left out"
    if costs.parameters:
        frozen = f", {costs.frozen_parameters:,} frozen" if costs.frozen_parameters else ""
        yield f"- {costs.parameters:,} trained parameters{frozen}"
    if costs.latency_1:
        yield (
            f"- {costs.latency_1:.1f} ms for one row, {costs.latency_64:.1f} ms for 64, from "
            "prepared arrays"
        )


def _model(line: Standing, about: Mapping[str, Any]) -> Iterator[str]:
    yield f"- {about['kind']} `{about['component']}` ({line.arm.stage}), mmauto {about['mmauto']}"
    for key, column in about["columns"].items():
        source = ", ".join(_inert(name) for name in column.get("source", []))
        yield f"- {_inert(key)}: encoder `{column['encoder']}` on column {source}"
        for note in column.get("state", {}).get("notes", []):
            yield f"  - {_inert(str(note))}"
    chosen = about["params"].get("regulariser", "none")
    if chosen != "none":
        yield f"- trained with the regulariser `{chosen}`"
    yield f"- made with {', '.join(sorted(set(about['plugins'].values())))}"
    for name, cuts in about.get("thresholds", {}).items():
        if cuts:
            yield f"- decision thresholds of `{_inert(name)}`: " + ", ".join(
                f"{cut:.3f}" for cut in cuts
            )


def _licences(view: StudyView, about: Mapping[str, Any]) -> Iterator[str]:
    for name, licence in about.get("licences", {}).items():
        yield f"- pretrained weights of `{name}`: {licence}"
    yield f"- data: {_inert(view.licence) or 'not known to mmauto; ask its owner'}"
    yield "- the trained weights in this folder follow from both"


def _how(view: StudyView, line: Standing, about: Mapping[str, Any]) -> Iterator[str]:
    study = _inert(view.name)
    yield (
        f"```\nmmauto predict {study} --arm {line.arm.name} table.csv -o predictions.csv\n"
        f"mmauto evaluate {study} --arm {line.arm.name} labelled.csv\n```"
    )
    needed = ", ".join(
        _inert(name) for column in about["columns"].values() for name in column.get("source", [])
    )
    yield f"\nThe table needs the columns {needed}; cells may be empty."


def _inert(text: object) -> str:
    """A user's text in one line that Markdown and HTML take for nothing but text."""
    flat = " ".join(str(text).split())
    return re.sub(r"([\\`*_\[\]<>|#])", r"\\\1", flat)
