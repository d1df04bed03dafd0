"""Files that are made to run something when read: nothing runs, one sentence names them."""

from __future__ import annotations

import importlib.util
import json
import os
import pickle
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import skops.io
import torch
from mmauto_text.vector_file import read_vectors
from safetensors.torch import save_file
from sklearn.dummy import DummyClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from mmauto.engine.bundle import Bundle
from mmauto.engine.cache import ArrayCache
from mmauto.engine.states import remembered_state
from mmauto.errors import DataError, MmautoError, StoreError
from mmauto.registry import Registry, load_registry
from mmauto.store.files import load_arrays

pytestmark = pytest.mark.fault("malice")


class Bomb:
    """Makes a folder called ``exploded`` when it is unpickled."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.mkdir, ("exploded",)


def as_pickle(path: Path) -> None:
    path.write_bytes(pickle.dumps(Bomb()))


def as_torch(path: Path) -> None:
    torch.save({"weight": Bomb()}, path)


def as_npy(path: Path) -> None:
    with path.open("wb") as file:
        np.save(file, np.array([Bomb()], dtype=object), allow_pickle=True)


def as_npz(path: Path) -> None:
    with path.open("wb") as file:
        np.savez(file, **{"valid/y": np.array([Bomb()], dtype=object)})


BOMBS = [as_pickle, as_torch, as_npy, as_npz]


@pytest.fixture(autouse=True)
def nothing_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The working folder, in which no bomb may leave its mark."""
    monkeypatch.chdir(tmp_path)
    yield
    assert not list(tmp_path.rglob("exploded"))


def test_the_bombs_are_real(tmp_path: Path) -> None:
    for number, bomb in enumerate(BOMBS):
        bomb(tmp_path / "bomb")
        with pytest.raises(FileExistsError) if number else pytest.raises(AssertionError):
            _set_off(tmp_path / "bomb")
            raise AssertionError
    (tmp_path / "exploded").rmdir()


def _set_off(path: Path) -> None:
    if path.read_bytes().startswith(pickle.dumps(Bomb())[:4]):
        pickle.loads(path.read_bytes())
    elif zipfile.is_zipfile(path) and any(
        "data.pkl" in n for n in zipfile.ZipFile(path).namelist()
    ):
        torch.load(path, weights_only=False)
    else:
        found = np.load(path, allow_pickle=True)
        found["valid/y"] if hasattr(found, "files") else None


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Path], ModuleType, Registry]:
    """A fusion's and a control's bundle, as a search leaves them."""
    path = Path(__file__).with_name("inputs_bundle.py")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    registry = load_registry()
    return module.originals(tmp_path_factory.mktemp("bundles"), registry), module, registry


@pytest.fixture
def bundle(originals: Any, tmp_path: Path) -> Callable[..., Path]:
    """A copy of one of them, with other values in ``bundle.json``."""

    def copy(kind: str, /, **changes: Any) -> Path:
        (source,) = (place for place in originals[0] if place.name == kind)
        folder = tmp_path / kind
        shutil.copytree(source, folder)
        about = json.loads((folder / "bundle.json").read_text())
        (folder / "bundle.json").write_text(json.dumps({**about, **changes}))
        return folder

    return copy


@pytest.fixture
def predict(originals: Any) -> Callable[[Path], Any]:
    """Load a bundle and predict four rows."""
    _, module, registry = originals
    return lambda folder: Bundle(folder, registry).predict(module.columns(4))


def test_the_bundles_predict(bundle: Callable[..., Path], predict: Callable[[Path], Any]) -> None:
    for kind in ("fusion", "control"):
        assert predict(bundle(kind))["y"].shape == (4, 1)


@pytest.mark.parametrize("bomb", BOMBS)
@pytest.mark.parametrize("name", ["arrays.safetensors", "bundle.json"])
def test_a_bomb_for_a_part_of_a_bundle(
    bundle: Callable[..., Path], predict: Callable[[Path], Any], name: str, bomb: Any
) -> None:
    folder = bundle("fusion")
    bomb(folder / name)
    with pytest.raises(DataError, match=r"a bundle is a folder with bundle\.json.*fusion"):
        predict(folder)


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_bomb_for_an_estimator(
    bundle: Callable[..., Path], predict: Callable[[Path], Any], bomb: Any
) -> None:
    folder = bundle("control")
    bomb(folder / "model_0.skops")
    with pytest.raises(DataError, match=r"those of .*control failed .*copy the bundle again"):
        predict(folder)


@pytest.mark.parametrize("function", [os.mkdir, np.load, np.testing.measure, np.save])
def test_an_estimator_that_calls_a_function(
    bundle: Callable[..., Path], predict: Callable[[Path], Any], function: Any
) -> None:
    # numpy has functions that run a text or open a file, so its name alone is no reason to trust
    folder = bundle("control")
    model = make_pipeline(FunctionTransformer(function), DummyClassifier())
    skops.io.dump(model, folder / "model_0.skops")
    with pytest.raises(DataError, match=r"estimators and their data only, .*model_0\.skops holds"):
        predict(folder)


def test_an_estimator_of_another_folder(
    bundle: Callable[..., Path], predict: Callable[[Path], Any], tmp_path: Path
) -> None:
    for name in ("../other/model", "/etc/model", "..", "a\0b", "a\n"):
        shutil.rmtree(tmp_path / "control", ignore_errors=True)
        folder = bundle("control", control={"plain": {}, "estimators": [name]})
        with pytest.raises(DataError, match="it must say control: names of estimators"):
            predict(folder)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"targets": []}, "it must say targets: a list"),
        ({"kind": "other"}, "it must say kind: fusion or control"),
        ({"columns": {}}, "it must say columns: an object"),
        ({"modalities": ["image"]}, "it must say modalities: the columns"),
        ({"thresholds": {"y": ["a"]}}, "it must say thresholds: one an output"),
        ({"regression": {}}, "it must say regression: centre and spread"),
        ({"id": 3}, "it must say id: a name"),
        ({"plugins": [1]}, "it must say plugins: names"),
    ],
)
def test_metadata_that_no_search_writes(
    bundle: Callable[..., Path], predict: Callable[[Path], Any], changes: Any, said: str
) -> None:
    with pytest.raises(DataError, match=said):
        predict(bundle("fusion", **changes))


def test_a_format_without_a_release_still_says_so(bundle: Callable[..., Path]) -> None:
    folder = bundle("fusion")
    (folder / "bundle.json").write_text('{"format": [9]}')
    with pytest.raises(DataError, match=r"has format \[9\]; use the release that wrote it"):
        Bundle(folder, load_registry())


@pytest.mark.parametrize("name", ["adapter/width", "fusion/width", "fusion/depth"])
def test_a_network_far_larger_than_its_weights_is_not_built(
    bundle: Callable[..., Path], predict: Callable[[Path], Any], originals: Any, name: str
) -> None:
    folder = bundle("fusion")
    about = json.loads((folder / "bundle.json").read_text())
    about["params"][name] = 10**7
    (folder / "bundle.json").write_text(json.dumps(about))
    with pytest.raises(DataError, match="ask for a far larger network than its weights"):
        predict(folder)


@pytest.mark.parametrize("bomb", [as_pickle, as_npy])
def test_a_bomb_for_a_cache_entry_is_made_again(tmp_path: Path, bomb: Any) -> None:
    cache, about = ArrayCache(tmp_path / "cache"), {"encoder": "e"}
    samples = np.arange(64, dtype=np.uint8).reshape(2, 32)

    def compute(rows: np.ndarray) -> Any:
        yield rows, {"values": np.ones((len(rows), 3), dtype=np.float32)}

    cache.get(about, samples, compute)
    (entry,) = (path for path in (tmp_path / "cache").iterdir() if path.is_dir())
    (entry / "values.npy").unlink()
    bomb(entry / "values.npy")
    assert cache.find(about, samples) is None
    np.testing.assert_array_equal(cache.get(about, samples, compute)["values"], np.ones((2, 3)))


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_bomb_for_a_remembered_state_is_fitted_again(tmp_path: Path, bomb: Any) -> None:
    def fitted() -> dict[str, Any]:
        return remembered_state(tmp_path, {"a": 1}, lambda: {"words": ["x"]})

    fitted()
    (place,) = tmp_path.rglob("*.safetensors")
    bomb(place)
    assert fitted() == {"words": ["x"]}


@pytest.mark.parametrize("bomb", [as_pickle, as_npz])
def test_a_bomb_for_predictions(tmp_path: Path, bomb: Any) -> None:
    bomb(tmp_path / "1.npz")
    with pytest.raises(StoreError, match=r"predictions listed in the study.*1\.npz is not"):
        load_arrays(tmp_path / "1.npz")


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_bomb_for_word_vectors(tmp_path: Path, bomb: Any) -> None:
    bomb(tmp_path / "glove.txt")
    with pytest.raises(DataError, match=r"glove\.txt"):
        read_vectors(tmp_path / "glove.txt", {"a"})


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_bomb_for_a_users_weights(tmp_path: Path, suffix: str) -> None:
    from mmauto_image.weights import fill

    file = tmp_path / f"weights{suffix}"
    as_torch(file)
    with pytest.raises(MmautoError, match=f"a weights file must hold .*{suffix}"):
        fill(torch.nn.Linear(2, 2), file, "a linear layer", "MMAUTO_X")
    save_file({"weight": torch.ones(2, 2), "bias": torch.ones(2)}, tmp_path / "good.safetensors")
    fill(torch.nn.Linear(2, 2), tmp_path / "good.safetensors", "a linear layer", "MMAUTO_X")
