"""Attention is laid over what it was given to, and over nothing else."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from mmauto.answered import Shown
from mmauto.data.columns import Texts
from mmauto.engine.attended import Masks, attended
from mmauto.engine.pieces import shown
from mmauto.values import Column

TOKENS = 12


def masks_of(count: Callable[[list[str]], int], most: int = TOKENS) -> Masks:
    """The masks of an encoder whose texts have so many tokens."""

    def masks(texts: Column) -> np.ndarray:
        real = [min(most, count((text or "").split())) for text in texts]
        return np.arange(most) < np.array(real)[:, None]

    return masks


def text(words: str) -> Shown:
    return shown(Texts([words]), 0)


def shares(count: int, total: int = TOKENS) -> np.ndarray:
    """1, 2, 3, ... hundredths for the real tokens."""
    return np.where(np.arange(total) < count, np.arange(1.0, total + 1), 0.0) / 100


def never(texts: Column) -> np.ndarray | None:
    raise AssertionError("only texts have words")


def test_tokens_of_a_picture_are_its_patches_where_they_make_a_square() -> None:
    picture = Shown("image", picture=b"jpeg")
    given = np.array([0.1, 0.4, 0.3, 0.0])
    assert attended(given, picture, never) == {
        "attention": (0.1, 0.4, 0.3, 0.0),
        "over": "patches",
    }
    assert attended(shares(5, 5), picture, never)["over"] == "tokens"


def test_one_token_says_nothing() -> None:
    assert attended(np.array([0.5]), Shown("image", picture=b"jpeg"), never) == {}
    assert attended(shares(1), text("fever"), masks_of(len)) == {}


def test_fields_have_bare_tokens() -> None:
    found = attended(shares(3), Shown("tabular", fields={"x": 1.0}), never)
    assert found == {"attention": (0.01, 0.02, 0.03), "over": "tokens"}


def test_a_token_a_word_is_laid_over_the_words() -> None:
    found = attended(shares(3), text("no  fever\ntoday"), masks_of(len))
    assert found["over"] == "words"
    assert found["attention"] == pytest.approx((0.01, 0.02, 0.03))


def test_tokens_of_one_word_are_summed_and_signs_have_none() -> None:
    def pieces(words: list[str]) -> int:
        return sum({"x-ray": 2, "–": 0}.get(word, 1) for word in words)

    found = attended(shares(4), text("chest x-ray – clear"), masks_of(pieces))
    assert found["attention"] == pytest.approx((0.01, 0.05, 0.0, 0.04))


@pytest.mark.parametrize(
    ("masks", "count"),
    [
        (masks_of(lambda words: len(words) + 2), 5),  # the sentence has a token at either end
        (masks_of(lambda words: sum(map(len, words)) + len(words) - 1), 10),  # letters
        (masks_of(lambda words: 4), 4),  # so many stretches, however long the text is
        (masks_of(len, most=2), 2),  # the end is cut off
        (lambda texts: None, 3),
        (masks_of(len, most=5), 3),  # prepared positions are not the tokens
    ],
)
def test_other_tokens_are_not_taken_for_words(masks: Masks, count: int) -> None:
    total = 2 if count == 2 else TOKENS
    found = attended(shares(count, total), text("no fever now"), masks)
    assert found["over"] == "tokens"
    assert len(found["attention"]) == count


def test_of_a_long_text_the_beginning_is_told() -> None:
    there = text(" ".join(["word"] * 200))
    found = attended(shares(128, 128), there, masks_of(len, most=128))
    assert found["over"] == "words"
    assert len(found["attention"]) == len(there.words)
    assert found["attention"][:3] == pytest.approx((0.01, 0.02, 0.03))
    known = ~np.isnan(found["attention"])
    assert known.sum() == 60
    assert known[:60].all()
