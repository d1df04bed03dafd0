"""``import mmauto`` and ``mmauto --help`` stay cheap; a second test proves that this can fail."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = (
    "torch", "torchvision", "optuna", "plotly", "pandas", "numpy", "sqlalchemy", "sklearn",
    "transformers", "mmauto_image", "mmauto_fusion", "mmauto_medical",
)  # fmt: skip

HELP = """
import sys
from mmauto.cli.main import main
try:
    main(["--help"])
except SystemExit as stop:
    assert not stop.code
"""


def loaded(code: str) -> set[str]:
    """Heavy modules that are loaded after running some code in a fresh interpreter."""
    tail = f"\nimport sys\nprint('LOADED', *[n for n in {HEAVY!r} if n in sys.modules])"
    run = subprocess.run(
        [sys.executable, "-c", code + tail], capture_output=True, text=True, check=True
    )
    return set(run.stdout.splitlines()[-1].split()[1:])


@pytest.mark.parametrize("code", ["import mmauto", "import mmauto.plugin", HELP])
def test_nothing_heavy_is_loaded(code: str) -> None:
    assert loaded(code) == set()


def test_the_test_above_can_fail() -> None:
    assert "pandas" in loaded("import mmauto, pandas")
    assert "numpy" in loaded("import mmauto; mmauto.search")


def test_the_registry_loads_no_torch() -> None:
    found = loaded("from mmauto.registry import load_registry; load_registry()")
    assert "mmauto_fusion" in found
    assert not found & {"torch", "transformers", "sklearn", "optuna", "plotly", "pandas"}
