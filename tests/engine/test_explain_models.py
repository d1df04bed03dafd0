"""A trained model of pictures, texts and fields: effects are those that another library finds.

Captum (Kokhlikyan et al. 2020) hides the same pieces of the same row.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mmauto.answered import Shown
from mmauto.data.columns import TabularValues, Texts
from mmauto.data.image_columns import ImageArrays
from mmauto.engine.bundle import Bundle
from mmauto.engine.executor import Executor
from mmauto.engine.jobs import Candidate, ExplainJob, Setup, TrialJob
from mmauto.registry import Registry
from mmauto.space import defaults
from mmauto.values import Column

Answer = Callable[[Column], torch.Tensor]
Asked = tuple[Setup, Mapping[str, Shown], Callable[[str], Answer]]

ROWS, SIDE, OUTPUT = 40, 32, 1
ENCODERS = {"image": "small_cnn", "text": "embedding_mean", "tabular": "mlp"}
WORDS = np.array(["fever", "cough", "pain", "calm", "x-ray"])


def with_columns(setup: Setup) -> Setup:
    source = np.random.default_rng(3)
    blocks = source.integers(0, 2, (ROWS, 2, 2, 3), dtype=np.uint8) * 255
    columns: dict[str, Column] = {
        "image": ImageArrays(blocks.repeat(SIDE // 2, 1).repeat(SIDE // 2, 2)),
        "text": Texts([" ".join(source.choice(WORDS, 6)) for _ in range(ROWS)]),
        "tabular": TabularValues(
            {name: setup.targets["y"] + source.normal(size=ROWS) for name in "abc"},
            dict.fromkeys("abc", "numeric"),
        ),
    }
    return replace(setup, dataset=replace(setup.dataset, columns=columns))


@pytest.fixture
def asked(
    remake_setup: Callable[..., Setup],
    registry: Registry,
    make_job: Callable[..., TrialJob],
    tmp_path: Path,
) -> Asked:
    """The setup, what is told of the first test row, and the model with one modality changed."""
    setup = with_columns(remake_setup(rows=ROWS))
    params: dict[str, Any] = {
        f"{key}/{name}/{field}": value
        for key, name in ENCODERS.items()
        for field, value in defaults(registry.encoder(name).space(setup.task)).items()
    }
    params |= {f"{key}/encoder": name for key, name in ENCODERS.items()}
    job = make_job(epochs=8, patience=8, bundle=str(tmp_path / "b"), score_test=True, params=params)
    params = dict(job.candidate.params)
    candidate = Candidate("fusion", "additive_attention", tuple(ENCODERS), params)
    job = replace(job, candidate=candidate)
    (outcome,) = Executor(setup, registry).run_pack([job], lambda e, v: dict.fromkeys(v, True))
    assert outcome.failure is None, outcome.failure

    row = setup.splits.test[:1]
    told: dict[str, Shown] = {}
    one = np.ones(1, dtype=int)
    Executor(setup, registry).explain(
        ExplainJob(str(tmp_path / "b"), row, OUTPUT * one, one, 60.0),
        lambda place, key, found: told.update({key: found}),  # type: ignore[dict-item]
    )
    bundle = Bundle(tmp_path / "b", registry)

    def changed(key: str) -> Answer:
        def answer(column: Column) -> torch.Tensor:
            same = np.repeat(row, len(column))
            columns = {k: c.take(same) for k, c in setup.dataset.columns.items()}
            found = bundle.predict({**columns, key: column})[setup.primary]
            return torch.from_numpy(found[:, OUTPUT])

        return answer

    return setup, told, changed


def ablated(answer: Answer, make: Callable[[np.ndarray], Column], given: Any, **own: Any) -> Any:
    """Captum's effects of the pieces of one row."""
    pytest.importorskip("captum", reason="captum is an extra of developers")
    from captum.attr import FeatureAblation

    found = FeatureAblation(lambda values: answer(make(values.numpy()))).attribute(
        torch.from_numpy(np.asarray(given))[None], **own
    )
    return found[0].numpy()


def test_patches_have_the_effects_that_captum_finds(asked: Asked) -> None:
    setup, told, changed = asked
    effects = np.array(told["image"].effects).reshape(8, 8)
    picture = np.asarray(setup.dataset.columns["image"][setup.splits.test[0]])
    places = torch.arange(64).reshape(1, 8, 8, 1)
    size = SIDE // 8
    places = places.repeat_interleave(size, 1).repeat_interleave(size, 2)
    found = ablated(
        changed("image"),
        lambda values: ImageArrays(values.astype(np.uint8)),
        picture.astype(float),
        baselines=torch.from_numpy(picture.mean((0, 1)).round()).expand(1, SIDE, SIDE, 3),
        feature_mask=places,
    )
    np.testing.assert_allclose(effects, found[::size, ::size, 0], atol=1e-5)
    assert np.abs(effects).max() > 1e-3


def test_words_have_the_effects_that_captum_finds(asked: Asked) -> None:
    setup, told, changed = asked
    words = np.array(told["text"].words)
    assert " ".join(words) == setup.dataset.columns["text"][setup.splits.test[0]]
    found = ablated(
        changed("text"),
        lambda kept: Texts([" ".join(words[row > 0]) for row in kept]),
        np.ones(len(words)),
    )
    np.testing.assert_allclose(told["text"].effects, found, atol=1e-5)
    assert np.abs(found).max() > 1e-4


def test_fields_have_the_effects_that_captum_finds(asked: Asked) -> None:
    setup, told, changed = asked
    train = setup.dataset.columns["tabular"].take(setup.splits.train)
    usual = np.median([[row[name] for name in "abc"] for row in train], axis=0)
    kinds = dict.fromkeys("abc", "numeric")
    found = ablated(
        changed("tabular"),
        lambda rows: TabularValues(dict(zip("abc", rows.T, strict=True)), kinds),
        [told["tabular"].fields[name] for name in "abc"],
        baselines=torch.from_numpy(usual)[None],
    )
    np.testing.assert_allclose(told["tabular"].effects, found, atol=1e-5)
    assert np.abs(found).max() > 1e-4


def test_attention_lies_over_patches_and_words_and_sums_to_the_weights(asked: Asked) -> None:
    _, told, _ = asked
    assert {key: part.over for key, part in told.items()} == {
        "image": "patches", "text": "words", "tabular": "",
    }  # fmt: skip
    assert len(told["image"].attention) == 16
    assert len(told["text"].attention) == 6  # words, though x-ray has two tokens
    for key in ("image", "text"):
        assert math.fsum(told[key].attention) == pytest.approx(told[key].weight, abs=1e-5)
    assert sum(part.weight for part in told.values()) == pytest.approx(1.0, abs=1e-5)
