"""An ONNX file in 8-bit integers, by onnxruntime's own quantiser.

Convolutions get fixed ranges, measured on real rows: with ranges found anew in each call (dynamic)
EfficientNet-Lite0 ran ten times slower than in floats and lost most of its accuracy. Everything
else is dynamic, as a transformer loses its accuracy with fixed ranges.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

DYNAMIC = ["MatMul", "Gemm", "Gather", "LSTM"]
FOLLOWERS = ("Relu", "Clip", "MaxPool")
"""Operators that cut the range of a convolution before them; measured uncut it is far too wide."""

ROWS, BATCH = 256, 32


def quantise(source: Path, target: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write ``target``.

    Args:
        arrays: the graph's inputs, ``(N, ...)``; the first `ROWS` rows measure the ranges.
    """
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with TemporaryDirectory() as folder:
        plain, half = Path(folder) / "plain.onnx", Path(folder) / "half.onnx"
        quant_pre_process(str(source), str(plain), auto_merge=True)
        nodes = _convolutions(onnx.load(str(plain)).graph)
        if nodes:
            quantize_static(
                str(plain),
                str(half),
                _Rows(arrays),
                nodes_to_quantize=nodes,
                per_channel=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
            )
        quantize_dynamic(str(half if nodes else plain), str(target), op_types_to_quantize=DYNAMIC)


class _Rows:
    """Batches of real rows, until None: the reader that onnxruntime calibrates with."""

    def __init__(self, arrays: Mapping[str, np.ndarray]):
        total = min(ROWS, len(next(iter(arrays.values()))))
        self.batches = iter(
            {name: array[start : start + BATCH] for name, array in arrays.items()}
            for start in range(0, total, BATCH)
        )

    def get_next(self) -> Mapping[str, np.ndarray] | None:
        return next(self.batches, None)


def _convolutions(graph: Any) -> list[str]:
    """Names of the convolutions and of what directly follows them; the nodes are in order."""
    names, made = [], set()
    for node in graph.node:
        follows = node.op_type in FOLLOWERS and node.input[0] in made
        if node.op_type == "Conv" or follows:
            names.append(node.name)
            made.update(node.output)
    return names
