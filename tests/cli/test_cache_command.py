"""``mmauto cache``: what is there, how large it is, and away with it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mmauto.cli.cache import ago, words
from mmauto.cli.main import main
from mmauto.engine.cache import ArrayCache

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache's folder of features."""
    monkeypatch.setenv("MMAUTO_CACHE", str(tmp_path))
    monkeypatch.delenv("MMAUTO_CACHE_LIMIT", raising=False)
    return tmp_path / "features"


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs ``mmauto cache``; exit code, output, errors."""
    monkeypatch.setenv("COLUMNS", "100")

    def called(*given: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as stop:
            main(["cache", *given])
        printed = capsys.readouterr()
        return int(stop.value.code or 0), printed.out, printed.err

    return called


def fill(folder: Path, encoder: str, modality: str, rows: int, age: float) -> None:
    samples = np.zeros((rows, 32), dtype=np.uint8)
    samples[:, 0] = np.arange(rows)
    about = {"encoder": encoder, "modality": modality, "params": {"grid": 1}}
    values = np.zeros((rows, 1000), dtype=np.float16)
    ArrayCache(folder).get(about, samples, lambda unknown: [(unknown, {"values": values})])
    (key,) = [k for k in folder.glob("*/key.json") if json.loads(k.read_text()) == about]
    os.utime(key, (time.time() - age,) * 2)


def test_entries_are_listed_with_size_and_last_use(folder: Path, run: Run) -> None:
    fill(folder, "minilm", "text", 50, 90)
    fill(folder, "vit", "image", 200, 2 * 86400 + 5)
    code, out, _ = run()
    assert code == 0
    lines = out.splitlines()
    assert re.fullmatch(r" *minilm +text +50 +10\d\.\d KB +1 minute ago *", lines[1])
    assert re.fullmatch(r" *vit +image +200 +40\d\.\d KB +2 days ago *", lines[2])
    assert lines[3].startswith("2 entries, 50")
    assert lines[3].endswith("of 20.0 GB")
    assert lines[4] == f"folder: {folder}"
    assert run("list")[1] == out


def test_json_lists_the_same(folder: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(folder, "minilm", "text", 50, 90)
    monkeypatch.setenv("MMAUTO_CACHE_LIMIT", "1.5GB")
    about = json.loads(run("list", "--json")[1])
    (entry,) = about.pop("entries")
    assert about == {"folder": str(folder), "limit": 1_500_000_000, "size": entry["size"]}
    assert entry["size"] > 50 * 1000 * 2
    assert (entry["encoder"], entry["modality"], entry["rows"]) == ("minilm", "text", 50)
    assert (entry["params"], entry["form"]) == ({"grid": 1}, "plain")


def test_an_empty_cache_says_so(folder: Path, run: Run) -> None:
    assert "The cache is empty; a search fills it" in run()[1]
    assert run("clear")[1] == "The cache is empty already.\n"
    assert not folder.exists()


def test_clearing_asks_and_removes(folder: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(folder, "minilm", "text", 50, 0)
    fill(folder, "vit", "image", 20, 0)
    (folder / "forms").mkdir()
    monkeypatch.setattr("click.termui.visible_prompt_func", lambda prompt: "n")
    assert run("clear")[0] == 130
    assert len(json.loads(run("list", "--json")[1])["entries"]) == 2
    assert run("clear", "--encoder", "vit", "--yes")[1].startswith("removed 1 entry, 4")
    assert (folder / "forms").exists()
    (left,) = json.loads(run("list", "--json")[1])["entries"]
    assert left["encoder"] == "minilm"
    monkeypatch.setattr("click.termui.visible_prompt_func", lambda prompt: "y")
    assert "removed 1 entry, 10" in run("clear")[1]
    assert not [path for path in folder.iterdir() if path.is_dir()]


def test_an_encoder_without_entries_is_named(folder: Path, run: Run) -> None:
    fill(folder, "minilm", "text", 5, 0)
    code, _, said = run("clear", "--encoder", "minlm", "--yes")
    assert code == 2
    assert "unknown encoder in the cache 'minlm' (from --encoder)" in said
    assert "did you mean 'minilm'?" in said


def test_a_limit_that_is_no_size_is_refused(
    folder: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MMAUTO_CACHE_LIMIT", "plenty")
    code, _, said = run()
    assert code == 2
    assert "$MMAUTO_CACHE_LIMIT is 'plenty'; write for example 20GB or 500MB" in said


def test_sizes_and_ages_in_words() -> None:
    assert [words(size) for size in (0, 999, 1000, 2_500_000, 7.2e9, 3e12)] == [
        "0 B", "999 B", "1.0 KB", "2.5 MB", "7.2 GB", "3000.0 GB",
    ]  # fmt: skip
    assert [ago(seconds) for seconds in (3, 60, 7300, 86400)] == [
        "just now", "1 minute ago", "2 hours ago", "1 day ago",
    ]  # fmt: skip


def test_listing_loads_no_torch(folder: Path) -> None:
    code = (
        "import sys; from mmauto.cli.main import main\n"
        "try: main(['cache'])\n"
        "except SystemExit as stop: assert not stop.code\n"
        "assert 'torch' not in sys.modules and 'numpy' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
