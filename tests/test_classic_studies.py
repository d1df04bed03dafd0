"""The five published pipelines: ready study files that run on simulated data and on a table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import mmauto
from mmauto.toml import read_toml

pytestmark = pytest.mark.slow

STUDIES = Path(__file__).parent.parent / "studies"
NAMES = sorted(path.stem for path in STUDIES.glob("classic-*.toml"))
LIGHT: dict[str, Any] = {
    "trials": 1, "epochs": 1, "confirm_seeds": 1, "controls": ["majority"], "exclude": [],
}  # fmt: skip
STRUCTURE = {
    "classic-attention": ("additive_attention", "resnet18", "lstm"),
    "classic-joint-embedding": ("concat_mlp", "resnet50", "hf_text"),
    "classic-alignment": ("alignment_matrix", "flat_cnn", "lstm"),
    "classic-late-product": ("logit_product", "flat_cnn", "lstm"),
    "classic-concat": ("concat_mlp", "flat_cnn", "lstm"),
}


def test_there_are_five() -> None:
    assert set(NAMES) == set(STRUCTURE)


def checked(study: mmauto.Study, name: str) -> None:
    """Both arms were trained and confirmed, the published one exactly as it is written."""
    written = read_toml(STUDIES / f"{name}.toml")["arms"]["published"]["space"]
    fusion, image, text = STRUCTURE[name]
    lines = {line.arm.name: line for line in study.view().comparison.standings}
    assert {"published", "searched"} <= set(lines)
    assert lines["published"].arm.component == lines["searched"].arm.component == fusion
    (trial,) = [trial for trial in study.trials() if trial.arm == "published"]
    assert trial.state == "complete"
    assert {key: trial.params[key] for key in written} == written
    assert (trial.params["image/encoder"], trial.params["text/encoder"]) == (image, text)
    loose = [key for key in trial.params if key not in written and key.startswith("fusion/")]
    assert not loose  # nothing of the published structure is left to a default
    if "random" in written.values():
        assert any("are random" in finding.text for finding in study.view().findings)


@pytest.mark.parametrize("name", NAMES)
def test_on_simulated_data(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mmauto_medical.task.Medical.rows", 300)
    study = mmauto.search(
        **{**read_toml(STUDIES / f"{name}.toml"), **LIGHT}, task="medical", out=str(tmp_path)
    )
    checked(study, name)


@pytest.mark.real_data
@pytest.mark.parametrize("name", NAMES)
def test_on_a_real_table(name: str, real_data: Path, tmp_path: Path) -> None:
    study = mmauto.search(
        **{**read_toml(STUDIES / f"{name}.toml"), **LIGHT}, out=str(tmp_path),
        data=str(real_data / "breast_us"), image="image", text="text_clinical", target="label",
    )  # fmt: skip
    checked(study, name)
