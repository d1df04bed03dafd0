"""What a fusion's attention weighs, laid over what people read: patches, words, or bare tokens.

Attention is the fusion's own weighing of its inputs, not an explanation: other weights can give the
same answer (Jain and Wallace 2019, NAACL).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import isqrt
from typing import Any, TypeAlias

import numpy as np

from mmauto.answered import Shown
from mmauto.data.columns import Texts
from mmauto.engine.pieces import CUT, WORDS, pieces_of
from mmauto.values import Column

Masks: TypeAlias = Callable[[Column], np.ndarray | None]
"""Texts -> ``(N, T)`` which of their tokens are real; None where the encoder does not say."""


def attended(shares: np.ndarray, there: Shown, masks: Masks) -> dict[str, Any]:
    """The fields of `Shown` that tell what was attended to; none where there is but one token.

    Args:
        shares: ``(T,)`` what each token is given, zeros where it is padding.
        there: the sample.
        masks: is asked for texts only.
    """
    real = np.trim_zeros(shares, "b")
    if len(real) < 2:
        return {}
    if there.modality == "image" and isqrt(len(shares)) ** 2 == len(shares):
        return {"attention": tuple(shares.tolist()), "over": "patches"}
    words = _of_words(shares, there.words, masks)
    if words is not None:
        return {"attention": words, "over": "words"}
    return {"attention": tuple(real.tolist()), "over": "tokens"}


def _of_words(shares: np.ndarray, words: Sequence[str], masks: Masks) -> tuple[float, ...] | None:
    """What each word's tokens are given together; NaN for words that are not told apart.

    A text's tokens are those of its words, one after another, where leaving the words out one by
    one takes away as many tokens as there are: no token is the sentence's, and none was cut off.
    Of a long text this is asked of its beginning, which encoders keep.
    """
    whole = words[: -2 if words[-1:] == (CUT,) else None][:WORDS]  # the last one may be cut
    pieces = pieces_of(Texts([" ".join(whole)]), 0, 0, {}) if whole else None
    found = None if pieces is None else masks(pieces.column)
    if found is None or found.shape[1:] != shares.shape:
        return None
    counts = found.sum(axis=1)
    own = counts[0] - counts[1:]
    if (own < 0).any() or own.sum() != counts[0]:
        return None
    ends = own.cumsum()
    sums = np.concatenate([[0.0], shares[found[0]].cumsum()])
    rest = [float("nan")] * (len(words) - len(whole))
    return (*(sums[ends] - sums[ends - own]).tolist(), *rest)
