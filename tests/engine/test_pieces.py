"""Samples as people read them, and with one piece hidden after another."""

from __future__ import annotations

from io import BytesIO

import numpy as np
from PIL import Image

from mmauto.data.columns import TabularValues, Texts
from mmauto.data.image_columns import ImageArrays
from mmauto.engine.pieces import LETTERS, ROOM, WORDS, pieces_of, shown, typical


def noise(*shape: int) -> ImageArrays:
    return ImageArrays(np.random.default_rng(0).integers(0, 256, (1, *shape, 3), dtype=np.uint8))


def table() -> TabularValues:
    sex = np.array(["f", "m", "m", None, "f", "m"], dtype=object)
    age = np.array([1.0, 2.0, 3.0, 4.0, np.nan, 50.0])
    return TabularValues({"age": age, "sex": sex}, {"age": "numeric", "sex": "categorical"})


def test_a_picture_is_shown_small_and_keeps_its_shape() -> None:
    flat = ImageArrays(np.full((1, 300, 600, 3), 90, dtype=np.uint8))
    with Image.open(BytesIO(shown(flat, 0).picture)) as picture:
        assert picture.format == "JPEG"
        assert picture.size == (224, 112)


def test_noise_that_compresses_badly_stays_within_its_room() -> None:
    twelve = 12 * len(shown(noise(600, 600), 0).picture) * 4 / 3
    assert twelve < 600_000
    assert len(shown(noise(600, 600), 0, pictures=3).picture) <= ROOM / 3


def test_each_patch_is_hidden_once_and_nothing_else_changes() -> None:
    pieces = pieces_of(noise(20, 30), 0, 4, {})
    assert pieces is not None
    whole, *others = (np.asarray(picture) for picture in pieces.column)
    changed = np.array([(other != whole).any(axis=2) for other in others])
    assert (changed.sum(axis=0) <= 1).all()
    assert changed.sum(axis=0).mean() > 0.95  # noise may have the mean colour itself
    rows, columns = np.nonzero(changed[1])
    assert (rows.max() < 6, columns.min() >= 7, columns.max() < 16) == (True, True, True)


def test_a_picture_with_fewer_pixels_than_patches_is_no_trouble() -> None:
    pieces = pieces_of(noise(3, 1), 0, 8, {})
    assert pieces is not None
    assert len(pieces.column) == 65


def test_words_are_left_out_one_by_one() -> None:
    column = Texts(["  no  acute fever "])
    pieces = pieces_of(column, 0, 8, {})
    assert pieces is not None
    assert list(pieces.column)[1:] == ["acute fever", "no fever", "no  acute"]
    assert shown(column, 0).words == ("no", "acute", "fever")


def test_a_long_text_is_cut_and_its_first_words_are_left_out() -> None:
    column = Texts(["ab " * 400])
    words, pieces = shown(column, 0).words, pieces_of(column, 0, 8, {})
    assert pieces is not None
    assert len(" ".join(words)) <= LETTERS + 2
    assert words[-1] == "…"
    assert (len(pieces.places), pieces.total) == (WORDS, len(words))


def test_an_empty_text_has_no_pieces_to_hide() -> None:
    pieces = pieces_of(Texts([""]), 0, 8, {})
    assert pieces is not None
    assert (pieces.places, pieces.total) == ((), 0)


def test_fields_get_the_median_or_the_most_frequent_category() -> None:
    column = table()
    usual = typical(column)
    assert usual == {"age": 3.0, "sex": "m"}
    pieces = pieces_of(column, 0, 8, usual)
    assert pieces is not None
    assert list(pieces.column) == [
        {"age": 1.0, "sex": "f"}, {"age": 3.0, "sex": "f"}, {"age": 1.0, "sex": "m"},
    ]  # fmt: skip


def test_missing_fields_are_shown_and_not_hidden() -> None:
    column = table()
    assert shown(column, 3).fields == {"age": 4.0, "sex": None}
    pieces = pieces_of(column, 3, 8, typical(column))
    assert pieces is not None
    assert (pieces.places, pieces.total) == ((0,), 2)


def test_a_field_that_train_rows_never_have_becomes_missing() -> None:
    train = TabularValues({"age": np.array([np.nan])}, {"age": "numeric"})
    assert typical(train) == {"age": None}
    pieces = pieces_of(table(), 0, 8, {"age": None, "sex": "m"})
    assert pieces is not None
    assert pieces.column[1] == {"age": None, "sex": "f"}


def test_other_modalities_have_a_name_only() -> None:
    class Sounds(Texts):
        modality = "sound"

    assert shown(Sounds(["x"]), 0).words == ()
    assert pieces_of(Sounds(["x"]), 0, 8, {}) is None
