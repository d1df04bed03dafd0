"""A user's own table from nothing to predictions: search, predict, evaluate, cards, bundles."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from PIL import Image

import mmauto
from mmauto.cli.main import cli
from mmauto.errors import ConfigError, DataError, MmautoError, StoreError
from mmauto.study import Study

pytestmark = pytest.mark.slow
ROWS = 120
SMALL: dict[str, Any] = {
    "trials": 1, "epochs": 3, "confirm_seeds": 2, "workers": 1, "fusions": ["concat_mlp"],
    "encoders": ["small_cnn", "bag_of_words", "mlp"], "controls": ["logistic"],
}  # fmt: skip


def make_table(folder: Path, rows: int = ROWS, seed: int = 0) -> Path:
    """Pictures, titles, bodies, age and ward; each says something about ``risk``."""
    rng = np.random.default_rng(seed)
    (folder / "photos").mkdir(parents=True, exist_ok=True)
    lines = []
    for row in range(rows):
        high = bool(rng.random() < 0.5)
        shade = int(np.clip(rng.normal(150 if high else 90, 30), 0, 255))
        pixels = rng.integers(0, 60, (16, 16, 3)) + shade * 3 // 4
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / f"photos/{row}.png")
        told = high if rng.random() < 0.8 else not high
        words = rng.choice(["bed", "walk", "meal", "visit", "sleep", "book"], 6).tolist()
        lines.append(
            {
                "key": f"r{row}x{rng.integers(1000)}",
                "photo": f"photos/{row}.png" if row % 10 else "",
                "note": " ".join([*words, "cough" if told else "fine", words[0]]),
                "age": round(float(rng.normal(60 if high else 50, 10)), 1) if row % 7 else "",
                "ward": str(rng.choice(["north", "south", "east"])),
                "risk": "high" if high else "low",
            }
        )
    pd.DataFrame(lines).to_csv(folder / "visits.csv", index=False)
    return folder / "visits.csv"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Study]:
    folder = tmp_path_factory.mktemp("own")
    table = make_table(folder)
    study = mmauto.search(
        data=str(table), target="risk", name="own", out=str(folder / "studies"), **SMALL
    )
    return folder, study


def run(made: tuple[Path, Study], *arguments: str) -> Any:
    return CliRunner().invoke(cli, [*arguments, "--out", str(made[0] / "studies")])


def test_roles_were_guessed_stored_and_shown_in_the_report(made: tuple[Path, Study]) -> None:
    view = made[1].view()
    roles = {guess.column: guess.role for guess in view.roles}
    assert roles["photo"] == "image"
    assert roles["note"] == "text"
    assert roles["age"] == "numeric"
    assert roles["ward"] == "categorical"
    assert view.config["image"] == ["photo"]
    page = (made[1].folder / "report.html").read_text()
    assert "What each column of the table was used as." in page
    assert roles["risk"] == "target"


def test_predictions_are_those_that_the_study_stored(made: tuple[Path, Study]) -> None:
    folder, study = made
    view = study.view()
    best = study.best()
    shares = best.predict_proba(folder / "visits.csv")
    assert list(shares.columns) == ["high", "low"]
    np.testing.assert_allclose(shares.sum(axis=1), 1.0, atol=1e-6)
    stored = dict(zip(view.ids["test"], best.run.test["risk"][:, 0], strict=True))
    found = [shares.loc[identity, "low"] for identity in stored]
    np.testing.assert_allclose(found, list(stored.values()), atol=5e-3)


def test_a_data_frame_predicts_like_its_file(
    made: tuple[Path, Study], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, study = made
    monkeypatch.chdir(folder)
    frame = pd.read_csv("visits.csv")
    one, two = study.best().predict_proba(frame), study.best().predict_proba("visits.csv")
    np.testing.assert_allclose(one.to_numpy(), two.to_numpy(), atol=1e-6)
    decided = study.best().predict(frame)
    assert set(decided) <= {"high", "low"}
    cut = study.best().model.thresholds["risk"][0]
    assert (decided == "low").tolist() == (one["low"] >= cut).tolist()


def test_a_bundle_loads_without_the_study(made: tuple[Path, Study], tmp_path: Path) -> None:
    folder, study = made
    shutil.copytree(study.folder / "models" / study.best().arm, tmp_path / "moved")
    alone = mmauto.load_bundle(tmp_path / "moved")
    expected = study.best().predict_proba(folder / "visits.csv")
    pd.testing.assert_frame_equal(alone.predict_proba(folder / "visits.csv"), expected)


def test_a_bundle_of_another_version_says_so(made: tuple[Path, Study], tmp_path: Path) -> None:
    shutil.copytree(made[1].folder / "models" / "concat_mlp", tmp_path / "old")
    about = json.loads((tmp_path / "old" / "bundle.json").read_text())
    about["plugins"]["concat_mlp"] = "mmauto 0.0.9"
    (tmp_path / "old" / "bundle.json").write_text(json.dumps(about))
    (note,) = mmauto.load_bundle(tmp_path / "old").notes
    assert "made with fusion 'concat_mlp' of mmauto 0.0.9" in note
    about["plugins"]["gone"] = "mmauto-gone 1.0"
    about["component"] = "gone"
    (tmp_path / "old" / "bundle.json").write_text(json.dumps(about))
    with pytest.raises(ConfigError, match=r"needs fusion 'gone' of mmauto-gone 1\.0, which is not"):
        mmauto.load_bundle(tmp_path / "old")


def test_predict_writes_decisions_confidence_and_probabilities(
    made: tuple[Path, Study], tmp_path: Path
) -> None:
    out = tmp_path / "p.csv"
    table = str(made[0] / "visits.csv")
    result = run(made, "predict", "own", table, "-o", str(out), "--abstain", "90%")
    assert result.exit_code == 0, result.output
    rows = list(csv.DictReader(out.read_text().splitlines()))
    assert len(rows) == ROWS
    for row in rows:
        sure = float(row["risk confidence"])
        assert (row["risk abstained"] == "True") == (sure < 0.9)
        assert row["risk"] == ("" if sure < 0.9 else row["risk"])
        assert float(row["risk: high"]) + float(row["risk: low"]) == pytest.approx(1, abs=1e-5)
    result = run(made, "predict", "own", table, "-o", str(tmp_path / "p.jsonl"), "--ensemble")
    assert result.exit_code == 0, result.output
    assert len((tmp_path / "p.jsonl").read_text().splitlines()) == ROWS


def test_missing_columns_and_cells_are_missing_samples(
    made: tuple[Path, Study], tmp_path: Path
) -> None:
    frame = pd.read_csv(made[0] / "visits.csv").drop(columns=["photo", "age", "risk"])
    frame.loc[0, "note"] = None
    frame.to_csv(tmp_path / "few.csv", index=False)
    result = run(made, "predict", "own", str(tmp_path / "few.csv"))
    assert result.exit_code == 0, result.output
    assert "count as missing in every row: photo, age" in result.output
    frame.loc[3, ["note", "ward"]] = None
    frame.to_csv(tmp_path / "few.csv", index=False)
    with pytest.raises(
        DataError, match=r"1 of 120 rows of .* have none that can be used \(row r3x"
    ):
        made[1].best().predict(tmp_path / "few.csv")
    with pytest.raises(DataError, match="a prediction needs the columns that the model"):
        made[1].best().predict(pd.DataFrame({"other": ["a"]}))


def test_evaluate_on_the_test_rows_gives_the_study_s_own_figures(
    made: tuple[Path, Study], tmp_path: Path
) -> None:
    folder, study = made
    view = study.view()
    frame = pd.read_csv(folder / "visits.csv")
    held = frame[frame["key"].isin(view.ids["test"])]
    held.to_csv(folder / "held.csv", index=False)
    result = run(made, "evaluate", "own", str(folder / "held.csv"), "--json", "--ensemble")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["rows"] == len(held) == view.rows["test"]
    assert {row["arm"] for row in found["leaderboard"]} >= {"concat_mlp", "logistic", "ensemble"}
    again = study.evaluate(folder / "held.csv", arm="concat_mlp")
    (mine,) = again.comparison.standings
    run_ = study.best("concat_mlp").run
    from mmauto.engine.metrics import score

    spec, truth = view.task.targets["risk"], view.truth["test"]["risk"]
    assert mine.test.value == pytest.approx(
        score(view.task.metric, spec, truth, run_.test["risk"]), abs=0.02
    )
    page = Path(found["report"]).read_text()
    assert "own on held.csv" in page
    value, low, high = found["metrics"]["concat_mlp"]["accuracy"]
    assert low <= value <= high


def test_classes_that_the_model_never_saw_are_counted(
    made: tuple[Path, Study], tmp_path: Path
) -> None:
    folder, study = made
    frame = pd.read_csv(folder / "visits.csv")
    frame.loc[:4, "risk"] = "extreme"
    frame.to_csv(folder / "odd.csv", index=False)
    view = study.evaluate(folder / "odd.csv", arm="logistic")
    assert any(
        "5 rows are of classes that the model has never seen ('extreme')" in str(found)
        for found in view.findings
    )
    frame.drop(columns="risk").to_csv(folder / "bare.csv", index=False)
    with pytest.raises(DataError, match="an evaluation needs labels"):
        study.evaluate(folder / "bare.csv")


def test_every_bundle_has_a_card(made: tuple[Path, Study]) -> None:
    card = (made[1].folder / "models" / "concat_mlp" / "README.md").read_text()
    for title in (
        "Intended use", "Data", "Results", "Known failures and limits", "Cost", "Licences",
    ):  # fmt: skip
        assert f"## {title}\n" in card
    assert "photo" in card
    assert "AUROC (the study's metric)" in card


def test_unknown_arms_and_unwritable_files(made: tuple[Path, Study], tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="unknown confirmed arm 'concat'"):
        made[1].predictor("concat")
    table = str(made[0] / "visits.csv")
    for arguments, message in (
        (
            ["predict", "own", table, "-o", str(tmp_path / "p.xlsx")],
            "are written as .csv or .jsonl",
        ),
        (["predict", "own", table, "-o", "/proc/nowhere/p.csv"], "need a file that can be written"),
        (["predict", str(made[1].folder / "models/logistic"), table, "--ensemble"], "one model"),
        (["export", "own", "--format", "tf"], "exported as onnx"),
    ):
        result = run(made, *arguments)
        assert isinstance(result.exception, MmautoError)
        assert message in str(result.exception)


def test_a_data_frame_can_be_searched_resumed_and_repeated(
    made: tuple[Path, Study], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(made[0])
    frame = pd.read_csv("visits.csv")
    asked: dict[str, Any] = {**SMALL, "data": frame, "target": "risk", "out": str(tmp_path)}
    first = mmauto.search(name="frame", **asked)
    again = mmauto.search(name="frame", **asked)
    assert len(again.trials()) == len(first.trials())
    monkeypatch.chdir(tmp_path)
    from mmauto.run import resume

    assert resume(tmp_path / "frame").best().arm == first.best().arm


def test_export_says_what_it_compared(made: tuple[Path, Study]) -> None:
    pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
    result = run(made, "export", "own", "--arm", "concat_mlp")
    assert result.exit_code == 0, result.output
    assert "largest difference from PyTorch on" in result.output
    assert (made[1].folder / "models" / "concat_mlp" / "model.onnx").is_file()
    result = run(made, "export", "own", "--arm", "logistic")
    assert isinstance(result.exception, ConfigError)
    assert "'logistic'" in str(result.exception)


def test_a_bundle_predicts_the_same_in_a_second_environment(
    made: tuple[Path, Study], tmp_path: Path
) -> None:
    """mmauto from a wheel in another environment (libraries shared), another folder and cache."""
    folder, study = made
    root = Path(__file__).parent.parent
    shutil.copytree(
        root,
        tmp_path / "source",
        ignore=shutil.ignore_patterns(".git", ".venv", "studies", "build"),
    )
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path)],
        cwd=tmp_path / "source", check=True, capture_output=True,
    )  # fmt: skip
    (wheel,) = tmp_path.glob("*.whl")
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "env")], check=True)
    python = tmp_path / "env" / "bin" / "python"
    (site,) = (tmp_path / "env" / "lib").glob("python*/site-packages")
    subprocess.run(
        [python, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", str(wheel)],
        check=True,
    )
    # the heavy libraries come from here; an editable install's finder is not carried along
    libraries = [path for path in sys.path if path.endswith("site-packages")]
    (site / "libraries.pth").write_text("\n".join(libraries))
    shutil.copytree(study.folder / "models" / "concat_mlp", tmp_path / "bundle")
    script = (
        "import mmauto, sys; "
        f"found = mmauto.load_bundle({str(tmp_path / 'bundle')!r})"
        f".predict_proba({str(folder / 'visits.csv')!r}); "
        f"found.to_csv({str(tmp_path / 'there.csv')!r}); print(mmauto.__file__)"
    )
    done = subprocess.run(
        [python, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False,
        env={"MMAUTO_CACHE": str(tmp_path / "cache"), "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert str(tmp_path / "env") in done.stdout
    there = pd.read_csv(tmp_path / "there.csv", dtype={"id": str}).set_index("id")
    here = study.best("concat_mlp").predict_proba(folder / "visits.csv")
    np.testing.assert_allclose(there.to_numpy(), here.to_numpy(), atol=1e-5)


def test_several_targets_of_every_kind(tmp_path: Path) -> None:
    """A binary primary target, several labels a row, and a number; `;` stands between labels."""
    table = make_table(tmp_path, 200)
    frame = pd.read_csv(table, dtype=object)
    age = frame["age"].astype(float).fillna(55)
    frame["tags"] = np.where(age > 55, "old;", "") + frame["ward"]
    frame["stay"] = (age / 10 + np.random.default_rng(0).normal(0, 0.5, 200)).round(2)
    frame.to_csv(table, index=False)
    study = mmauto.search(
        data=str(table), target=["risk", "tags", "stay"], separator=";", name="many",
        out=str(tmp_path / "studies"), **SMALL,
    )  # fmt: skip
    kinds = {name: spec.kind for name, spec in study.view().task.targets.items()}
    assert kinds == {"risk": "binary", "tags": "multilabel", "stay": "regression"}
    model = study.best("concat_mlp")
    new = frame.drop(columns=["risk", "tags", "stay"]).to_csv(index=False)
    (tmp_path / "new.csv").write_text(new)
    assert set(model.predict(tmp_path / "new.csv", "risk")) <= {"high", "low"}
    tags = model.predict(tmp_path / "new.csv", "tags")
    assert all(set(row) <= {"old", "north", "south", "east"} for row in tags)
    stay = model.predict(tmp_path / "new.csv", "stay")
    assert np.abs(stay.mean() - frame["stay"].astype(float).mean()) < 2
    with pytest.raises(ConfigError, match="probabilities are of classes, 'stay' is a number"):
        model.predict_proba(tmp_path / "new.csv", "stay")
    with pytest.raises(ConfigError, match="unknown target 'tag'"):
        model.predict(tmp_path / "new.csv", "tag")
    out = tmp_path / "p.csv"
    result = CliRunner().invoke(
        cli,
        ["predict", "many", str(tmp_path / "new.csv"), "-o", str(out),
         "--out", str(tmp_path / "studies")],
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    header = out.read_text().splitlines()[0].split(",")
    assert {"id", "risk", "risk confidence", "tags", "tags: old", "stay"} <= set(header)
    view = study.evaluate(table)
    assert set(view.comparison.standings[0].metrics) == {"risk", "tags", "stay"}
