"""Every requirement has a tested version at both ends of its range."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parent.parent
# lower versions cannot be had as builds for a CPU, so these two bounds are taken on trust
ONE_BUILD = {"torch", "torchvision"}


@pytest.fixture(scope="module")
def requirements() -> list[tuple[str, Requirement]]:
    """Name and range of what the program, its extras and its tests need."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lists = (project["dependencies"], *project["optional-dependencies"].values())
    every = [Requirement(text) for listed in lists for text in listed]
    return [(canonicalize_name(one.name), one) for one in every]


def pins(name: str) -> dict[str, Version]:
    """Package to version, as a constraints file of .ci has them."""
    lines = (ROOT / ".ci" / name).read_text().splitlines()
    pairs = (line.split("==") for line in lines if line and not line.startswith("#"))
    return {canonicalize_name(package): Version(version) for package, version in pairs}


@pytest.mark.parametrize("name", ["constraints.txt", "lowest.txt"])
def test_every_requirement_has_a_tested_version_in_its_range(
    name: str, requirements: list[tuple[str, Requirement]]
) -> None:
    tested = pins(name)
    assert {package for package, _ in requirements} - set(tested) == set()
    assert [str(one) for package, one in requirements if tested[package] not in one.specifier] == []


def test_the_lowest_version_is_the_lower_bound(
    requirements: list[tuple[str, Requirement]],
) -> None:
    tested = pins("lowest.txt")
    assert set(tested) == {package for package, _ in requirements}, "stale lines in lowest.txt"
    for package, one in requirements:
        bounds = [Version(part.version) for part in one.specifier if part.operator == ">="]
        assert len(bounds) == 1, f"{one} states no lower bound"
        if package not in ONE_BUILD:
            assert tested[package] == bounds[0], str(one)


def test_a_lower_bound_taken_on_trust_is_not_above_what_is_tested(
    requirements: list[tuple[str, Requirement]],
) -> None:
    newest, lowest = pins("constraints.txt"), pins("lowest.txt")
    assert {package for package, _ in requirements} >= ONE_BUILD
    assert all(newest[package] == lowest[package] for package in ONE_BUILD)
