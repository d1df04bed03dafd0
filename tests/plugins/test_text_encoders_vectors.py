"""Word vectors from a file: formats, coverage, and what is wrong with a bad file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmauto_text.word_vectors import WordVectors

from mmauto.plugin import DataError, Texts

TRAIN = Texts(["fever and cough", "fever, zygote", None, ""])
GLOVE = "fever 1 0\nCough 0 1\ncough 0 2\nunrelated 9 9\nAnd 3 3\n"


def file(folder: Path, text: str) -> dict[str, Any]:
    path = folder / "vectors.txt"
    path.write_text(text, encoding="utf-8")
    return {"file": str(path), "tune": False, "pool": "mean"}


def means(column: Texts, params: dict[str, Any]) -> torch.Tensor:
    state = WordVectors().fit(TRAIN, params)
    found = WordVectors().build(state, params)(**WordVectors().prepare(column, state, params))
    return found.values[:, 0]


@pytest.mark.parametrize("header", ["", "5 2\n"])
def test_glove_and_word2vec_text_files_give_the_words_of_the_train_texts(
    tmp_path: Path, header: str
) -> None:
    state = WordVectors().fit(TRAIN, file(tmp_path, header + GLOVE))
    assert state["vocabulary"] == ["and", "cough", "fever"]
    # the lower case wins; a word that has none there takes what there is
    np.testing.assert_array_equal(state["vectors"], [[3, 3], [0, 2], [1, 0]])
    assert state["coverage"] == {"distinct": 3 / 4, "running": 4 / 5}
    assert state["length"] == 3


def test_a_text_is_the_mean_of_the_vectors_it_has(tmp_path: Path) -> None:
    params = file(tmp_path, GLOVE)
    column = Texts(["cough fever cough", "zygote fever", "zygote unrelated", None])
    expected = [[1 / 3, 4 / 3], [1, 0], [0, 0], [0, 0]]
    np.testing.assert_allclose(means(column, params), expected, rtol=1e-6)


def test_the_variable_names_the_file_where_the_parameter_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    params = file(tmp_path, GLOVE)
    monkeypatch.setenv("MMAUTO_WORD_VECTORS", params["file"])
    assert WordVectors().fit(TRAIN, {**params, "file": ""})["vectors"].shape == (3, 2)


def test_without_a_file_vectors_are_random_and_always_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("MMAUTO_WORD_VECTORS", raising=False)
    params = {"file": "", "tune": False, "pool": "mean"}
    state = WordVectors().fit(TRAIN, params)
    assert state["coverage"] == {"distinct": 1.0, "running": 1.0}
    torch.manual_seed(5)
    one = means(TRAIN, params)
    torch.manual_seed(6)
    torch.testing.assert_close(means(TRAIN, params), one)


@pytest.mark.parametrize("tune", [True, False])
def test_vectors_train_only_where_asked(tmp_path: Path, tune: bool) -> None:
    params = {**file(tmp_path, GLOVE), "tune": tune, "pool": "tokens"}
    state = WordVectors().fit(TRAIN, params)
    module = WordVectors().build(state, params)
    assert WordVectors().frozen(params) is not tune
    assert [p.requires_grad for p in module.parameters()] == [tune]
    arrays = WordVectors().prepare(Texts(["zygote cough fever"]), state, params)
    found = module(**arrays)
    assert found.values.tolist() == [[[0, 2], [1, 0], [0, 0]]]
    assert found.mask.tolist() == [[True, True, False]]


def test_a_word_with_blanks_in_it_is_read_from_the_right(tmp_path: Path) -> None:
    state = WordVectors().fit(TRAIN, file(tmp_path, "cough 1 2\nat name 5 6\nfever 3 4\n"))
    assert state["vectors"].tolist() == [[1, 2], [3, 4]]


def test_a_file_without_any_word_of_the_texts_is_said_by_its_coverage(tmp_path: Path) -> None:
    params = file(tmp_path, "elsewhere 1 2 3\n")
    assert WordVectors().fit(TRAIN, params)["coverage"] == {"distinct": 0.0, "running": 0.0}
    assert not means(TRAIN, params).any()


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("fever 1 0\ncough 1\n", "in line 2 of PATH there are 1 numbers where 2 were expected"),
        ("7 3\nfever 1 0\n", "in line 2 of PATH there are 2 numbers where 3 were expected"),
        ("fever 1 x\n", "in line 1 of PATH could not convert string to float"),
        ("fever 1 nan\n", "in line 1 of PATH a number is not finite"),
        ("fever\n", "in line 1 of PATH there is a word without numbers"),
        ("\n\n", "holds a word and its numbers a line, PATH holds none; give another file"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, text: str, seen: str) -> None:
    params = file(tmp_path, text)
    with pytest.raises(DataError) as caught:
        WordVectors().fit(TRAIN, params)
    assert seen.replace("PATH", params["file"]) in str(caught.value)


def test_no_file_and_no_text_file_are_said(tmp_path: Path) -> None:
    params = {"file": str(tmp_path / "none.txt"), "tune": False, "pool": "mean"}
    with pytest.raises(DataError, match=r"none\.txt cannot be read as one \(.*No such file"):
        WordVectors().fit(TRAIN, params)
    (tmp_path / "none.txt").write_bytes(b"2 2\nfever \x80\x3f\xff\x00")
    with pytest.raises(DataError, match=r"word2vec or GloVe text format.*MMAUTO_WORD_VECTORS"):
        WordVectors().fit(TRAIN, params)
