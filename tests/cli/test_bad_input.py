"""Every mistake of a user ends in one sentence and exit code 2 before anything trains."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

import mmauto.run
import mmauto.tuning.runners
from mmauto.cli.main import main
from mmauto.config import StudyConfig
from mmauto.engine.jobs import Outcome, Report, Runner, Setup, TrialJob

TABLE = ["--data", "data.csv", "--target", "label", "--text", "note"]
STUDY = ["--name", "s", "--encoders", "bag_of_words", "--workers", "1"]
Fails = Callable[..., str]


class NoExecutor(Runner):
    """Stands for the executor, so that no process starts; a trial would fail the test."""

    def __init__(self, *_: object) -> None: ...

    def use(self, setup: Setup) -> None:
        pytest.fail("the data was handed to an executor")

    def run_pack(self, jobs: Sequence[TrialJob], report: Report) -> Sequence[Outcome]:
        pytest.fail("a trial was started")

    def close(self) -> None: ...


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder: a table of 40 rows with a note, a number, images and two labels."""
    lines = ["note,x,label,same,empty,broken,leaving,gone"]
    for row in range(40):
        word = ("calm", "loud")[row % 2]
        lines.append(f"a {word} day,{row / 7:.2f},{word},one,,broken.png,../out.png,gone.png")
    (tmp_path / "data.csv").write_text("\n".join(lines) + "\n")
    (tmp_path / "broken.png").write_bytes(b"no picture")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(mmauto.tuning.runners, "ProcessExecutor", NoExecutor)
    return tmp_path


@pytest.fixture
def refused(here: Path, capsys: pytest.CaptureFixture[str]) -> Fails:
    """Runs a command that must fail with exit code 2; what it printed as its error."""

    def run(*words: str) -> str:
        with pytest.raises(SystemExit) as stop:
            main(list(words))
        printed = capsys.readouterr()
        assert stop.value.code == 2
        assert printed.out == ""
        assert "Traceback" not in printed.err
        return printed.err

    return run


@pytest.fixture
def fails(here: Path, refused: Fails) -> Fails:
    """Like `refused`, and no study must have been made."""

    def run(*words: str) -> str:
        printed = refused(*words)
        assert not list(here.rglob("study.db"))
        return printed

    return run


@pytest.fixture
def stopped(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Path:
    """The folder of a study that Ctrl-C stopped at its first trial."""

    class Interrupted(NoExecutor):
        def use(self, setup: Setup) -> None: ...

        def run_pack(self, jobs: Sequence[TrialJob], report: Report) -> Sequence[Outcome]:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(mmauto.tuning.runners, "ProcessExecutor", Interrupted)
        with pytest.raises(SystemExit) as stop:
            main(["search", *TABLE, *STUDY])
    assert stop.value.code == 130
    assert "mmauto search --resume s" in capsys.readouterr().err
    return here / "studies" / "s"


def one_sentence(printed: str) -> str:
    """The text without the program's name; it is one line."""
    assert printed.startswith("mmauto: ")
    assert printed.count("\n") == 1
    return printed.removeprefix("mmauto: ")


# ------------------------------------------------------------------------- flags and the table


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "a search needs a task or data, neither was given; use --task medical, or --data"),
        (["--task", "medicle"], "unknown task 'medicle' (from --task); did you mean 'medical'?"),
        (["--task", "medical", "--text", "note"], "columns are named only where there is a table"),
        ([*TABLE, "--data", "none.csv"], "there is no table at none.csv; give the path of a"),
        (
            [*TABLE, "--data", "broken.png"],
            "a table is a .csv, .tsv, .jsonl, .parquet or .xlsx",
        ),
        ([*TABLE, "--text", "notes"], "unknown column 'notes' (from text, data.csv); did you mean"),
        ([*TABLE, "--target", "lable"], "(from target, data.csv); did you mean 'label'?"),
        ([*TABLE, "--tabular", "note"], "a column has one role, 'note' of data.csv is named as"),
        (TABLE[:4], "every image must exist and decode, up to --max-bad 5.0% of them; 40 of 40"),
        ([*TABLE, "--target", "same"], "a target needs at least two classes or values, target"),
        ([*TABLE, "--target", "empty"], "a target needs labels, target 'empty' of data.csv has"),
        (
            [*TABLE, "--image", "broken"],
            "40 of 40 cannot be used: 40 cannot be decoded",
        ),
        ([*TABLE, "--image", "leaving"], "stay inside the table's folder, 1 ('../out.png') does"),
        ([*TABLE, "--image", "gone"], "40 of 40 cannot be used: 40 not found ('gone.png'"),
        ([*TABLE, "--metric", "acuracy"], "unknown metric 'acuracy' (from --metric); did you mean"),
        ([*TABLE, "--metric", "mae"], "'mae' does not fit a binary one; use one of"),
        ([*TABLE, "--trials", "0"], "--trials must be at least 1, it is 0"),
        ([*TABLE, "--trials", "-5"], "--trials must be at least 1, it is -5"),
        ([*TABLE, "--time", "-10m"], "--time must be a positive number of seconds, it is -600"),
        ([*TABLE, "--time", "9" * 400], "--time must be a positive number of seconds, it is inf"),
        ([*TABLE, "--seed", "-1"], "--seed must be at least 0, it is -1"),
        ([*TABLE, "--seed", "4294967296"], "--seed must be at most 4294967295, it is 4294967296"),
        ([*TABLE, "--epochs", "0"], "--epochs must be at least 1, it is 0"),
        ([*TABLE, "--pack", "0"], "--pack must be at least 1, it is 0"),
        (
            [*TABLE, "--warm-start", "gone"],
            "--warm-start must name an earlier study, 'gone' is none",
        ),
        (
            [*TABLE, "--name", "s", "--warm-start", "s"],
            "a study cannot begin with its own results, --warm-start names this one, 's'",
        ),
        ([*TABLE, "--workers", "-1"], "--workers must be at least 0, it is -1"),
        ([*TABLE, "--name", "../x"], "--name must be letters, digits, '.', '_' or '-'"),
        ([*TABLE, "--device", "gpu"], "--device must be auto, cpu, cuda or cuda:N, it is 'gpu'"),
        ([*TABLE, "--device", "cuda:99"], "--device cuda:99 was asked for and torch sees"),
    ],
    ids=lambda value: " ".join(value)[-40:] if isinstance(value, list) else "",
)
def test_flags_and_tables(fails: Fails, flags: list[str], message: str) -> None:
    assert message in one_sentence(fails("search", *flags))


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--encoders", "minilmm"], "unknown encoder 'minilmm' (from --encoders); did you mean"),
        (["--encoders", "small_cnn"], "'small_cnn' reads image, the task has text; drop it from"),
        (["--fusions", "concat"], "unknown fusion 'concat' (from --fusions)"),
        (["--controls", "majorty"], "unknown control 'majorty' (from "),
        (["--regularisers", "mixup"], "unknown regulariser 'mixup' (from "),
        (["--exclude", "boostin"], "unknown component or arm 'boostin' (from --exclude); did you"),
        (
            ["--exclude", "text_only,boosting,logistic,majority"],
            "a search needs at least one arm, --exclude leaves none; exclude less",
        ),
        (
            ["--exclude", "bag_of_words,embedding_mean,lstm,minilm"],
            "every modality needs an encoder, 'text' (text) is left without one",
        ),
    ],
    ids=lambda value: " ".join(value)[-40:] if isinstance(value, list) else "",
)
def test_component_names(fails: Fails, flags: list[str], message: str) -> None:
    assert message in one_sentence(fails("search", *TABLE, *flags))


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--sampler", "tpa"], "'tpa' is not one of 'tpe'"),
        (["--pruner", "no"], "'no' is not one of"),
        (["--preset", "fast"], "'fast' is not one of 'default', 'thorough'"),
        (["--time", "ten minutes"], "like 90s, 10m, 2h; 'ten minutes' is not"),
        (["--time", "1.5.2h"], "'1.5.2h' is not"),
        (["--trials", "many"], "'many' is not a valid integer"),
        (["--trails", "3"], "No such option '--trails'"),
    ],
    ids=lambda value: " ".join(value)[-40:] if isinstance(value, list) else "",
)
def test_flags_that_click_refuses(fails: Fails, flags: list[str], message: str) -> None:
    assert message in fails("search", *TABLE, *flags)


def test_an_unknown_command(fails: Fails) -> None:
    assert "No such command 'serch'" in fails("serch")


def test_an_unknown_kind_of_plugin(fails: Fails) -> None:
    message = one_sentence(fails("plugins", "--kind", "fusions"))
    assert "unknown kind 'fusions' (from --kind); did you mean 'fusion'?" in message


def test_studies_stand_in_a_folder(fails: Fails) -> None:
    message = one_sentence(fails("search", *TABLE, "--name", "s", "--out", "data.csv"))
    assert "a study needs a folder that can be written, data.csv/s is not one" in message
    assert "choose another --out" in message


# --------------------------------------------------------------------------- resuming, showing


@pytest.mark.parametrize("words", [["search", "--resume"], ["show"], ["report"]])
def test_a_study_that_is_not_there(fails: Fails, words: list[str]) -> None:
    message = one_sentence(fails(*words, "none"))
    assert (
        f"a study is a folder with a study.db, {Path('studies/none')} has none; name a" in message
    )


def test_a_resumed_study_keeps_its_flags(fails: Fails) -> None:
    message = one_sentence(
        fails("search", "--resume", "s", "--trials", "3", "--class-weights=none")
    )
    assert "--resume continues a study as it was configured" in message
    assert "--class-weights" in message
    assert "--trials" in message


def test_a_resumed_study_takes_what_may_change(
    stopped: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[StudyConfig] = []

    def stop(config: StudyConfig, watcher: object) -> None:
        given.append(config)
        raise KeyboardInterrupt

    monkeypatch.setattr(mmauto.run, "run", stop)
    with pytest.raises(SystemExit):
        main(["search", "--resume", "s", "--workers", "3", "--time", "2m"])
    assert [(one.name, one.workers, one.time) for one in given] == [("s", 3, 120.0)]


def test_a_resumed_study_takes_no_file(fails: Fails) -> None:
    message = one_sentence(fails("search", "study.toml", "--resume", "s"))
    assert "study.toml was given beside it; leave that out" in message


def test_a_stored_study_keeps_its_configuration(refused: Fails, stopped: Path) -> None:
    message = one_sentence(refused("search", *TABLE, *STUDY, "--quiet", "--trials", "3"))
    assert "differs in: trials: 16 -> 3; use --name for a new study, or --resume s" in message


@pytest.mark.parametrize("words", [["search", "--quiet", "--resume"], ["show"], ["report"]])
def test_a_study_whose_database_is_broken(refused: Fails, stopped: Path, words: list[str]) -> None:
    (stopped / "study.db").write_bytes(b"no database" * 1000)
    for left in stopped.glob("study.db-*"):
        left.unlink()
    message = one_sentence(refused(*words, "s"))
    assert "a study needs a database that can be read and written" in message


@pytest.mark.parametrize(
    ("path", "why"), [(".", "it is a folder"), ("data.csv/report.html", "File exists")]
)
def test_a_report_that_cannot_be_written(
    refused: Fails, stopped: Path, path: str, why: str
) -> None:
    message = one_sentence(refused("report", "s", "--path", path))
    assert f"a report needs a file that can be written, {path} is not one ({why}" in message


# --------------------------------------------------------------------------------- study files


def test_a_study_file_that_is_not_there(fails: Fails) -> None:
    message = one_sentence(fails("search", "none.toml"))
    assert "a study file must exist, none.toml does not; give a path" in message


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("task medical", "a study file must be TOML, study.toml is not: "),
        ("trails = 3", "unknown setting 'trails' (from study.toml); did you mean 'trials'?"),
        ("trials = 'many'", "study.toml: trials must be a whole number, it is 'many'"),
        ("trials = 0", "study.toml: trials must be at least 1, it is 0"),
        ("sampler = 'tpa'", "(from study.toml: sampler); did you mean 'tpe'?"),
        ("encoders = [1]", "study.toml: encoders must be a list of names, it is [1]"),
        ("seed = true", "study.toml: seed must be a whole number, it is True"),
        ("space = 3", "study.toml: space must be a table, it is 3"),
        ("[space]\n'train/lr' = {low = 1}", "study.toml: space.train/lr must be a value, a list"),
        ("[space]\n'train/lr' = []", "study.toml: space.train/lr must be a value, a list"),
        ("[space]\n'train/lr' = {low = -1, high = 1, log = true}", "a log scale begins above 0"),
        ("[space]\n'train/rate' = 0.1", "study.toml: unknown parameter 'train/rate' (from space)"),
        (
            "[space]\n'train/lr' = -0.1",
            "study.toml: space.train/lr must be a number from 1e-07 to 10",
        ),
    ],
    ids=lambda value: value.replace("\n", " "),
)
def test_study_files(fails: Fails, here: Path, content: str, message: str) -> None:
    (here / "study.toml").write_text(
        f"data = 'data.csv'\ntarget = 'label'\ntext = 'note'\n{content}\n"
    )
    assert message in one_sentence(fails("search", "study.toml"))


def test_a_study_file_without_task_or_data(fails: Fails, here: Path) -> None:
    (here / "study.toml").write_text("trials = 3\n")
    assert "neither was given" in one_sentence(fails("search", "study.toml"))


def test_flags_complete_a_study_file(fails: Fails, here: Path) -> None:
    """The file alone lacks a target, which is no fault where a flag gives it."""
    (here / "study.toml").write_text("data = 'data.csv'\n")
    assert "unknown column 'lable'" in one_sentence(
        fails("search", "study.toml", "--target", "lable")
    )


# --------------------------------------------------------------------------- the real program


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["search", "--task", "medical", "--trials", "-1"], "--trials must be at least 1, it is"),
        (["search", *TABLE, "--target", "same"], "a target needs at least two classes or values"),
        (["show", "none"], "a study is a folder with a study.db"),
    ],
)
def test_the_program_itself(here: Path, words: list[str], message: str) -> None:
    found = subprocess.run(
        [sys.executable, "-m", "mmauto", *words],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert found.returncode == 2
    assert message in one_sentence(found.stderr)
    assert found.stdout == ""
    assert not list(here.rglob("study.db"))


def test_the_program_as_a_module_shows_its_help(here: Path) -> None:
    found = subprocess.run(
        [sys.executable, "-m", "mmauto", "--help"], capture_output=True, text=True, check=True
    )
    assert "Usage: " in found.stdout
    assert "search" in found.stdout


def test_a_cache_that_is_a_file(
    fails: Fails, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "afile").write_text("")
    monkeypatch.setenv("MMAUTO_CACHE", str(tmp_path / "afile"))
    said = fails("search", *TABLE, *STUDY)
    assert "encoded features need a folder that can be written" in said
    assert "set MMAUTO_CACHE to another one" in said
