"""Digests of nested values: what a cached array depends on, as one short text."""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mmauto.contracts import Encoder


def digest(value: Any) -> str:
    """A SHA-256 of JSON values, arrays and tensors, nested in mappings and sequences."""
    total = hashlib.sha256()
    _feed(total, value)
    return total.hexdigest()


def _feed(total: Any, value: Any) -> None:
    if isinstance(value, Mapping):
        for key in sorted(value):
            total.update(f"k{key}:".encode())
            _feed(total, value[key])
    elif isinstance(value, list | tuple):
        total.update(f"l{len(value)}:".encode())
        for item in value:
            _feed(total, item)
    elif hasattr(value, "dtype"):
        array = np.ascontiguousarray(value.numpy() if hasattr(value, "numpy") else value)
        total.update(f"a{array.dtype}{array.shape}:".encode())
        total.update(array.tobytes())
    else:
        total.update(json.dumps(value, sort_keys=True).encode() + b";")


def code_digest(encoder: Encoder) -> str:
    """A digest of the sources of the encoder's package: changed code is another key.

    The whole package, since a component may keep its preprocessing in a module beside its own.
    """
    module = inspect.getmodule(type(encoder))
    origin = Path(getattr(module, "__file__", None) or "")
    if not origin.is_file():
        return repr(type(encoder))  # typed into a notebook: there is no file to read
    packaged = bool(getattr(module, "__package__", ""))
    files = sorted(origin.parent.glob("*.py")) if packaged else [origin]
    total = hashlib.sha256()
    for file in files:
        total.update(file.name.encode() + b"\0" + file.read_bytes())
    return total.hexdigest()
