"""A trained bundle as one ONNX file: prepared arrays in, predictions out, checked before use.

Decoding pictures and cutting texts into words stays outside the graph (`Encoder.prepare`); all that
is torch is in it: frozen encoders, probabilities, a regression target's own unit. ``NAME.json``
beside ``NAME.onnx`` says what goes in and what comes out.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import logging
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from mmauto.engine.bundle import Bundle
from mmauto.engine.metrics import default_metric, score
from mmauto.engine.onnx_graph import Graph, blame, trace, translate
from mmauto.engine.onnx_run import Arrays, describe, difference, predict, shapes
from mmauto.engine.quantise import quantise
from mmauto.errors import ConfigError, DataError
from mmauto.values import Column
from mmauto.views import Predictions

LIBRARIES = ("onnx", "onnxscript", "onnxruntime")
TOLERANCE = 1e-3
"""Floats added in another order move a probability by about 1e-6, a wrong graph by far more."""

INT8 = ".int8.onnx"
LARGE = 256
SMALL = {1: 8, 7: 28}
"""Other batch sizes that are compared, each on so many rows."""


@dataclass(frozen=True)
class Quantised:
    """The same graph in 8-bit integers.

    Attributes:
        size: bytes.
        parity: as in `Exported`; hundredths as a rule, tenths for deep convolutional networks.
        before, after: the metric of the primary target as PyTorch and as the 8-bit file predict the
            rows given; None where no truth was given.
    """

    path: Path
    size: int
    parity: float
    before: float | None
    after: float | None


@dataclass(frozen=True)
class Exported:
    """An ONNX file that predicts as its bundle does.

    Attributes:
        path: the file; its description has the suffix ``.json``.
        size: bytes.
        inputs, outputs: name -> shape, the batch dimension as ``"batch"``.
        parity: the largest difference between PyTorch and onnxruntime over the rows given, in
            probabilities, or in deviations of a regression target.
        int8: the quantised file, where it was asked for.
    """

    path: Path
    size: int
    inputs: Mapping[str, tuple[int | str, ...]]
    outputs: Mapping[str, tuple[int | str, ...]]
    parity: float
    int8: Quantised | None = None


def export_onnx(
    bundle: Bundle,
    columns: Mapping[str, Column],
    path: Path,
    *,
    int8: bool = False,
    truth: Mapping[str, np.ndarray] | None = None,
    metric: str | None = None,
) -> Exported:
    """Write ``path`` and its description, after comparing its predictions with the bundle's.

    Args:
        columns: real rows, e.g. of the validation split: some are traced, all are compared, and
            8-bit ranges are measured on them.
        path: ends with ``.onnx``; older files of that name are replaced.
        int8: write ``NAME.int8.onnx`` too.
        truth: target -> values as in `mmauto.engine.metrics.score`, to say what 8 bits cost.
        metric: of the primary target, its usual one unless given.

    Raises:
        ConfigError: a library is missing, or the candidate is no torch module.
        DataError: there are no rows, a component cannot be traced, or the predictions differ by
            more than `TOLERANCE`; nothing is written then.
    """
    _refuse(bundle, columns)
    if bundle.device.type != "cpu":  # a GPU's bfloat16 would be compared with the file's float32
        bundle = Bundle(bundle.folder, bundle.registry)
    graph = Graph(bundle, columns)
    arrays = {name: tensor.numpy() for name, tensor in graph.arrays.items()}
    expected = bundle.predict(columns)
    path.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=path.parent) as scratch:
        file = Path(scratch) / path.name
        parity = _write(bundle, graph, arrays, expected, file)
        about = describe(bundle, graph, file, parity)
        found = Exported(path, file.stat().st_size, *shapes(file), parity)
        if int8:
            predicted = _quantise(bundle, arrays, file)
            small = Quantised(
                path.with_suffix(INT8),
                file.with_suffix(INT8).stat().st_size,
                difference(bundle, expected, predicted),
                *(_measure(bundle, given, truth, metric) for given in (expected, predicted)),
            )
            about["int8"] = {
                "file": small.path.name,
                "largest_difference": small.parity,
                "metric_before": small.before,
                "metric_after": small.after,
            }
            found = replace(found, int8=small)
        file.with_suffix(".json").write_text(json.dumps(about, indent=1))
        path.with_suffix(INT8).unlink(missing_ok=True)
        for made in Path(scratch).iterdir():
            made.replace(path.parent / made.name)
    return found


def _refuse(bundle: Bundle, columns: Mapping[str, Column]) -> None:
    if bundle.domains:
        raise ConfigError(
            f"an ONNX file holds one domain, {bundle.folder} has adapters for "
            f"{len(bundle.domains)}; use the bundle itself, or a study without --domain"
        )
    if bundle.candidate.kind == "control":
        raise ConfigError(
            f"only torch candidates can be exported to ONNX, {bundle.candidate.component!r} in "
            f"{bundle.folder} is a scikit-learn control; export a fusion's folder, or predict with "
            "the bundle itself"
        )
    for name in LIBRARIES:
        try:
            importlib.import_module(name)
        except ImportError as error:
            raise ConfigError(
                f"exporting to ONNX needs the package {name}, which cannot be imported ({error}); "
                'run: pip install "mmauto[onnx]"'
            ) from error
    if not len(next(iter(columns.values()))):
        raise DataError(
            f"an export is checked on real rows, none were given for {bundle.folder}; give some, "
            "e.g. those of the validation split"
        )


def _write(
    bundle: Bundle, graph: Graph, arrays: Arrays, expected: Predictions, file: Path
) -> float:
    """Trace, save and compare; the largest difference."""
    try:
        with _quiet():
            program = trace(graph, graph.example())
            translate(program, list(arrays), list(bundle.specs)).save(file, external_data=False)
            parts = {size: {n: a[:rows] for n, a in arrays.items()} for size, rows in SMALL.items()}
            runs = [predict(file, part, size) for size, part in parts.items()]
            runs.append(predict(file, arrays, LARGE))
    except Exception as error:
        with _quiet():
            component = blame(graph, bundle.candidate.component)
        reason = next((line for line in str(error).splitlines() if line.strip()), repr(error))
        raise DataError(
            "an ONNX file takes components that torch can trace for any number of rows, "
            f"{component} in {bundle.folder} is not one: {reason.strip()}; predict with the bundle "
            "itself, or export a candidate without it"
        ) from error
    parity = max(difference(bundle, expected, run) for run in runs)
    if parity > TOLERANCE:
        raise DataError(
            f"an ONNX file must predict as its bundle does, to {TOLERANCE:g}; {file.name} from "
            f"{bundle.folder} differs by {parity:.3g} and is not kept; predict with the bundle "
            "itself, or export another candidate"
        )
    return parity


def _quantise(bundle: Bundle, arrays: Arrays, file: Path) -> Predictions:
    """Write the 8-bit file beside ``file``; its predictions."""
    small = file.with_suffix(INT8)
    try:
        with _quiet():
            quantise(file, small, arrays)
            return predict(small, arrays, LARGE)
    except Exception as error:
        raise DataError(
            f"8 bits need a graph that onnxruntime's quantiser knows, that of {bundle.folder} is "
            f"not one ({error}); export without int8"
        ) from error


def _measure(
    bundle: Bundle,
    predicted: Predictions,
    truth: Mapping[str, np.ndarray] | None,
    metric: str | None,
) -> float | None:
    """The metric of the primary target, where its truth is known."""
    if truth is None:
        return None
    spec = next(iter(bundle.specs.values()))
    return score(metric or default_metric(spec.kind), spec, truth[spec.name], predicted[spec.name])


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Torch's exporter and onnxruntime's quantiser print, log and warn about all that they try.

    What matters of it comes back as an exception or as a difference in the predictions.
    """
    before = logging.root.manager.disable
    with (
        warnings.catch_warnings(),
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        warnings.simplefilter("ignore")
        logging.disable(logging.CRITICAL)
        try:
            yield
        finally:
            logging.disable(before)
