"""ONNX files: the same predictions as the bundle's, in any batch, or a sentence saying why not."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mmauto.data.dataset import Dataset, TargetColumn
from mmauto.data.splits import Splits
from mmauto.engine.bundle import Bundle
from mmauto.engine.executor import Executor
from mmauto.engine.jobs import Candidate, Setup, TrialJob
from mmauto.errors import ConfigError, DataError
from mmauto.plugin import ImageArrays, TabularValues, Texts
from mmauto.registry import Registry, load_registry
from mmauto.space import defaults
from mmauto.values import Column, TargetSpec, TaskView

pytest.importorskip("onnxscript")
onnxruntime = pytest.importorskip("onnxruntime")
from mmauto.engine import onnx as exporting  # noqa: E402
from mmauto.engine.onnx import export_onnx  # noqa: E402

ROWS = 50
SPECS = {
    "class.of": TargetSpec("class.of", "multiclass", ("a", "b", "c")),
    "yes": TargetSpec("yes", "binary", ("no", "yes")),
    "tags": TargetSpec("tags", "multilabel", ("p", "q")),
    "size in cm": TargetSpec("size in cm", "regression"),
}
CHEAP = {"a picture": "small_cnn", "text": "embedding_mean", "tabular": "mlp"}
FROZEN = {"a picture": "small_cnn", "text": "bag_of_words", "tabular": "mlp"}
Trained = Callable[..., Bundle]

pytestmark = pytest.mark.slow


def samples() -> tuple[dict[str, Column], dict[str, np.ndarray]]:
    """Every modality tells the label, and is absent in some rows; in the first row all are."""
    rng = np.random.default_rng(0)
    label = rng.integers(0, 3, ROWS)
    here = rng.random((3, ROWS)) > 0.2
    here[:, 0] = False
    pictures = rng.integers(0, 100, (ROWS, 16, 16, 3), dtype=np.uint8)
    pictures[..., 0] += (60 * label)[:, None, None].astype(np.uint8)
    words = [" ".join(rng.choice(["no", "acute", "abc"[v] * 3], 6)) for v in label]
    columns: dict[str, Column] = {
        "a picture": ImageArrays(pictures, here[0]),
        "text": Texts(
            [word if known else None for word, known in zip(words, here[1], strict=True)]
        ),
        "tabular": TabularValues(
            {
                "x": np.where(here[2], label + rng.normal(size=ROWS), np.nan),
                "c": np.array(
                    ["abc"[v] if known else None for v, known in zip(label, here[2], strict=True)],
                    dtype=object,
                ),
            },
            {"x": "numeric", "c": "categorical"},
        ),
    }
    return columns, {
        "class.of": label.astype(np.int64),
        "yes": (label > 0).astype(float),
        "tags": np.stack([label > 0, label > 1], 1).astype(float),
        "size in cm": 3.0 * label + 170,
    }


COLUMNS, TRUTH = samples()


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trained]:
    """A function that trains a candidate with default parameters, each at most once."""
    registry, folder = load_registry(), tmp_path_factory.mktemp("onnx")
    splits = Splits(np.arange(1, 30), np.arange(30, 40), np.arange(40, ROWS))
    dataset = Dataset(
        "toy",
        COLUMNS,
        {name: TargetColumn(name, "regression", np.zeros(ROWS)) for name in SPECS},
        np.array([f"r{row}" for row in range(ROWS)]),
    )
    setup = Setup(
        dataset, splits, SPECS, TRUTH, "balanced_accuracy", True, "cpu", str(folder / "cache")
    )
    executor, made = Executor(setup, registry), {}

    def train(component: str, encoders: Mapping[str, str], epochs: int = 1) -> Path:
        place = folder / "-".join([component, *encoders.values(), str(epochs)])
        view = TaskView("toy", {key: key for key in encoders}, SPECS, "class.of", setup.metric)
        params = {
            "adapter/width": 32, "train/lr": 5e-3, "train/weight_decay": 1e-3,
            "train/batch_size": 16, "train/optimiser": "adamw", "train/schedule": "cosine",
        }  # fmt: skip
        for key, name in encoders.items():
            own = defaults(registry.encoder(name).space(view))
            params |= {f"{key}/encoder": name}
            params |= {f"{key}/{name}/{param}": value for param, value in own.items()}
        own = defaults(registry.fusion(component).space(view))
        params |= {f"fusion/{name}": value for name, value in own.items()}
        candidate = Candidate("fusion", component, tuple(encoders), params)
        job = TrialJob(0, candidate, 1, epochs, epochs, bundle=str(place))
        (outcome,) = executor.run_pack([job], lambda epoch, values: dict.fromkeys(values, True))
        assert outcome.failure is None
        return place

    def once(component: str, encoders: Mapping[str, str], epochs: int = 1) -> Bundle:
        key = (component, *encoders.values(), epochs)
        if key not in made:
            made[key] = train(component, encoders, epochs)
        return Bundle(made[key], registry)

    yield once
    executor.close()


def prepared(bundle: Bundle) -> dict[str, np.ndarray]:
    """What a program beside mmauto feeds: each encoder's arrays and the flags."""
    found = {}
    for key in bundle.candidate.modalities:
        part = bundle.inputs(key, COLUMNS[key])
        for name, array in part.encoder.prepare(part.column, part.state, part.params).items():
            found[f"{key}.{name}"] = np.asarray(array)
        found[f"{key}.present"] = part.column.present
    return found


def assert_same(bundle: Bundle, file: Path, sizes: tuple[int, ...], tolerance: float) -> None:
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    expected, feed = bundle.predict(COLUMNS), prepared(bundle)
    assert {put.name for put in session.get_inputs()} == set(feed)
    names = [put.name for put in session.get_outputs()]
    assert names == list(SPECS)
    for size in sizes:
        for start in range(0, ROWS, size):
            rows = slice(start, start + size)
            found = session.run(None, {name: array[rows] for name, array in feed.items()})
            for name, values in zip(names, found, strict=True):
                np.testing.assert_allclose(values, expected[name][rows], rtol=1e-5, atol=tolerance)


# ---------------------------------------------------------------------------- the same predictions


@pytest.mark.parametrize(
    ("fusion", "encoders"),
    [
        ("concat_mlp", CHEAP),
        pytest.param("logit_product", FROZEN, marks=pytest.mark.slow),
        ("additive_attention", {"text": "lstm"}),
    ],
)
def test_a_file_predicts_as_its_bundle_in_batches_of_any_size(
    trained: Trained,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    fusion: str,
    encoders: Mapping[str, str],
) -> None:
    bundle = trained(fusion, encoders)
    capfd.readouterr()
    found = export_onnx(bundle, COLUMNS, tmp_path / "arm.onnx")
    assert capfd.readouterr() == ("", "")
    assert_same(bundle, found.path, (1, 9, ROWS), 1e-5)
    assert found.parity < 1e-5
    assert found.size == found.path.stat().st_size
    assert found.int8 is None
    assert found.outputs == {name: ("batch", spec.width) for name, spec in SPECS.items()}
    assert all(shape[0] == "batch" for shape in found.inputs.values())
    assert {file.name for file in tmp_path.iterdir()} == {"arm.onnx", "arm.json"}


def test_the_description_says_what_goes_in_and_what_comes_out(
    trained: Trained, tmp_path: Path
) -> None:
    bundle = trained("concat_mlp", {"text": "embedding_mean"})
    export_onnx(bundle, COLUMNS, tmp_path / "arm.onnx")
    about = json.loads((tmp_path / "arm.json").read_text())
    assert about["inputs"]["text.ids"] == {
        "dtype": "int64",
        "shape": ["batch", 6],
        "meaning": "made of text by the encoder embedding_mean: ``ids`` and ``mask`` (N, T).",
    }
    assert about["inputs"]["text.present"]["dtype"] == "bool"
    assert about["outputs"]["class.of"]["classes"] == ["a", "b", "c"]
    assert about["outputs"]["size in cm"]["meaning"] == "the number, in the unit of the data"
    assert about["encoders"]["text"]["state"] == ["length", "vocabulary"]
    assert about["thresholds"] == bundle.about["thresholds"]
    assert about["opset"]["ai.onnx"] >= 18
    assert about["versions"]["onnxruntime"] == onnxruntime.__version__
    assert about["simulated"] is False


def test_eight_bits_are_smaller_and_decide_alike(trained: Trained, tmp_path: Path) -> None:
    bundle = trained("additive_attention", FROZEN, epochs=6)
    (tmp_path / "arm.onnx").write_text("an older one")
    found = export_onnx(bundle, COLUMNS, tmp_path / "arm.onnx", int8=True, truth=TRUTH)
    small = found.int8
    assert small is not None
    assert small.path == tmp_path / "arm.int8.onnx"
    assert small.size == small.path.stat().st_size < found.size / 2
    assert 0 < small.parity < 0.1
    assert_same(bundle, small.path, (1, ROWS), 0.1)
    assert small.before is not None
    assert small.before > 0.6  # three classes: it has learned something that can be lost
    assert small.after == pytest.approx(small.before, abs=0.05)
    about = json.loads((tmp_path / "arm.json").read_text())["int8"]
    assert about["file"] == "arm.int8.onnx"
    assert about["metric_after"] == small.after


def test_the_given_metric_is_measured_and_a_stale_small_file_goes(
    trained: Trained, tmp_path: Path
) -> None:
    bundle = trained("concat_mlp", {"tabular": "mlp"})
    small = export_onnx(
        bundle, COLUMNS, tmp_path / "a.onnx", int8=True, truth=TRUTH, metric="accuracy"
    ).int8
    guess = bundle.predict(COLUMNS)["class.of"].argmax(1)
    assert small is not None
    assert small.before == pytest.approx((guess == TRUTH["class.of"]).mean())
    export_onnx(bundle, COLUMNS, tmp_path / "a.onnx")
    assert {file.name for file in tmp_path.iterdir()} == {"a.onnx", "a.json"}


@pytest.mark.slow
@pytest.mark.parametrize("fusion", sorted(load_registry().all("fusion")))
def test_every_built_in_fusion_can_be_exported(
    trained: Trained, tmp_path: Path, fusion: str
) -> None:
    bundle = trained(fusion, FROZEN)
    assert_same(bundle, export_onnx(bundle, COLUMNS, tmp_path / "a.onnx").path, (1, 9, ROWS), 1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    "encoder",
    sorted(load_registry().all("encoder")),
)
def test_every_built_in_encoder_can_be_exported(
    trained: Trained, tmp_path: Path, encoder: str
) -> None:
    part = load_registry().encoder(encoder)
    if part.missing():
        pytest.skip(part.missing() or "")
    bundle = trained(
        "concat_mlp", {{"image": "a picture"}.get(part.modality, part.modality): encoder}
    )
    assert_same(bundle, export_onnx(bundle, COLUMNS, tmp_path / "a.onnx").path, (1, ROWS), 1e-4)


# -------------------------------------------------------------------------------------- refusals


def branching(module: torch.nn.Module) -> torch.nn.Module:
    """The same module, deciding by a value what to do."""
    forward: Callable[..., Any] = module.forward

    def decides(*args: Any, **kwargs: Any) -> Any:
        first = next(iter(module.parameters()))
        if args and isinstance(args[0], dict):
            first = next(iter(args[0].values())).values
        for array in kwargs.values():
            first = array
        return forward(*args, **kwargs) if int(first.sum()) > -(10**9) else None

    module.forward = decides  # type: ignore[method-assign]
    return module


@pytest.mark.parametrize(
    ("kind", "name", "said"),
    [
        ("encoder", "mlp", "the encoder 'mlp' of tabular"),
        ("fusion", "concat_mlp", "the fusion 'con"),
    ],
)
def test_what_cannot_be_traced_is_named_with_torchs_own_words(
    trained: Trained,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    kind: str,
    name: str,
    said: str,
) -> None:
    bundle = trained("concat_mlp", {"tabular": "mlp"})
    owner = type(getattr(bundle.registry, kind)(name))
    build = owner.build
    monkeypatch.setattr(owner, "build", lambda *args: branching(build(*args)))
    with pytest.raises(DataError, match=r"components that torch can trace") as caught:
        export_onnx(bundle, COLUMNS, tmp_path / "out" / "arm.onnx")
    message = str(caught.value)
    assert said in message
    assert "data-dependent" in message
    assert "\n" not in message
    assert message.endswith("or export a candidate without it")
    assert list((tmp_path / "out").iterdir()) == []
    assert capfd.readouterr() == ("", "")


def test_other_predictions_are_not_kept_and_an_older_file_stays(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = trained("concat_mlp", {"tabular": "mlp"})
    predict = exporting.predict

    def shifted(*args: Any) -> Any:
        return {name: values + 0.01 for name, values in predict(*args).items()}

    monkeypatch.setattr(exporting, "predict", shifted)
    (tmp_path / "arm.onnx").write_text("older")
    with pytest.raises(
        DataError, match=r"predict as its bundle does, to 0\.001; arm\.onnx .* differs by 0\.01"
    ):
        export_onnx(bundle, COLUMNS, tmp_path / "arm.onnx")
    assert [file.read_text() for file in tmp_path.iterdir()] == ["older"]


def test_a_quantiser_that_fails_says_so_and_leaves_nothing(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*args: Any) -> None:
        raise ValueError("no such operator")

    monkeypatch.setattr(exporting, "quantise", fails)
    bundle = trained("concat_mlp", {"tabular": "mlp"})
    with pytest.raises(
        DataError, match=r"8 bits need .* \(no such operator\); export without int8"
    ):
        export_onnx(bundle, COLUMNS, tmp_path / "arm.onnx", int8=True)
    assert list(tmp_path.iterdir()) == []


def test_a_control_is_refused(
    setup: Setup, registry: Registry, make_job: Callable[..., TrialJob], tmp_path: Path
) -> None:
    job = make_job(kind="control", component="majority", bundle=str(tmp_path / "b"))
    Executor(setup, registry).run_pack([job], lambda epoch, values: dict.fromkeys(values, True))
    with pytest.raises(ConfigError, match=r"only torch .* 'majority' in .*b is a scikit-learn con"):
        export_onnx(Bundle(tmp_path / "b", registry), setup.dataset.columns, tmp_path / "b.onnx")


@pytest.mark.parametrize("library", ["onnx", "onnxscript", "onnxruntime"])
def test_a_missing_library_is_named_with_what_installs_it(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, library: str
) -> None:
    bundle = trained("concat_mlp", {"tabular": "mlp"})
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ConfigError, match=rf'needs the package {library}, .*"mmauto\[onnx\]"'):
        export_onnx(bundle, COLUMNS, tmp_path / "arm.onnx")


def test_no_rows_are_refused(trained: Trained, tmp_path: Path) -> None:
    bundle = trained("concat_mlp", {"tabular": "mlp"})
    nothing = {key: column.take([]) for key, column in COLUMNS.items()}
    with pytest.raises(DataError, match="checked on real rows, none were given"):
        export_onnx(bundle, nothing, tmp_path / "arm.onnx")


def test_one_row_is_enough(trained: Trained, tmp_path: Path) -> None:
    bundle = trained("concat_mlp", {"tabular": "mlp"})
    one = {key: column.take([5]) for key, column in COLUMNS.items()}
    found = export_onnx(bundle, one, tmp_path / "arm.onnx")
    assert_same(bundle, found.path, (1, ROWS), 1e-5)
