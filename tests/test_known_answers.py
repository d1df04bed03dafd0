"""Whole searches whose answer is known, or must not be claimed: simulated and real data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import mmauto

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
    assert ("Fusion helps here" in words) == (best.difference.low > 0)
    assert ("cannot decide whether fusion helps" in words) == (
        best.difference.low <= 0 <= best.difference.high
    )


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
