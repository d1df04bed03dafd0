"""The contract of the encoder, and what it is for."""

from __future__ import annotations

import pytest

from mmauto.plugin import Column, Texts
from mmauto.scaffold.templates.encoder import ScaffoldNameEncoder
from mmauto.testing import Check, parametrize_with_checks


@parametrize_with_checks([ScaffoldNameEncoder()])
def test_contract(component: ScaffoldNameEncoder, check: Check) -> None:
    """Every check of the kit for this kind."""
    check(component)


def test_a_rare_word_weighs_more_than_a_common_one() -> None:
    """A word of one train text counts more than a word of all; each row has length 1."""
    encoder, params = ScaffoldNameEncoder(), {"buckets": 512}
    train: Column = Texts(["patient with fever", "patient with cough", "patient", None])
    state = encoder.fit(train, params)
    words = encoder.prepare(Texts(["patient fever", None]), state, params)["weights"]
    rare, common = words[0].topk(2).values.tolist()
    assert rare > common > 0
    assert rare**2 + common**2 == pytest.approx(1.0)
    assert not words[1].any()
