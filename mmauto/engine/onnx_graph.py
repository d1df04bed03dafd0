"""A bundle as one torch module with flat arguments, its trace, and the trace in ONNX operators."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from mmauto.engine.bundle import Bundle
from mmauto.engine.once import named
from mmauto.values import Column, TargetSpec

BATCH = "batch"
EXAMPLE = 3
"""Rows to trace with: torch takes a size of 0 or 1 for a constant."""


class Graph(nn.Module):
    """Prepared arrays of all modalities in, predictions out.

    Attributes:
        arrays: ``KEY.ARRAY`` and ``KEY.present`` -> ``(N, ...)`` of the rows given, in the order of
            the arguments of `forward`.
        inputs: by modality, as the model reads them, of the first row.
    """

    def __init__(self, bundle: Bundle, columns: Mapping[str, Column]):
        super().__init__()
        keys = bundle.candidate.modalities
        self.inputs = {key: bundle.inputs(key, columns[key].take([0])) for key in keys}
        self.model = bundle.model(self.inputs)
        self.once = nn.ModuleList(part.once() or nn.Identity() for part in self.inputs.values())
        self.specs = bundle.specs
        self.scaling: Mapping[str, Sequence[float]] = bundle.about["regression"]
        self.names: dict[str, list[str]] = {}
        self.arrays: dict[str, Tensor] = {}
        for key, part in self.inputs.items():
            prepared = part.encoder.prepare(columns[key], part.state, part.params)
            self.names[key] = list(prepared)
            for name, value in prepared.items():
                self.arrays[f"{key}.{name}"] = torch.as_tensor(value)
            self.arrays[f"{key}.present"] = torch.from_numpy(columns[key].present)
        self.eval().requires_grad_(False)

    def example(self) -> tuple[Tensor, ...]:
        """The arguments for a few rows, repeated where there are fewer."""
        total = len(next(iter(self.arrays.values())))
        rows = torch.arange(EXAMPLE) % total
        return tuple(array[rows] for array in self.arrays.values())

    def forward(self, *flat: Tensor) -> tuple[Tensor, ...]:
        """``(B, ...)`` each -> ``(B, width)`` a target, in the order of the targets."""
        given = iter(flat)
        arrays: dict[str, dict[str, Tensor]] = {}
        present: dict[str, Tensor] = {}
        for (key, names), once in zip(self.names.items(), self.once, strict=True):
            arrays[key] = {name: next(given) for name in names}
            present[key] = next(given)
            if not isinstance(once, nn.Identity):
                arrays[key] = named(once(**arrays[key]))
        outputs = self.model(arrays, present).outputs
        return tuple(self.readable(spec, outputs[name]) for name, spec in self.specs.items())

    def readable(self, spec: TargetSpec, output: Tensor) -> Tensor:
        """Probabilities, or numbers in the target's own unit, ``(B, width)``."""
        if spec.kind == "regression":
            centre, spread = self.scaling[spec.name]
            return output * spread + centre
        return output.softmax(-1) if spec.kind == "multiclass" else output.sigmoid()


class _Alone(nn.Module):
    """One encoder, stem and all, with flat arguments and outputs."""

    def __init__(self, parts: Sequence[nn.Module], names: Sequence[str]):
        super().__init__()
        self.parts, self.names = nn.ModuleList(parts), names

    def forward(self, *flat: Tensor) -> tuple[Tensor, ...]:
        arrays = dict(zip(self.names, flat, strict=True))
        for part in self.parts:
            arrays = named(part(**arrays))
        return arrays["values"], arrays["mask"]


def trace(module: nn.Module, example: tuple[Tensor, ...]) -> ExportedProgram:
    """The operators that the module runs for any number of rows.

    Torch's quick way to trace turns ``len(tensor)`` into a constant, the slower one does not; a
    module that both refuse is refused with the quick one's words, which are the plainer ones.
    """
    batch = Dim(BATCH, min=1)
    shapes = (tuple({0: batch} for _ in example),)
    try:
        return torch.export.export(module, example, dynamic_shapes=shapes, strict=False)
    except Exception as error:
        try:
            return torch.export.export(module, example, dynamic_shapes=shapes, strict=True)
        except Exception:
            raise error from None


def translate(program: ExportedProgram, inputs: Sequence[str], outputs: Sequence[str]) -> Any:
    """The trace in ONNX operators, as `torch.onnx.ONNXProgram`."""
    from onnx_ir import DataType
    from onnxscript import opset18

    def where(condition: Any, self: Any, other: Any) -> Any:
        if self.dtype != DataType.BOOL:
            return opset18.Where(condition, self, other)
        # onnxruntime has no choice between two masks
        absent = opset18.And(opset18.Not(condition), other)
        return opset18.Or(opset18.And(condition, self), absent)

    found = torch.onnx.export(
        program,
        (),
        None,
        input_names=list(inputs),
        output_names=list(outputs),
        dynamo=True,
        dynamic_shapes=tuple({0: BATCH} for _ in inputs),
        verbose=False,
        custom_translation_table={torch.ops.aten.where.self: where},
    )
    assert found is not None
    return found


def blame(graph: Graph, fusion: str) -> str:
    """The component that cannot be traced: each encoder is tried alone, else it is the fusion."""
    example = dict(zip(graph.arrays, graph.example(), strict=True))
    for (key, part), once, front in zip(
        graph.inputs.items(), graph.once, graph.model.encoders, strict=True
    ):
        parts = [once] if part.frozen else [front]
        stem = [] if isinstance(once, nn.Identity) else [once]
        parts = stem if part.frozen else [*stem, front]
        alone = _Alone(parts, graph.names[key])
        names = [f"{key}.{name}" for name in graph.names[key]]
        try:
            program = trace(alone, tuple(example[name] for name in names))
            translate(program, names, ["values", "mask"])
        except Exception:
            return f"the encoder {part.encoder.name!r} of {key}"
    return f"the fusion {fusion!r}"
