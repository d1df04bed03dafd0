"""``mmauto report``: one study in every format, several as a comparison, and what is refused."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import plotly.io
import pytest

from mmauto.cli.main import main
from mmauto.engine.jobs import Outcome
from mmauto.store.files import save_truth
from mmauto.store.study import NewTrial, StudyStore
from mmauto.testing.fakes_study import fake_study
from mmauto.views import StudyView

ARMS = ("concat_mlp", "text alone", "majority")
Run = Callable[..., str]


def keep(view: StudyView, folder: Path) -> None:
    """Store the confirmed runs of some arms as a search does."""
    save_truth(folder, view.truth, view.groups, view.ids)
    arms = [arm for arm in view.arms if arm.name in ARMS]
    facts = {"rows": dict(view.rows), "ceiling": {}, "licence": ""}
    store = StudyStore.create(
        folder, view.name, view.config, view.task, facts, {}, view.command, arms
    )
    runs = [run for run in view.confirmations if run.arm in ARMS]
    fresh = [NewTrial(r.arm, "confirm", 0, r.seed, r.seed, r.params, r.trial) for r in runs]
    for run, place in zip(runs, store.begin(fresh) if fresh else [], strict=True):
        found = Outcome(
            place, "complete", run.value, 0, run.curve,
            valid=run.valid, test=run.test, costs=run.costs,
        )  # fmt: skip
        store.finish(found)
    store.set_study(state="finished")
    store.close()


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Studies ``a`` and ``b`` on the same rows, ``c`` on others."""
    out = tmp_path_factory.mktemp("studies")
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        keep(replace(fake_study(seed), name=name, config={"seed": seed}), out / name)
    bare = replace(fake_study(0), name="bare", confirmations=())
    keep(bare, out / "bare")
    return out


@pytest.fixture
def run(stored: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch) -> Run:
    """Runs ``mmauto report`` on the stored studies; standard output."""
    monkeypatch.chdir(tmp_path)

    def report(*words: str, out: Path | None = stored) -> str:
        with pytest.raises(SystemExit) as stop:
            main(["report", *words, *(["--out", str(out)] if out else [])])
        printed = capsys.readouterr()
        assert stop.value.code == 0, printed.err
        return printed.out

    return report


@pytest.fixture
def refused(stored: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a ``mmauto report`` that must fail; its one sentence."""

    def report(*words: str) -> str:
        with pytest.raises(SystemExit) as stop:
            main(["report", *words, "--out", str(stored)])
        printed = capsys.readouterr()
        assert stop.value.code == 2
        assert printed.out == ""
        assert printed.err.count("\n") == 1
        return printed.err.removeprefix("mmauto: ")

    return report


def test_one_study_gives_its_page(run: Run, stored: Path) -> None:
    place = Path(run("a").strip())
    assert place == stored / "a" / "report.html"
    assert "<h1>a" in place.read_text(encoding="utf-8")


@pytest.mark.parametrize("flag", ["-o", "--output", "--path"])
def test_the_page_goes_where_it_is_asked_to(run: Run, tmp_path: Path, flag: str) -> None:
    assert Path(run("a", flag, "deep/page.html").strip()) == Path("deep/page.html")
    assert (tmp_path / "deep" / "page.html").is_file()


def test_formats_go_to_standard_output(run: Run) -> None:
    rows = list(csv.DictReader(io.StringIO(run("a", "--format", "csv"))))
    body = json.loads(run("a", "--format", "json"))
    assert [row["arm"] for row in rows] == [row["arm"] for row in body["rows"]]
    assert {*ARMS} < {row["arm"] for row in rows}
    assert body["verdict"][0].startswith("concat_mlp was chosen on validation")
    assert "| concat\\_mlp | early |" in run("a", "--format", "md")
    assert "concat\\_mlp & early &" in run("a", "--format", "latex")


def test_a_format_goes_to_a_file(run: Run, tmp_path: Path) -> None:
    shown = run("a", "--format", "latex")
    assert run("a", "--format", "latex", "--output", "table.tex") == "table.tex\n"
    assert (tmp_path / "table.tex").read_text(encoding="utf-8") == shown


def test_studies_of_the_same_rows_give_one_leaderboard(run: Run, stored: Path) -> None:
    place = Path(run("a", "b").strip())
    assert place == stored / "comparison.html"
    page = place.read_text(encoding="utf-8")
    assert "a/concat_mlp ★" in page
    assert "b/majority" in page
    rows = list(csv.DictReader(io.StringIO(run("a", "b", "--format", "csv"))))
    assert {row["arm"] for row in rows} == {f"{study}/{arm}" for study in "ab" for arm in ARMS}


def test_studies_of_other_rows_give_ranks(run: Run, tmp_path: Path) -> None:
    run("a", "c", "--output", "ranks.html")
    page = (tmp_path / "ranks.html").read_text(encoding="utf-8")
    assert "concat_mlp has the best average rank, 1.00, among 3 arms on 2 studies." in page
    assert "needs 5 data sets or more" in page


def test_studies_may_be_folders_and_share_a_name(run: Run, stored: Path, tmp_path: Path) -> None:
    keep(replace(fake_study(0), name="a", config={"seed": 0}), tmp_path / "elsewhere" / "a")
    run("a", "elsewhere/a", "--output", "both.html")
    page = (tmp_path / "both.html").read_text(encoding="utf-8")
    assert "elsewhere/a/concat_mlp" in page
    assert f"{stored}/a/concat_mlp" in page


def test_a_folded_study_may_be_a_folder(run: Run, tmp_path: Path) -> None:
    # as a nested cross-validation leaves it: each fold is a study, the whole has no database
    folder = tmp_path / "elsewhere" / "x" / "folds" / "1"
    keep(replace(fake_study(0), name="1", config={"folds": 3}), folder)
    lines = list(csv.DictReader(io.StringIO(run("elsewhere/x", "--format", "csv", out=None))))
    assert {line["arm"] for line in lines} == set(ARMS)


def test_figures_as_files_stand_in_the_study(
    run: Run, stored: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "kaleido", ModuleType("kaleido"))
    monkeypatch.setattr(plotly.io, "write_image", lambda _, path, **__: path.write_bytes(b"PNG"))
    run("a", "--png")
    assert (stored / "a" / "figures" / "strategies-1.png").read_bytes() == b"PNG"
    run("a", "b", "--png", "--output", "both.html")
    assert list((tmp_path / "both-figures").iterdir()) == []


def test_without_kaleido_one_sentence_says_what_to_install(
    stored: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "kaleido", None)
    with pytest.raises(SystemExit) as stop:
        main(["report", "a", "--png", "--out", str(stored)])
    assert stop.value.code == 2
    assert "`pip install mmauto[png]`" in capsys.readouterr().err


def test_the_page_opens_in_the_browser(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr("click.launch", opened.append)
    place = run("a", "b", "--open").strip()
    assert opened == [place]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["a", "--format", "cvs"],
            "unknown format 'cvs' (from --format); did you mean 'csv'?; available: csv, html, json,"
            " latex, md",
        ),
        (
            ["a", "--format", "md", "--open"],
            "--open shows a page, --format is md; leave one of them out",
        ),
        (["a", "a"], "a comparison is between different studies, "),
        (["a", "bare"], "studies are compared by their confirmed arms, bare has none yet"),
        (["a", "none"], "none has none; name a study that `mmauto search` made"),
        (["a", "b", "c"], "studies are either all of the same test rows or all of different ones"),
        (
            ["a", "c", "--format", "md"],
            "only studies of the same rows have one leaderboard, these have different ones and no "
            "md; leave --format out for the page with their ranks",
        ),
        (["a", "-o", "."], "a report needs a file that can be written, . is not one (it is a"),
        (
            ["a", "--format", "md", "-o", "/dev/null/x.md"],
            "a report needs a file that can be written, /dev/null/x.md is not one (",
        ),
    ],
)
def test_what_cannot_be_is_refused(refused: Run, words: list[str], message: str) -> None:
    assert message in refused(*words)
