"""The rows of the benchmark by name, in the order in which they are shown.

A row is a function from `Bench` to a `Row` (or a `Grid`), registered here: nothing else knows it.
Later rows read the searches of earlier ones, and run their own where those were left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from mmauto.bench.row import Maker
from mmauto.bench.rows_calibration import calibration
from mmauto.bench.rows_growth import growth
from mmauto.bench.rows_packed import packed
from mmauto.bench.rows_pruning import pruning
from mmauto.bench.rows_scale import scale
from mmauto.bench.rows_search import framework, search, second, warm
from mmauto.bench.rows_steps import steps
from mmauto.bench.rows_trained import trained
from mmauto.bench.rows_workers import workers

ROWS: Mapping[str, Maker] = MappingProxyType(
    {
        "search": search,
        "warm": warm,
        "steps": steps,
        "packed": packed,
        "pruning": pruning,
        "trained": trained,
        "framework": framework,
        "second": second,
        "workers": workers,
        "growth": growth,
        "scale": scale,
        "calibration": calibration,
    }
)
