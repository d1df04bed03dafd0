"""An ONNX file in use: its predictions, how far from a bundle's, and its description."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from mmauto.engine.bundle import Bundle
from mmauto.engine.onnx_graph import Graph
from mmauto.version import __version__
from mmauto.views import Predictions

Arrays: TypeAlias = Mapping[str, np.ndarray]
"""``KEY.ARRAY`` and ``KEY.present`` -> ``(N, ...)``."""

Shapes: TypeAlias = dict[str, tuple[int | str, ...]]


def predict(path: Path, arrays: Arrays, size: int) -> Predictions:
    """What onnxruntime makes of prepared arrays, ``size`` rows at a time: {target: (N, width)}."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    total = len(next(iter(arrays.values())))
    parts = [
        session.run(None, {name: array[start : start + size] for name, array in arrays.items()})
        for start in range(0, total, size)
    ]
    names = [put.name for put in session.get_outputs()]
    return {name: np.concatenate(found) for name, *found in zip(names, *parts, strict=True)}


def difference(bundle: Bundle, expected: Predictions, found: Predictions) -> float:
    """The largest one over the first rows that ``found`` has; NaN counts as infinite.

    Numbers are measured in their target's deviation over the train rows, so that one tolerance fits
    all units.
    """
    largest = 0.0
    for name, spec in bundle.specs.items():
        unit = bundle.about["regression"][name][1] if spec.kind == "regression" else 1.0
        gap = np.abs(found[name] - expected[name][: len(found[name])]) / unit
        largest = max(largest, float(np.nan_to_num(gap, nan=np.inf).max()))
    return largest


def shapes(path: Path) -> tuple[Shapes, Shapes]:
    """Names and shapes of inputs and outputs, the batch dimension as ``"batch"``."""
    import onnx

    graph = onnx.load(str(path)).graph
    return _shapes(graph.input), _shapes(graph.output)


def _shapes(puts: Any) -> Shapes:
    sizes = {put.name: put.type.tensor_type.shape.dim for put in puts}
    return {name: tuple(d.dim_param or d.dim_value for d in dims) for name, dims in sizes.items()}


def describe(bundle: Bundle, graph: Graph, path: Path, parity: float) -> dict[str, Any]:
    """What a program that reads the file must know; raw samples become inputs by the encoders."""
    import onnx

    model = onnx.load(str(path))
    inputs, outputs = shapes(path)
    entries = {}
    for key, part in graph.inputs.items():
        for name in graph.names[key]:
            entries[f"{key}.{name}"] = (
                f"made of {key} by the encoder {part.encoder.name}: "
                f"{inspect.getdoc(part.encoder.prepare)}"
            )
        entries[f"{key}.present"] = f"whether the row has a sample of {key}"
    return {
        "file": path.name,
        "bundle": bundle.folder.name,
        "component": bundle.candidate.component,
        "inputs": {
            name: {
                "dtype": str(graph.arrays[name].numpy().dtype),
                "shape": inputs[name],
                "meaning": meaning,
            }
            for name, meaning in entries.items()
        },
        "outputs": {
            name: {
                "shape": outputs[name],
                "kind": spec.kind,
                "classes": spec.classes,
                "meaning": _meaning(spec.kind),
            }
            for name, spec in bundle.specs.items()
        },
        "thresholds": bundle.about.get("thresholds", {}),
        "encoders": {
            key: {
                "encoder": part.encoder.name,
                "params": dict(part.params),
                "state": sorted(part.state),
                "where": "columns in bundle.json and state/ in arrays.safetensors of the bundle",
            }
            for key, part in graph.inputs.items()
        },
        "largest_difference": parity,
        "simulated": bundle.about["simulated"],
        "opset": {entry.domain or "ai.onnx": entry.version for entry in model.opset_import},
        "versions": {
            "mmauto": __version__,
            "plugins": bundle.about["plugins"],
            **{name: version(name) for name in ("torch", "onnx", "onnxscript", "onnxruntime")},
        },
    }


def _meaning(kind: str) -> str:
    return {
        "multiclass": "a probability for each class",
        "binary": "the probability of the second class",
        "multilabel": "a probability for each label",
        "regression": "the number, in the unit of the data",
    }[kind]
