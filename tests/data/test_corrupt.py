"""Spoilt samples: the same for every model, worse with severity, and never missing ones."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from mmauto.data.columns import TabularValues, Texts
from mmauto.data.corrupt import KINDS, corrupted
from mmauto.data.image_columns import ImageArrays

TEXT = "the quick brown fox jumps over the lazy dog while nobody is looking at it today"


def pictures() -> ImageArrays:
    source = np.random.default_rng(0)
    values = source.integers(0, 256, (5, 32, 48, 3), dtype=np.uint8)
    return ImageArrays(values, np.array([True, True, True, True, False]))


def far(column: object, kind: str, severity: float) -> float:
    """The mean change of pixels."""
    clean, spoilt = pictures(), corrupted(pictures(), kind, severity)
    each = [
        np.abs(np.asarray(a, float) - np.asarray(b, float)).mean()
        for a, b in zip(clean, spoilt, strict=True)
        if a is not None
    ]
    return float(np.mean(each))


@pytest.mark.parametrize("kind", KINDS["image"])
def test_pictures_get_worse_with_severity(kind: str) -> None:
    sizes = [far(pictures(), kind, severity) for severity in (0.0, 0.33, 0.67, 1.0)]
    assert sizes[0] == 0
    assert sizes == sorted(sizes)
    assert sizes[1] < sizes[3]
    one = corrupted(pictures(), kind, 1.0)[0]
    assert isinstance(one, Image.Image)
    assert (one.size, one.mode) == ((48, 32), "RGB")


@pytest.mark.parametrize("kind", KINDS["text"])
def test_texts_lose_about_the_share_of_words_that_severity_says(kind: str) -> None:
    column = Texts([TEXT] * 200 + [None])
    for severity in (0.25, 1.0):
        spoilt = list(corrupted(column, kind, severity))
        kept = [sum(word in TEXT.split() for word in text.split()) for text in spoilt if text]
        lost = 1 - np.mean(kept) / len(TEXT.split())
        # a few words have one letter, and some typos give another word
        assert lost == pytest.approx(0.8 * severity, abs=0.12)
    assert list(corrupted(column, kind, 0.0)) == list(column)
    assert spoilt[-1] is None


def test_a_text_keeps_a_word_whatever_happens() -> None:
    column = Texts(["word"] * 50)
    assert set(corrupted(column, "dropped words", 1.0)) == {"word"}


def test_numbers_move_by_deviations_and_categories_change_places() -> None:
    source = np.random.default_rng(0)
    values = {
        "age": np.r_[source.normal(50, 10, 2000), np.nan],
        "sex": np.array([*source.choice(["f", "m"], 2000), None], dtype=object),
    }
    column = TabularValues(values, {"age": "numeric", "sex": "categorical"})
    spoilt = corrupted(column, "noise", 0.5)
    assert isinstance(spoilt, TabularValues)
    change = spoilt.values["age"][:-1] - values["age"][:-1]
    assert change.std() == pytest.approx(10, rel=0.1)
    assert np.isnan(spoilt.values["age"][-1])
    assert spoilt.values["sex"][-1] is None
    same = np.mean(spoilt.values["sex"][:-1] == values["sex"][:-1])
    assert same == pytest.approx(1 - 0.4 / 2, abs=0.05)
    assert values["sex"][-1] is None  # the column itself is as it was


@pytest.mark.parametrize(
    ("column", "kind"), [(pictures(), "noise"), (Texts([TEXT, "a b c d"]), "typos")]
)
def test_the_same_seed_spoils_alike_and_another_one_differently(column: object, kind: str) -> None:
    def first(seed: int) -> object:
        found = corrupted(column, kind, 1.0, seed)[0]  # type: ignore[arg-type]
        return np.asarray(found).tolist() if isinstance(found, Image.Image) else found

    assert first(1) == first(1)
    assert first(1) != first(2)


def test_missing_samples_stay_missing() -> None:
    column = corrupted(pictures(), "blur", 1.0)
    assert column.present.tolist() == [True, True, True, True, False]
    assert column[4] is None


def test_a_part_of_a_spoilt_column_is_spoilt_as_the_whole() -> None:
    whole = corrupted(Texts([TEXT, TEXT, None, TEXT]), "typos", 1.0)
    part = whole.take([3, 2, 1])
    assert list(part) == [whole[3], None, whole[1]]
    assert whole[3] != whole[1]
    assert part.digest() != whole.digest()
