"""What kept models answered to changed test rows, one file an arm beside the database."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from mmauto.answered import Probes
from mmauto.errors import StoreError
from mmauto.store.files import load_arrays, save_arrays
from mmauto.views import Predictions

PROBES = "probes"


def save_probe(
    folder: Path, arm: str, rows: np.ndarray, spoilt: int, answers: Mapping[str, Predictions]
) -> None:
    """Keep an arm's answers; an older file is replaced.

    Args:
        folder: of the study.
        rows: ``(M,)`` places in the test split that were asked about.
        spoilt: so many of them, from the first, were spoilt, too.
        answers: question -> target -> ``(M, width)``, or fewer rows where they were spoilt.
    """
    names = [(question, target) for question, given in answers.items() for target in given]
    arrays = {str(place): answers[q][target] for place, (q, target) in enumerate(names)}
    about = {"arm": arm, "spoilt": spoilt, "answers": names}
    words = np.frombuffer(json.dumps(about).encode(), dtype=np.uint8)
    (folder / PROBES).mkdir(exist_ok=True)
    save_arrays(folder / PROBES / f"{arm}.npz", {**arrays, "about": words, "rows": rows})


def probed(folder: Path) -> set[str]:
    """Arms whose answers are kept."""
    return {file.stem for file in (folder / PROBES).glob("*.npz")}


def load_probes(folder: Path) -> Probes | None:
    """What is kept; None where no model was asked. A damaged file counts as not there."""
    found: dict[str, dict[str, dict[str, np.ndarray]]] = {}
    rows, spoilt = np.zeros(0, dtype=int), 0
    for file in sorted((folder / PROBES).glob("*.npz")):
        try:
            arrays = load_arrays(file)
            about = json.loads(arrays["about"].tobytes())
        except (StoreError, KeyError, ValueError):
            continue
        rows, spoilt = arrays["rows"], about["spoilt"]
        own = found.setdefault(about["arm"], {})
        for place, (question, target) in enumerate(about["answers"]):
            own.setdefault(question, {})[target] = arrays[str(place)]
    return Probes(rows, spoilt, found) if found else None
