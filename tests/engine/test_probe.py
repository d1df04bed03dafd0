"""Kept models asked about changed rows: clean answers are their own, changes hit what they say."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

from mmauto.engine.bundle import Bundle, Memo
from mmauto.engine.executor import Executor
from mmauto.engine.features import Inputs
from mmauto.engine.jobs import NOTE, ProbeJob, Setup, TrialJob
from mmauto.engine.probe import MISSING, SEVERITIES, SWAPS
from mmauto.engine.process import ProcessExecutor
from mmauto.registry import Registry
from mmauto.store.probes import load_probes, probed, save_probe
from mmauto.values import Column
from mmauto.views import Predictions

Make = Callable[..., TrialJob]
Answers = dict[str, dict[str, Predictions]]


def go_on(epoch: int, values: Mapping[int, float]) -> Mapping[int, bool]:
    return dict.fromkeys(values, True)


@pytest.fixture
def kept(setup: Setup, registry: Registry, make_job: Make, tmp_path: Path) -> Path:
    """A trained model's folder."""
    job = make_job(score_test=True, bundle=str(tmp_path / "b"))
    (outcome,) = Executor(setup, registry).run_pack([job], go_on)
    assert outcome.failure is None
    return tmp_path / "b"


def ask(setup: Setup, registry: Registry, kept: Path, seed: int = 0) -> Answers:
    found: Answers = {}
    job = ProbeJob({"mix": str(kept)}, setup.splits.test, 20, seed)
    Executor(setup, registry).probe(
        job, lambda arm, question, given: found.setdefault(arm, {}).update({question: given})
    )
    return found


def test_every_question_is_asked_and_the_clean_rows_answered_as_ever(
    setup: Setup, registry: Registry, kept: Path
) -> None:
    found = ask(setup, registry, kept)["mix"]
    columns = {k: c.take(setup.splits.test) for k, c in setup.dataset.columns.items()}
    clean = Bundle(kept, registry).predict(columns)
    for target, given in clean.items():
        np.testing.assert_allclose(found[""][target], given, atol=1e-6)
    assert sum(name.startswith("swapped|") for name in found) == 3 * SWAPS
    assert sum(name.startswith("missing|") for name in found) == 2 * len(MISSING)
    assert sum(name.startswith("spoilt|") for name in found) == 2 * len(SEVERITIES)
    rows = len(setup.splits.test)
    for name, given in found.items():
        assert len(given["y"]) == (20 if name.startswith("spoilt|") else rows), name


def test_a_modality_of_other_rows_says_what_those_rows_say(
    setup: Setup, registry: Registry, kept: Path
) -> None:
    """With both modalities swapped together, a row's answer is the answer to another row."""
    found = ask(setup, registry, kept)["mix"]
    clean = {tuple(np.round(row, 5)) for row in found[""]["y"]}
    for draw in range(SWAPS):
        swapped = found[f"swapped|left+right||{draw}"]["y"]
        assert {tuple(np.round(row, 5)) for row in swapped} == clean
        assert not np.allclose(swapped, found[""]["y"])
    # left decides half of the label, so other rows' left make the answers worse
    truth = setup.targets["y"][setup.splits.test]
    right = (found[""]["y"].argmax(1) == truth).mean()
    wrong = np.mean([
        (found[f"swapped|left||{draw}"]["y"].argmax(1) == truth).mean() for draw in range(SWAPS)
    ])  # fmt: skip
    assert wrong < right - 0.1


def test_rows_go_missing_one_after_another(setup: Setup, registry: Registry, kept: Path) -> None:
    found = ask(setup, registry, kept)["mix"]
    changed = [
        set(np.flatnonzero(
            np.abs(found[f"missing|left||{share:g}"]["y"] - found[""]["y"]).max(axis=1) > 1e-6
        ))
        for share in MISSING
    ]  # fmt: skip
    rows = len(setup.splits.test)
    for share, some, more in zip(MISSING, changed, [*changed[1:], set(range(rows))], strict=True):
        assert some <= more
        assert len(some) == pytest.approx(share * rows, abs=1)


def test_the_same_seed_asks_the_same(setup: Setup, registry: Registry, kept: Path) -> None:
    one, two, other = (ask(setup, registry, kept, seed)["mix"] for seed in (0, 0, 1))
    for name in one:
        np.testing.assert_array_equal(one[name]["y"], two[name]["y"])
    assert any(not np.allclose(one[name]["y"], other[name]["y"]) for name in one)


def test_answers_come_from_another_process_and_are_kept(
    setup: Setup, registry: Registry, kept: Path, tmp_path: Path
) -> None:
    here = ask(setup, registry, kept)["mix"]
    found: dict[str, Predictions] = {}
    runner = ProcessExecutor()
    try:
        runner.use(setup)
        runner.probe(
            ProbeJob({"mix": str(kept)}, setup.splits.test, 20, 0),
            lambda arm, question, given: found.update({question: given}),
        )
    finally:
        runner.close()
    assert found.keys() == here.keys()
    rows = np.arange(len(setup.splits.test))
    save_probe(tmp_path, "mix", rows, 20, found)
    assert probed(tmp_path) == {"mix"}
    stored = load_probes(tmp_path)
    assert stored is not None
    assert stored.spoilt == 20
    np.testing.assert_array_equal(stored.rows, rows)
    for question, given in here.items():
        for target, values in given.items():
            np.testing.assert_allclose(stored.answers["mix"][question][target], values, atol=1e-6)


def test_a_model_that_cannot_be_read_is_named_and_the_others_are_asked(
    setup: Setup, registry: Registry, kept: Path, tmp_path: Path
) -> None:
    said: list[str] = []
    found: Answers = {}
    job = ProbeJob({"gone": str(tmp_path / "gone"), "mix": str(kept)}, setup.splits.test, 20, 0)
    Executor(setup, registry, said.append).probe(
        job, lambda arm, question, given: found.setdefault(arm, {}).update({question: given})
    )
    assert set(found) == {"mix"}
    assert any("gone could not be asked what it relies on: a bundle is" in text for text in said)


def test_a_plugin_that_fails_on_spoilt_rows_costs_those_questions_alone(
    setup: Setup, registry: Registry, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs = Bundle.inputs

    def fails(self: Bundle, key: str, column: Column, memo: Memo | None = None) -> Inputs:
        if self.folder.name == "b" and key in bad:
            raise RuntimeError("numbers out of range")
        return inputs(self, key, column, memo)

    bad: set[str] = set()
    said: list[str] = []

    def say(text: str) -> None:
        said.append(text)
        if text.startswith("left: noise, severity 0.67"):
            bad.add("left")
        elif "severity" in text:
            bad.clear()

    other = kept.parent / "other"
    shutil.copytree(kept, other)
    monkeypatch.setattr(Bundle, "inputs", fails)
    found: Answers = {}
    job = ProbeJob({"mix": str(kept), "other": str(other)}, setup.splits.test, 20, 0)
    Executor(setup, registry, say).probe(
        job, lambda arm, question, given: found.setdefault(arm, {}).update({question: given})
    )
    assert found["other"].keys() - found["mix"].keys() == {"spoilt|left|noise|0.67"}
    assert [text for text in said if text.startswith(NOTE)] == [
        f"{NOTE}mix could not be asked about rows with spoilt left noise: numbers out of range"
    ]


def test_a_damaged_file_of_answers_counts_as_not_there(tmp_path: Path) -> None:
    answers = {"": {"y": np.zeros((3, 1))}}
    for arm in ("one", "two"):
        save_probe(tmp_path, arm, np.arange(3), 1, answers)
    (tmp_path / "probes" / "one.npz").write_bytes(b"PK damaged")
    stored = load_probes(tmp_path)
    assert stored is not None
    assert set(stored.answers) == {"two"}


def test_a_study_that_was_not_asked_has_no_answers(tmp_path: Path) -> None:
    assert load_probes(tmp_path) is None
    assert probed(tmp_path) == set()
