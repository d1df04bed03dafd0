"""What a trained model looks at is what decides the label; nothing here ends a search."""

from __future__ import annotations

import math
import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmauto.data.columns import TabularValues, Texts
from mmauto.data.dataset import Dataset, TargetColumn
from mmauto.data.image_columns import ImageArrays
from mmauto.data.splits import Splits
from mmauto.engine.executor import Executor
from mmauto.engine.jobs import Candidate, ExplainJob, Setup, TrialJob
from mmauto.engine.process import LostExecutorError, ProcessExecutor
from mmauto.registry import load_registry
from mmauto.space import defaults
from mmauto.values import TargetSpec
from mmauto.views import Shown

ENCODERS = {"image": "small_cnn", "text": "bag_of_words", "tabular": "mlp"}
WORDS = ("seen", "today", "walks", "talks", "sleeps")
ROWS = 260


def made(folder: Path, decides: str, kind: str = "binary") -> Setup:
    """One modality decides: the upper left quadrant, the word fever, or the field x.

    Every fourth text is missing where it does not decide.
    """
    source = np.random.default_rng(3)
    label = source.integers(0, 2, ROWS)
    told = {key: label if key == decides else source.integers(0, 2, ROWS) for key in ENCODERS}
    pictures = source.integers(90, 110, (ROWS, 32, 32, 3), dtype=np.uint8)
    pictures[:, :16, :16] += (100 * told["image"])[:, None, None, None].astype(np.uint8)
    texts = [
        " ".join([*source.choice(WORDS, 6), "fever" if yes else "fine", *source.choice(WORDS, 3)])
        for yes in told["text"]
    ]
    gone = (np.arange(ROWS) % 4 == 0) & (decides != "text")
    x = 3.0 * told["tabular"] + source.normal(size=ROWS)
    columns = {
        "image": ImageArrays(pictures),
        "text": Texts([None if off else text for text, off in zip(texts, gone, strict=True)]),
        "tabular": TabularValues(
            {"n": source.normal(size=ROWS), "x": x}, {"n": "numeric", "x": "numeric"}
        ),
    }
    values = 10.0 * label if kind == "regression" else label.astype(float)
    target = TargetColumn("y", kind, values)  # type: ignore[arg-type]
    classes = () if kind == "regression" else ("no", "yes")
    return Setup(
        Dataset("made", columns, {"y": target}, np.arange(ROWS).astype(str)),
        Splits(np.arange(160), np.arange(160, 210), np.arange(210, ROWS)),
        {"y": TargetSpec("y", kind, classes)},  # type: ignore[arg-type]
        {"y": values},
        "rmse" if kind == "regression" else "auroc",
        False,
        "cpu",
        str(folder / "cache"),
    )


def trained(setup: Setup, folder: Path, component: str = "concat_mlp", **own: Any) -> ExplainJob:
    """The job for a freshly trained model and the first six test rows."""
    registry = load_registry()
    kind = "control" if component in registry.all("control") else "fusion"
    chosen = registry.control(component) if kind == "control" else registry.fusion(component)
    params: dict[str, Any] = {
        f"{kind}/{name}": value for name, value in defaults(chosen.space(setup.task)).items()
    }
    for key, name in ENCODERS.items():
        encoder = registry.encoder(name)
        params[f"{key}/encoder"] = name
        space = defaults(encoder.space(setup.task))
        params |= {f"{key}/{name}/{n}": value for n, value in space.items()}
    params |= {
        "adapter/width": 32, "train/lr": 3e-3, "train/weight_decay": 1e-3, "train/batch_size": 32,
        "train/optimiser": "adamw", "train/schedule": "cosine",
    }  # fmt: skip
    candidate = Candidate(kind, component, tuple(ENCODERS), params)
    job = TrialJob(0, candidate, 1, 12, 12, score_test=True, bundle=str(folder / "b"))
    (outcome,) = Executor(setup, registry).run_pack([job], lambda e, v: dict.fromkeys(v, True))
    assert outcome.failure is None, outcome.failure
    rows = setup.splits.test[:6]
    given = outcome.test["y"][:6, 0]
    signs = np.where((given >= 0.5) | (setup.metric == "rmse"), 1, -1)
    return ExplainJob(
        **{
            "folder": str(folder / "b"), "rows": rows, "outputs": np.zeros(6, dtype=int),
            "signs": signs, "seconds": 60.0, **own,
        }
    )  # fmt: skip


def explained(setup: Setup, job: ExplainJob) -> tuple[dict[tuple[int, str], Shown], list[str]]:
    parts: dict[tuple[int, str], Shown] = {}
    notes: list[str] = []

    def take(place: int, key: str, found: Shown | str) -> None:
        if isinstance(found, str):
            notes.append(found)
        else:
            parts[place, key] = found

    Executor(setup, load_registry()).explain(job, take)
    return parts, notes


def strongest(parts: Mapping[tuple[int, str], Shown], key: str) -> list[int]:
    return [int(np.nanargmax(part.effects)) for (_, own), part in parts.items() if own == key]


def test_the_quadrant_that_decides_has_the_strongest_patches(tmp_path: Path) -> None:
    setup = made(tmp_path, "image")
    parts, notes = explained(setup, trained(setup, tmp_path))
    assert not notes
    for part in (part for (_, key), part in parts.items() if key == "image"):
        heat = np.array(part.effects).reshape(8, 8)
        assert heat[:4, :4].sum() > 3 * max(np.abs(heat[4:]).sum(), np.abs(heat[:4, 4:]).sum())
        assert part.picture[:2] == b"\xff\xd8"


def test_the_word_that_decides_is_the_strongest(tmp_path: Path) -> None:
    setup = made(tmp_path, "text")
    parts, _ = explained(setup, trained(setup, tmp_path))
    words = {(place, key): part.words for (place, key), part in parts.items() if key == "text"}
    assert len(words) == 6
    for where, at in zip(words.items(), strongest(parts, "text"), strict=True):
        assert where[1][at] in ("fever", "fine")


@pytest.mark.parametrize("component", ["concat_mlp", "boosting"])
def test_the_field_that_decides_is_the_strongest(tmp_path: Path, component: str) -> None:
    setup = made(tmp_path, "tabular")
    parts, _ = explained(setup, trained(setup, tmp_path, component))
    assert strongest(parts, "tabular") == [1] * 6
    # and no other modality costs as much when it is hidden
    for place in range(6):
        own = {key: part.whole for (at, key), part in parts.items() if at == place}
        assert max(own, key=own.__getitem__) == "tabular"


def test_samples_that_are_missing_are_not_shown(tmp_path: Path) -> None:
    setup = made(tmp_path, "tabular")
    job = trained(setup, tmp_path)
    parts, notes = explained(setup, job)
    here = setup.dataset.columns["text"].present[job.rows]
    assert not here.all()
    assert {place for place, key in parts if key == "text"} == set(np.flatnonzero(here).tolist())
    assert not notes


def test_of_a_number_effects_are_in_its_unit(tmp_path: Path) -> None:
    setup = made(tmp_path, "tabular", "regression")
    parts, _ = explained(setup, trained(setup, tmp_path))
    assert max(max(map(abs, p.effects)) for (_, key), p in parts.items() if key == "tabular") > 1.5


def test_a_fusion_that_weighs_modalities_says_so(tmp_path: Path) -> None:
    setup = made(tmp_path, "tabular")
    parts, _ = explained(setup, trained(setup, tmp_path, "logit_mean"))
    assert parts[2, "image"].weight == pytest.approx(1 / 3) or "text" not in parts
    plain, _ = explained(setup, trained(setup, tmp_path / "plain"))
    assert math.isnan(plain[0, "image"].weight)


def test_without_time_rows_are_shown_with_a_note(tmp_path: Path) -> None:
    setup = made(tmp_path, "tabular")
    parts, notes = explained(setup, trained(setup, tmp_path, seconds=0.0))
    assert parts[0, "image"].picture
    assert parts[0, "image"].effects == ()
    assert not math.isnan(parts[0, "image"].whole)
    assert notes == [
        "pieces of the samples were hidden for 0 seconds at most, which was too short for 6 of 6 "
        "rows"
    ]


def test_a_model_that_cannot_be_read_costs_the_effects_alone(tmp_path: Path) -> None:
    setup = made(tmp_path, "tabular")
    zeros = np.zeros(2, dtype=int)
    parts, notes = explained(
        setup, ExplainJob(str(tmp_path / "gone"), setup.splits.test[:2], zeros, zeros + 1, 60.0)
    )
    assert parts[0, "tabular"].fields.keys() == {"n", "x"}
    (note,) = notes
    assert "what the model looked at could not be told: DataError" in note


def test_a_killed_child_leaves_what_it_has_told(tmp_path: Path) -> None:
    setup = made(tmp_path, "tabular")
    job = trained(setup, tmp_path)
    runner = ProcessExecutor()
    seen: list[tuple[int, str]] = []

    def take(place: int, key: str, found: Shown | str) -> None:
        if not seen:
            assert runner.child is not None
            os.kill(runner.child.process.pid, signal.SIGKILL)
        seen.append((place, key))

    try:
        runner.use(setup)
        with pytest.raises(LostExecutorError, match="signal 9"):
            runner.explain(job, take)
    finally:
        runner.close()
    assert seen[0] == (0, "image")
