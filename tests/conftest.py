"""Shared by all tests: the cache and the studies of a test never leave its own folder."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    # one cache for the whole run: encoding the same images once is enough
    os.environ["MMAUTO_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder with real data sets, or a skip that says where it was looked for."""
    folder = Path(os.environ.get("MMAUTO_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"real data is not at {folder}; set MMAUTO_DATA to its folder")
    return folder


@pytest.fixture(autouse=True)
def _fault(request: pytest.FixtureRequest, record_property: Callable[[str, object], None]) -> None:
    """What a test of faults belongs to, for the table of `make faults`."""
    mark = request.node.get_closest_marker("fault")
    if mark:
        record_property("suite", mark.args[0])


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that need a CUDA device are skipped, with the reason, where there is none."""
    if not any(item.get_closest_marker("gpu") for item in items):
        return
    import torch

    if torch.cuda.is_available():
        return
    for item in items:
        if item.get_closest_marker("gpu"):
            item.add_marker(pytest.mark.skip(reason="no CUDA device is there"))
