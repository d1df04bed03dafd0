"""The contract of the section, and what it is for."""

from __future__ import annotations

import dataclasses

import pytest

from mmauto.plugin import Interval, Table
from mmauto.scaffold.templates.section import ScaffoldNameSection
from mmauto.testing import Check, parametrize_with_checks
from mmauto.testing.fakes_study import fake_study


@parametrize_with_checks([ScaffoldNameSection()])
def test_contract(component: ScaffoldNameSection, check: Check) -> None:
    """Every check of the kit for this kind."""
    check(component)


def test_the_most_optimistic_arm_comes_first() -> None:
    """An arm that validation saw 0.4 too high leads the table."""
    study = fake_study()
    first, *others = study.comparison.standings
    lucky = dataclasses.replace(first, validation=0.9, test=Interval(0.5, 0.4, 0.6))
    comparison = dataclasses.replace(study.comparison, standings=(*others, lucky))
    blocks = ScaffoldNameSection().render(dataclasses.replace(study, comparison=comparison))
    (table,) = (block for block in blocks if isinstance(block, Table))
    assert table.rows[0][0] == first.arm.name
    assert table.rows[0][-1] == pytest.approx(0.4)
