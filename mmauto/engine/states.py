"""What encoders have learned from train rows, remembered: a second search fits no vocabulary.

Only where the encoder says that nothing else goes into it (`Encoder.remembered`): a file of weights
under the same name may be another one tomorrow.

A state is kept in the form in which bundles keep it, JSON and safetensors; one that does not
fit into that form, or does not come back as it was, is fitted every time.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from mmauto.contracts import State
from mmauto.engine.digests import digest
from mmauto.engine.entries import STATES


def remembered_state(folder: Path, about: Mapping[str, Any], fit: Callable[[], State]) -> State:
    """The state of an encoder, fitted where nobody has done so.

    Args:
        folder: of the cache.
        about: JSON values; everything that the state depends on, the train rows included.
    """
    place = folder / STATES / f"{digest(about)}.safetensors"
    found = _read(place, about)
    if found is None:
        found = fit()
        _write(place, about, found)
    return found


def _read(place: Path, about: Mapping[str, Any]) -> State | None:
    try:
        with safe_open(place, framework="pt") as file:
            words = json.loads(file.metadata()["words"])
            if words["about"] != _text(about):
                return None
            state: dict[str, Any] = dict(words["plain"])
            for name, kind in words["arrays"].items():
                value = file.get_tensor(name)
                state[name] = value.numpy() if kind == "numpy" else value
        os.utime(place)
    except (OSError, SafetensorError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return {name: state[name] for name in words["order"]}


def _write(place: Path, about: Mapping[str, Any], state: State) -> None:
    arrays = {n: v for n, v in state.items() if isinstance(v, np.ndarray | Tensor)}
    plain = {n: v for n, v in state.items() if n not in arrays}
    kinds = {n: "numpy" if isinstance(v, np.ndarray) else "torch" for n, v in arrays.items()}
    fresh = place.with_suffix(f".{os.getpid()}.tmp")
    # types that the form does not have; a cache that cannot be written to
    with suppress(TypeError, ValueError, KeyError, RuntimeError, OSError, SafetensorError):
        if json.loads(json.dumps(plain)) != plain:
            return
        words = {"about": _text(about), "plain": plain, "arrays": kinds, "order": list(state)}
        tensors = {n: torch.as_tensor(v).detach().cpu().contiguous() for n, v in arrays.items()}
        place.parent.mkdir(parents=True, exist_ok=True)
        save_file(tensors, fresh, {"words": json.dumps(words)})
        fresh.replace(place)


def _text(about: Mapping[str, Any]) -> str:
    return json.dumps(about, sort_keys=True)
