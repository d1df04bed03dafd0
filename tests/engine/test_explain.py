"""What a model looks at is what decides its answer; nothing that goes wrong here ends a search."""

from __future__ import annotations

import math
import os
import signal
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mmauto.answered import Shown
from mmauto.data.columns import TabularValues, Texts
from mmauto.data.image_columns import ImageArrays
from mmauto.data.splits import Splits
from mmauto.engine import explain as explain_module
from mmauto.engine.child_process import LostExecutorError
from mmauto.engine.executor import Executor
from mmauto.engine.features import Inputs
from mmauto.engine.jobs import Candidate, ExplainJob, Setup, TrialJob
from mmauto.engine.process import ProcessExecutor
from mmauto.registry import Registry
from mmauto.values import Column, FeatureSpec

Make = Callable[..., TrialJob]
Parts = dict[tuple[int, str], Shown]

READS: Mapping[str, Callable[[Any], float]] = {
    "image": lambda picture: float(np.asarray(picture)[:16, :16].mean() / 255),
    "text": lambda text: float("fever" in text.split()),
    "tabular": lambda row: float((row["x"] or 0.0) > 0),
}


class Known:
    """Stands for a bundle whose rule is known: a third each for one quadrant, word and field."""

    candidate = Candidate("control", "known", tuple(READS), {})
    domains = ()

    def __init__(self, folder: Path, registry: Registry, device: str):
        pass

    def inputs(self, key: str, column: Column) -> Inputs:
        read = [0.0 if sample is None else READS[key](sample) for sample in column]
        arrays, present = {"v": torch.tensor(read)}, torch.from_numpy(column.present)
        return Inputs(column, None, {}, {}, arrays, present, FeatureSpec(1, 1), True)  # type: ignore[arg-type]

    def answer(self, inputs: Mapping[str, Inputs], domains: Column | None) -> dict[str, np.ndarray]:
        each = [part.arrays["v"] * part.present for part in inputs.values()]
        return {"y": torch.stack(each).sum(dim=0).numpy()[:, None] / 3}


@pytest.fixture
def known(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> Setup:
    """Two rows: a bright quadrant with fever and a high x; the same without a picture."""
    monkeypatch.setattr(explain_module, "Bundle", Known)
    pictures = np.zeros((6, 32, 32, 3), dtype=np.uint8)
    pictures[:, :16, :16] = 255
    columns = {
        "image": ImageArrays(pictures, np.arange(6) != 5),
        "text": Texts(["walks in with fever and pain"] * 6),
        "tabular": TabularValues(
            {"n": np.arange(6.0), "x": np.array([-1.0, -2, -1, -1, 2, 2])},
            {"n": "numeric", "x": "numeric"},
        ),
    }
    data = replace(setup.dataset, columns=columns, ids=np.arange(6).astype(str))
    places = np.arange(6)
    specs = {"y": setup.specs["days"]}
    return replace(
        setup, dataset=data, specs=specs, splits=Splits(places[:3], places[3:4], places[4:])
    )


def job_for(setup: Setup, folder: Path, rows: int = 2, **own: Any) -> ExplainJob:
    chosen = setup.splits.test[:rows]
    zeros = np.zeros(len(chosen), dtype=int)
    found = ExplainJob(str(folder), chosen, zeros, zeros + 1, 60.0)
    return replace(found, **own)


def explained(setup: Setup, registry: Registry, job: ExplainJob) -> tuple[Parts, list[str]]:
    parts: Parts = {}
    notes: list[str] = []

    def take(place: int, key: str, found: Shown | str) -> None:
        if isinstance(found, str):
            notes.append(found)
        else:
            parts[place, key] = found

    Executor(setup, registry).explain(job, take)
    return parts, notes


@pytest.fixture
def kept(setup: Setup, registry: Registry, make_job: Make, tmp_path: Path) -> Path:
    """A trained model's folder."""
    job = make_job(score_test=True, bundle=str(tmp_path / "b"), component="logit_mean")
    (outcome,) = Executor(setup, registry).run_pack([job], lambda e, v: dict.fromkeys(v, True))
    assert outcome.failure is None, outcome.failure
    return tmp_path / "b"


def test_what_decides_is_what_lights_up(known: Setup, registry: Registry, tmp_path: Path) -> None:
    parts, notes = explained(known, registry, job_for(known, tmp_path))
    assert not notes
    heat = np.array(parts[0, "image"].effects).reshape(8, 8)
    mean = 64 / 255  # a quarter of the picture is white
    np.testing.assert_allclose(heat[:4, :4], (1 - mean) / 3 / 16, rtol=1e-3)
    assert not heat[4:].any()
    assert not heat[:, 4:].any()
    words = dict(zip(parts[0, "text"].words, parts[0, "text"].effects, strict=True))
    assert words == pytest.approx({**dict.fromkeys(words, 0.0), "fever": 1 / 3})
    assert parts[0, "tabular"].effects == pytest.approx((0.0, 1 / 3))
    assert [parts[0, key].whole for key in READS] == pytest.approx([1 / 3] * 3)


def test_a_missing_modality_is_not_shown(known: Setup, registry: Registry, tmp_path: Path) -> None:
    parts, _ = explained(known, registry, job_for(known, tmp_path))
    assert {key for place, key in parts if place == 1} == {"text", "tabular"}
    assert parts[1, "tabular"].effects == pytest.approx((0.0, 1 / 3))


def test_of_a_low_output_what_raises_it_speaks_against_the_answer(
    known: Setup, registry: Registry, tmp_path: Path
) -> None:
    job = job_for(known, tmp_path, signs=np.array([-1, -1]))
    parts, _ = explained(known, registry, job)
    assert parts[0, "tabular"].effects == pytest.approx((0.0, -1 / 3))


def test_pictures_are_cut_less_finely_where_time_is_short(
    known: Setup, registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter(np.arange(0.0, 1000.0))  # each look at the clock is a second later
    monkeypatch.setattr(explain_module.time, "monotonic", lambda: float(next(clock)))
    parts, _ = explained(known, registry, job_for(known, tmp_path, seconds=4.0))
    assert len(parts[0, "image"].effects) == 16


def test_without_time_rows_are_shown_with_a_note(
    known: Setup, registry: Registry, tmp_path: Path
) -> None:
    parts, notes = explained(known, registry, job_for(known, tmp_path, seconds=0.0))
    assert parts[0, "image"].picture[:2] == b"\xff\xd8"
    assert parts[0, "image"].effects == ()
    assert not math.isnan(parts[0, "image"].whole)
    assert notes == [
        "pieces of the samples were hidden for 0 seconds at most, which was too short for 2 of 2 "
        "rows"
    ]


def test_a_plugin_that_fails_costs_the_effects_alone(
    known: Setup, registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: Known, key: str, column: Column) -> Inputs:
        raise RuntimeError("no such layer")

    monkeypatch.setattr(Known, "inputs", broken)
    parts, notes = explained(known, registry, job_for(known, tmp_path))
    assert parts[0, "text"].words[:2] == ("walks", "in")
    assert notes == ["what the model looked at could not be told: RuntimeError: no such layer"]


def test_a_trained_model_is_asked_with_what_its_fusion_weighs(
    setup: Setup, registry: Registry, kept: Path
) -> None:
    parts, notes = explained(setup, registry, job_for(setup, kept, rows=12))
    assert not notes
    # left also has a field n of mere noise
    effects = np.abs([parts[place, "left"].effects for place in range(12)])
    assert effects[:, 0].mean() > 2 * effects[:, 1].mean()
    both = [place for place in range(12) if (place, "right") in parts]
    assert both
    assert [parts[place, "left"].weight for place in both] == pytest.approx([0.5] * len(both))


def test_a_control_is_asked_too(
    setup: Setup, registry: Registry, make_job: Make, tmp_path: Path
) -> None:
    from mmauto.space import defaults

    space = registry.control("logistic").space(setup.task)
    own = {f"control/{name}": value for name, value in defaults(space).items()}
    job = make_job(kind="control", component="logistic", bundle=str(tmp_path / "b"), params=own)
    Executor(setup, registry).run_pack([job], lambda e, v: dict.fromkeys(v, True))
    parts, notes = explained(setup, registry, job_for(setup, tmp_path / "b", rows=12))
    assert not notes
    effects = np.abs([parts[place, "left"].effects for place in range(12)])
    assert effects[:, 0].mean() > 2 * effects[:, 1].mean()
    assert math.isnan(parts[0, "left"].weight)


def test_a_model_that_cannot_be_read_is_a_note(
    setup: Setup, registry: Registry, tmp_path: Path
) -> None:
    parts, notes = explained(setup, registry, job_for(setup, tmp_path / "gone"))
    assert parts[0, "left"].fields.keys() == {"x", "n"}
    assert "what the model looked at could not be told: DataError" in notes[0]


def test_answers_come_from_another_process(setup: Setup, registry: Registry, kept: Path) -> None:
    job = job_for(setup, kept)
    here, _ = explained(setup, registry, job)
    there: Parts = {}
    runner = ProcessExecutor()
    try:
        runner.use(setup)
        runner.explain(job, lambda place, key, found: there.update({(place, key): found}))  # type: ignore[dict-item]
    finally:
        runner.close()
    assert there.keys() == here.keys()
    assert there[0, "left"].effects == pytest.approx(here[0, "left"].effects, abs=1e-6)


def test_a_killed_child_leaves_what_it_has_told(
    setup: Setup, registry: Registry, kept: Path
) -> None:
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
            runner.explain(job_for(setup, kept, rows=12), take)
    finally:
        runner.close()
    assert seen[0] == (0, "left")
