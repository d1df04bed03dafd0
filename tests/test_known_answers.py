"""Whole searches whose answer is known, or must not be claimed: simulated and real data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mmauto
from mmauto.answers.contribution import contributions
from mmauto.answers.needs import needs
from mmauto.answers.profile import profile
from mmauto.answers.robustness import robustness

pytestmark = pytest.mark.slow

LIGHT: dict[str, Any] = {
    "trials": 2, "confirm_seeds": 3, "fusions": ["concat_mlp", "logit_mean"],
    "controls": ["logistic"],
}  # fmt: skip


def verdict_keeps_to_its_interval(study: mmauto.Study) -> None:
    found = study.view().comparison
    best = next(line for line in found.standings if line.arm.kind == "fusion")
    words = " ".join(found.verdict)
    assert best.difference is not None
    clear = best.p < 0.05 and not best.difference.low <= 0 <= best.difference.high
    assert ("Fusion helps here" in words) == (clear and best.difference.low > 0)
    assert ("cannot decide whether fusion helps" in words) == (not clear)


def table(folder: Path, rows: int, seed: int, knows: str, shuffled: bool = False) -> Path:
    """Texts and numbers of three classes, of which those named in ``knows`` tell the class."""
    source = np.random.default_rng(seed)
    label = source.integers(0, 3, rows)
    said = label if "text" in knows else source.integers(0, 3, rows)
    shown = label if "number" in knows else source.integers(0, 3, rows)
    words = np.array(["alpha", "beta", "gamma"])
    # a third of the texts and of the numbers say nothing of any class, and one can see that
    silent = source.random((2, rows)) < 1 / 3
    lines = ["note,size,label"]
    for row in range(rows):
        rest = " ".join(f"w{word}" for word in source.integers(0, 40, 6))
        size = -9 if silent[1, row] else 4 * shown[row] + source.normal()
        word = "" if silent[0, row] else f"{words[said[row]]} "
        lines.append(f"{word}{rest} id{row},{size:.4f},c{label[row]}")
    if shuffled:
        own = [line.rpartition(",") for line in lines[1:]]
        order = source.permutation(rows)
        lines[1:] = [f"{own[row][0]},{own[order[row]][2]}" for row in range(rows)]
    file = folder / "table.csv"
    file.write_text("\n".join(lines) + "\n")
    return file


def search_table(file: Path, folder: Path) -> mmauto.Study:
    return mmauto.search(
        data=str(file), text="note", tabular="size", target="label", out=str(folder), **LIGHT
    )


def test_on_shuffled_labels_nothing_is_claimed(tmp_path: Path) -> None:
    study = search_table(table(tmp_path, 900, 1, "text number", shuffled=True), tmp_path)
    verdict_keeps_to_its_interval(study)
    words = " ".join(study.view().comparison.verdict)
    assert "Fusion helps here" not in words
    assert "Averaging several arms" not in words
    found = profile(study.view())
    assert found is not None
    assert found.kind == "nothing"


def test_with_one_informative_modality_nothing_is_claimed_and_it_is_named(tmp_path: Path) -> None:
    study = search_table(table(tmp_path, 900, 2, "text"), tmp_path)
    verdict_keeps_to_its_interval(study)
    view = study.view()
    assert "Fusion helps here" not in " ".join(view.comparison.verdict)
    found = profile(view)
    assert found is not None
    assert (found.kind, found.informative) == ("unique", ("text",))
    mix = next(one for one in contributions(view) if one.arm == "concat_mlp")
    assert mix.values["text"].low > 0.2
    assert abs(mix.values["tabular"].value) < 0.05


def test_with_two_informative_modalities_fusion_helps_and_both_are_relied_on(
    tmp_path: Path,
) -> None:
    study = search_table(table(tmp_path, 2000, 3, "text number"), tmp_path)
    verdict_keeps_to_its_interval(study)
    view = study.view()
    assert "Fusion helps here" in " ".join(view.comparison.verdict)
    found = profile(view)
    assert found is not None
    assert found.kind == "complementary"
    mix = next(one for one in contributions(view) if one.arm == "concat_mlp")
    assert min(value.low for value in mix.values.values()) > 0.05
    falling = next(c for c in robustness(view) if (c.arm, c.what) == ("concat_mlp", "missing"))
    assert falling.values[-1].value < falling.values[0].value - 0.1


def test_on_simulated_data_fusion_helps_and_stays_under_the_ceiling(tmp_path: Path) -> None:
    study = mmauto.search(task="medical", out=str(tmp_path), **LIGHT)
    view, found = study.view(), study.view().comparison
    lines = {line.arm.name: line for line in found.standings}
    best = next(line for line in found.standings if line.arm.kind == "fusion")
    singles = {name: line for name, line in lines.items() if line.arm.kind == "single"}
    assert found.reference == "image_only"
    assert best.difference is not None
    assert best.difference.low > 0.05
    assert best.test.value > max(line.test.value for line in singles.values()) + 0.1
    assert best.test.value < view.ceiling["all"]
    verdict_keeps_to_its_interval(study)
    assert "simulated" in found.verdict[0]
    page = (study.folder / "report.html").read_text()
    assert '<span class="badge">simulated data</span>' in page
    assert f"{view.ceiling['all']:.3f}" in page
    # the other targets are learned too
    assert lines[best.arm.name].metrics["urgent"]["auroc"] > 0.7
    assert lines[best.arm.name].metrics["stay_days"]["r2"] > 0.1
    # only the picture tells a nodule from normal; the note tells pneumonia from heart failure
    described = profile(view)
    assert described is not None
    assert described.kind in ("complementary", "synergistic")
    lost = {one.name: one.lost for one in needs(view, best.arm.name)}
    assert lost["nodule"]["image"].low > 0.3
    assert max(lost["nodule"][key].value for key in ("text", "tabular")) < 0.15
    for name in ("pneumonia", "heart failure"):
        assert lost[name]["text"].value > max(0.15, lost[name]["tabular"].value)


@pytest.mark.real_data
def test_on_breast_ultrasound_the_verdict_claims_no_more_than_the_interval(
    real_data: Path, tmp_path: Path
) -> None:
    study = mmauto.search(
        task="medical", data=str(real_data / "breast_us"), text="text_clinical", tabular="age",
        out=str(tmp_path), **LIGHT,
    )  # fmt: skip
    assert study.view().rows == {"train": 175, "valid": 26, "test": 51}
    verdict_keeps_to_its_interval(study)
    assert any("51 test rows" in sentence for sentence in study.view().comparison.verdict)


@pytest.mark.real_data
def test_on_radiology_questions_the_verdict_claims_no_more_than_the_interval(
    real_data: Path, tmp_path: Path
) -> None:
    study = mmauto.search(
        task="medical", data=str(real_data / "vqarad"), out=str(tmp_path), **LIGHT
    )
    assert study.view().rows == {"train": 1162, "valid": 165, "test": 345}
    verdict_keeps_to_its_interval(study)


@pytest.mark.real_data
def test_on_clip_art_fusion_beats_the_best_single_modality(real_data: Path, tmp_path: Path) -> None:
    study = mmauto.search(
        data=str(real_data / "openclipart"), image="image", text="text", target="label",
        out=str(tmp_path), **{**LIGHT, "fusions": ["concat_mlp", "cross_attention"], "trials": 4},
    )  # fmt: skip
    found = study.view().comparison
    best = next(line for line in found.standings if line.arm.kind == "fusion")
    assert best.difference is not None
    assert best.difference.value > 0
    verdict_keeps_to_its_interval(study)
