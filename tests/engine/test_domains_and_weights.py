"""Domain adapters, target weights and stems in whole, tiny searches of the engine's parts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import mmauto
from mmauto.engine.adapters import Adapter
from mmauto.engine.target_weights import GradNorm, Uncertainty, target_weights
from mmauto.errors import ConfigError
from mmauto.tuning.watch import Watcher
from mmauto.values import Tokens


def test_a_domain_changes_nothing_before_training_and_an_unknown_one_never() -> None:
    torch.manual_seed(0)
    adapter = Adapter(6, 8, domains=2)
    given = Tokens(torch.randn(3, 2, 6), torch.ones(3, 2, dtype=torch.bool))
    here, code = torch.ones(3, dtype=torch.bool), torch.tensor([0, 1, 2])
    plain = adapter(given, here).values
    assert torch.equal(adapter(given, here, code).values, plain)
    assert adapter.domain is not None
    torch.nn.init.normal_(adapter.domain.up)
    torch.nn.init.normal_(adapter.domain.bias)
    changed = adapter(given, here, code).values
    assert torch.equal(changed[0], plain[0])
    assert not torch.allclose(changed[1:], plain[1:], atol=0.1)


def test_uncertainty_is_least_where_the_variance_is_the_loss() -> None:
    """d/ds (exp(-s) L + s / 2) = 0 at exp(s) = 2 L."""
    weights = Uncertainty(["a", "b"])
    losses = {"a": torch.full((4,), 0.5), "b": torch.full((4,), 3.0)}
    seen = dict.fromkeys(losses, torch.ones(4, dtype=torch.bool))
    optimiser = torch.optim.Adam(weights.parameters(), 0.05)
    for _ in range(400):
        optimiser.zero_grad()
        weights(losses, seen).mean().backward()
        optimiser.step()
    assert weights.log_variance.exp().tolist() == pytest.approx([1.0, 6.0], rel=0.05)


def test_gradnorm_raises_the_target_with_the_small_gradient() -> None:
    weights = GradNorm(["loud", "quiet"])
    fused = torch.randn(8, 4, requires_grad=True)
    for _ in range(60):
        means = {"loud": 10 * fused[:, 0].square().mean(), "quiet": fused[:, 1].square().mean()}
        weights.balance(means, fused)
    loud, quiet = weights.weights.tolist()
    assert loud + quiet == pytest.approx(2.0)
    assert quiet > 2 * loud
    before = weights.weights.clone()
    weights.balance({}, None)  # late fusions have no joint vector
    assert torch.equal(weights.weights, before)


def test_one_target_needs_no_weights() -> None:
    assert not list(target_weights("uncertainty", ["y"]).parameters())


@pytest.fixture(scope="module")
def hospitals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A word and a number mean the opposite in the other hospital."""
    rng = np.random.default_rng(0)
    rows = 240
    sick, other = rng.random(rows) < 0.5, rng.random(rows) < 0.5
    shown = sick ^ other
    frame = pd.DataFrame(
        {
            "text": [f"{'cough' if s else 'calm'} today" for s in shown],
            "age": np.where(shown, 70, 40) + rng.normal(0, 3, rows),
            "hospital": np.where(other, "north", "south"),
            "label": np.where(sick, "sick", "well"),
            "days": np.where(sick, 9, 3) + rng.normal(0, 1, rows),
        }
    )
    path = tmp_path_factory.mktemp("hospitals") / "t.csv"
    frame.to_csv(path, index=False)
    return path


def searched(path: Path, out: Path, **settings: object) -> mmauto.Study:
    asked = {
        "trials": 1, "confirm_seeds": 1, "epochs": 25, "patience": 25, "workers": 1,
        "fusions": ["logit_mean"], "controls": ["majority"], "text": "text", "tabular": "age",
        "encoders": ["bag_of_words", "mlp"],
    }  # fmt: skip
    return mmauto.search(data=str(path), out=str(out), **{**asked, **settings})


@pytest.mark.slow
def test_a_domain_adapter_learns_what_differs_between_domains(
    hospitals: Path, tmp_path: Path
) -> None:
    """Late fusion cannot read the hospital out of an input; its adapter is told."""
    apart = searched(hospitals, tmp_path, target="label", domain="hospital", name="with")
    blind = searched(hospitals, tmp_path, target="label", name="without")

    def score(study: mmauto.Study) -> float:
        lines = {line.arm.name: line for line in study.view().comparison.standings}
        return lines["logit_mean"].test.value

    assert score(apart) > 0.95
    assert score(blind) < 0.7
    frame = pd.read_csv(hospitals)
    model = apart.predictor("logit_mean")
    assert (model.predict(frame) == frame["label"]).mean() > 0.95
    unknown = model.predict_proba(frame.assign(hospital="west"))
    assert not np.allclose(unknown, model.predict_proba(frame))
    with pytest.raises(ConfigError, match="has adapters for 2"):
        apart.export("logit_mean")


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["uncertainty", "gradnorm"])
def test_several_targets_train_under_learned_weights(
    kind: str, hospitals: Path, tmp_path: Path
) -> None:
    study = searched(
        hospitals, tmp_path, target=["label", "days"], domain="hospital",
        fusions=["concat_mlp"], space={"train/target_weights": kind},
    )  # fmt: skip
    line = next(x for x in study.view().comparison.standings if x.arm.name == "concat_mlp")
    assert line.test.value > 0.9
    assert line.metrics["days"]["r2"] > 0.3
    assert len(study.predictor("concat_mlp").predict(pd.read_csv(hospitals), target="days")) == 240


@pytest.mark.slow
def test_pseudo_labels_keep_unlabelled_rows_in_a_search(hospitals: Path, tmp_path: Path) -> None:
    frame = pd.read_csv(hospitals)
    frame.loc[:119, "label"] = None
    few = tmp_path / "few.csv"
    frame.to_csv(few, index=False)
    study = searched(few, tmp_path, target="label", domain="hospital", regularisers="pseudo_labels")
    assert sum(study.view().rows.values()) == 240
    assert any("kept in train: 120 of 240" in f.text for f in study.view().findings)


@pytest.mark.slow
def test_a_stem_is_run_once_and_its_model_predicts_again(hospitals: Path, tmp_path: Path) -> None:
    pytest.importorskip("peft")
    study = searched(
        hospitals, tmp_path, target="label", domain="hospital", fusions=["concat_mlp"],
        encoders=["hf_text", "mlp"], epochs=3, space={"text/hf_text/tune": "lora"},
    )  # fmt: skip
    found = study.predictor("concat_mlp")
    again = mmauto.load_bundle(study.folder / "models" / "concat_mlp")
    frame = pd.read_csv(hospitals)
    assert np.allclose(found.predict_proba(frame), again.predict_proba(frame), atol=1e-6)


@pytest.mark.slow
def test_the_coverage_of_word_vectors_is_told_once(hospitals: Path, tmp_path: Path) -> None:
    (tmp_path / "v.txt").write_text("2 3\ncough 1 0 0\ntoday 0 1 0\n")
    notes: list[str] = []
    watcher = Watcher()
    watcher.note = notes.append  # type: ignore[method-assign]
    study = mmauto.search(
        watcher, data=str(hospitals), out=str(tmp_path), target="label", text="text",
        tabular="age", trials=1, confirm_seeds=1, epochs=1, fusions=["concat_mlp"],
        controls=["majority"], encoders=["word_vectors", "mlp"],
        space={"text/word_vectors/file": str(tmp_path / "v.txt")},
    )  # fmt: skip
    (told,) = [note for note in notes if "distinct train words" in note]
    assert told.startswith("word_vectors (text): ")
    assert "66.7% of the 3 distinct train words have a vector" in told
    assert "distinct train words" in (study.folder / "models/concat_mlp/README.md").read_text()
