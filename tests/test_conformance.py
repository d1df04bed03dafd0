"""Every built-in component keeps its contract."""

from __future__ import annotations

import pytest

from mmauto.registry import load_registry
from mmauto.testing import parametrize_with_checks

REGISTRY = load_registry()
BUILT_IN = [
    entry.component
    for entries in REGISTRY.entries.values()
    for entry in entries.values()
    if entry.distribution == "mmauto"
]


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_the_built_in_plugins_load():
    assert not [failure for failure in REGISTRY.failures if failure.plugin.startswith("mmauto:")]
    assert BUILT_IN


@parametrize_with_checks(BUILT_IN)
def test_contract(component, check):
    check(component)
