"""Bundles: nothing pickled, and the same numbers from raw columns."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors import SafetensorError

from mmauto.engine.bundle import Bundle
from mmauto.engine.executor import Executor
from mmauto.engine.jobs import Setup, TrialJob
from mmauto.errors import ConfigError, DataError
from mmauto.registry import Registry, load_registry

Make = Callable[..., TrialJob]


def go_on(epoch: int, values: Mapping[int, float]) -> Mapping[int, bool]:
    return dict.fromkeys(values, True)


def test_rows(setup: Setup) -> dict[str, object]:
    columns = setup.dataset.columns
    return {key: column.take(setup.splits.test) for key, column in columns.items()}


test_rows.__test__ = False  # a helper, whatever its name


@pytest.mark.parametrize("encoder", ["toy_frozen", "toy_trained"])
def test_a_loaded_fusion_predicts_the_same(
    setup: Setup, registry: Registry, make_job: Make, tmp_path: Path, encoder: str
) -> None:
    job = make_job(encoder=encoder, score_test=True, bundle=str(tmp_path / "b"))
    (outcome,) = Executor(setup, registry).run_pack([job], go_on)
    found = Bundle(tmp_path / "b", registry).predict(test_rows(setup))
    for name, expected in outcome.test.items():
        # float16 in the cache against float32 from raw columns
        np.testing.assert_allclose(found[name], expected, rtol=1e-2, atol=5e-3)


@pytest.mark.parametrize("component", ["majority", "boosting", "logistic"])
def test_a_loaded_control_predicts_the_same(
    setup: Setup, registry: Registry, make_job: Make, tmp_path: Path, component: str
) -> None:
    control = registry.control(component)
    from mmauto.space import defaults
    from mmauto.values import TaskView

    task = TaskView("toy", {"left": "tabular", "right": "tabular"}, setup.specs, "y", "accuracy")
    own = {f"control/{name}": value for name, value in defaults(control.space(task)).items()}
    job = make_job(
        kind="control", component=component, score_test=True, bundle=str(tmp_path / "b"), params=own
    )
    (outcome,) = Executor(setup, registry).run_pack([job], go_on)
    assert outcome.failure is None
    found = Bundle(tmp_path / "b", registry).predict(test_rows(setup))
    for name, expected in outcome.test.items():
        difference = np.abs(found[name] - expected)
        assert np.median(difference) < 2e-2  # a tree may split a float16 value the other way


def test_a_full_disk_is_told_from_a_fault_of_the_model(
    make_job: Make,
    setup: Setup,
    registry: Registry,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Which would be final, where a disk can be cleared and the study continued."""
    words = "Error while serializing: I/O error: No space left on device (os error 28)"

    def full(*given: object) -> None:
        raise SafetensorError(words)

    monkeypatch.setattr("mmauto.engine.save.save_file", full)
    job = replace(make_job(epochs=1), bundle=str(tmp_path / "bundle"))
    (outcome,) = Executor(setup, registry).run_pack([job], go_on)
    assert outcome.failure is not None
    assert outcome.failure.kind == "disk"


def test_nothing_in_a_bundle_is_a_pickle(
    setup: Setup, registry: Registry, make_job: Make, tmp_path: Path
) -> None:
    job = make_job(bundle=str(tmp_path / "b"))
    Executor(setup, registry).run_pack([job], go_on)
    assert {p.name for p in (tmp_path / "b").iterdir()} == {"arrays.safetensors", "bundle.json"}
    about = json.loads((tmp_path / "b" / "bundle.json").read_text())
    assert about["plugins"]["concat_mlp"].startswith("mmauto ")
    assert about["plugins"]["toy_frozen"] == "mmauto-toys 1.0"


def test_damage_and_other_formats_say_so(
    setup: Setup, registry: Registry, make_job: Make, tmp_path: Path
) -> None:
    Executor(setup, registry).run_pack([make_job(bundle=str(tmp_path / "b"))], go_on)
    about = json.loads((tmp_path / "b" / "bundle.json").read_text())
    (tmp_path / "b" / "bundle.json").write_text(json.dumps({**about, "format": 9}))
    with pytest.raises(DataError, match=r"reads bundles of format 1, .* has format 9"):
        Bundle(tmp_path / "b", registry)
    (tmp_path / "b" / "arrays.safetensors").write_bytes(b"nonsense")
    with pytest.raises(DataError, match=r"a bundle is a folder with bundle\.json"):
        Bundle(tmp_path / "b", registry)


def test_a_missing_plugin_is_named(
    setup: Setup,
    registry: Registry,
    make_job: Make,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Executor(setup, registry).run_pack([make_job(bundle=str(tmp_path / "b"))], go_on)
    monkeypatch.undo()
    with pytest.raises(ConfigError, match=r"needs encoder 'toy_frozen' of mmauto-toys 1\.0"):
        Bundle(tmp_path / "b", load_registry()).predict(test_rows(replace(setup)))
