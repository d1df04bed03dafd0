"""Rows to look at come back as they were kept."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from mmauto.answered import Example, Examples, Shown
from mmauto.errors import StoreError
from mmauto.store.examples import EXAMPLES, load_examples, save_examples
from mmauto.store.files import load_arrays, save_arrays


def test_everything_comes_back(tmp_path: Path) -> None:
    parts = {
        "a/b": Shown("image", picture=b"\xff\xd8jpeg", effects=(0.5, -0.25), whole=0.1, weight=0.3),
        "text": Shown("text", words=("<b>", "ü"), effects=(0.0, 1.0), whole=0.0, weight=1.0,
                      attention=(0.75, 0.25), over="words"),
        "table": Shown("tabular", fields={"x": 1.5, "sex": "f", "none": None}, whole=1.0, weight=0),
    }  # fmt: skip
    kept = Examples("arm", (Example(7, "mistake", parts), Example(3, "disagreement")), ("a note",))
    save_examples(tmp_path, kept)
    assert load_examples(tmp_path) == kept


def test_what_is_not_known_stays_unknown(tmp_path: Path) -> None:
    part = Shown("text", words=("a", "b"), effects=(0.1, math.nan))
    save_examples(tmp_path, Examples("arm", (Example(0, "mistake", {"text": part}),)))
    found = load_examples(tmp_path)
    assert found is not None
    back = found.rows[0].parts["text"]
    np.testing.assert_array_equal(back.effects, part.effects)
    assert math.isnan(back.whole)
    assert math.isnan(back.weight)


def test_a_file_from_before_attention_was_kept_is_read(tmp_path: Path) -> None:
    kept = Examples("arm", (Example(0, "mistake", {"t": Shown("text", words=("a",), weight=1.0)}),))
    save_examples(tmp_path, kept)
    arrays = load_arrays(tmp_path / EXAMPLES)
    about = json.loads(arrays["about"].tobytes())
    for name in ("attention", "over"):
        del about["rows"][0]["parts"]["t"][name]
    words = np.frombuffer(json.dumps(about).encode(), dtype=np.uint8)
    save_arrays(tmp_path / EXAMPLES, {**arrays, "about": words})
    found = load_examples(tmp_path)
    assert found is not None
    assert found.rows[0].parts["t"].words == ("a",)
    assert found.rows[0].parts["t"].attention == ()


def test_a_study_without_examples_has_none(tmp_path: Path) -> None:
    assert load_examples(tmp_path) is None


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / EXAMPLES).write_bytes(b"no zip")
    with pytest.raises(StoreError, match=EXAMPLES):
        load_examples(tmp_path)
