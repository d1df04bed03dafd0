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
LARGE = {"detector", "minilm", "resnet50", "vgg11", "vgg16"}


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


@parametrize_with_checks([part for part in BUILT_IN if part.name not in LARGE])
def test_contract(component, check):
    check(component)


@pytest.mark.slow
@parametrize_with_checks([part for part in BUILT_IN if part.name in LARGE])
def test_contract_of_a_large_network(component, check):
    check(component)
