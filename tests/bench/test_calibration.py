"""Simulated studies whose truth is known: the verdict claims little where there is nothing."""

from __future__ import annotations

import numpy as np
import pytest

from mmauto.bench.rows_calibration import count
from mmauto.bench.simulated import NULL, WORLDS, claims_help, draw, expected


@pytest.mark.slow
@pytest.mark.parametrize("world", NULL)
def test_help_is_hardly_ever_claimed_where_there_is_none(world: str) -> None:
    found = count(world, 120, "balanced_accuracy", 80)
    assert found.gained == pytest.approx(0.0, abs=1e-12)
    assert found.claims <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 80)
    assert found.score >= 0.95 - 3 * np.sqrt(0.05 * 0.95 / 80)
    assert found.gain >= 0.95 - 3 * np.sqrt(0.05 * 0.95 / 80)


@pytest.mark.slow
def test_a_large_gain_is_mostly_found() -> None:
    found = count("fusion gains much", 150, "balanced_accuracy", 40)
    assert found.gained > 0.1
    assert found.claims > 0.6


def test_a_world_is_what_it_says() -> None:
    skills = WORLDS["fusion gains much"].skills
    assert expected(skills["fusion 0"], "accuracy") > expected(skills["image_only"], "accuracy")
    assert expected(0.0, "accuracy") == pytest.approx(1 / 3, abs=0.01)
    found = draw(WORLDS["fusion gains much"], 400, 3, "accuracy", 0)
    assert claims_help(found)
    assert not claims_help(draw(WORLDS["labels unrelated"], 60, 3, "accuracy", 0))
    assert {line.seeds for line in found.standings} == {3}
