"""Bundles: a small real fusion and a small real control, with other metadata and other headers."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from mmauto.data.columns import TabularValues
from mmauto.data.dataset import Dataset, TargetColumn
from mmauto.data.splits import Splits
from mmauto.engine.bundle import Bundle
from mmauto.engine.executor import Executor
from mmauto.engine.jobs import Candidate, Setup, TrialJob
from mmauto.predictor import Predictor, decide
from mmauto.registry import Registry, load_registry
from mmauto.space import defaults, scoped
from mmauto.values import TargetSpec, TaskView

TOLD, ARRAYS = "bundle.json", "arrays.safetensors"
ROWS = 40
ENCODER = "mlp"
SPECS = {
    "y": TargetSpec("y", "binary", ("no", "yes")),
    "days": TargetSpec("days", "regression"),
}
TASK = TaskView("small", {"tabular": "tabular"}, SPECS, "y", "accuracy")
VALUES = (
    *(None, True, -1, 0, 3, 999, 1.5, float("nan"), 1e308, "", "x", "../../secret", "/etc/passwd"),
    *("a\0b", [], {}, [[]], [1, 2], ["x"], {"x": 1}, "concat_mlp", "majority", "a" * 300),
)
HEADERS = (b"\0", b"\xff", b"{", b'"', b"9", b"[", b"F32", b"I64", b"BF16", b"data_offsets", b"-1")


def columns(rows: int, seed: int = 0) -> dict[str, TabularValues]:
    source = np.random.default_rng(seed)
    number = source.normal(size=rows)
    word = np.array([("a", "b", None)[row % 3] for row in range(rows)], dtype=object)
    return {
        "tabular": TabularValues({"x": number, "c": word}, {"x": "numeric", "c": "categorical"})
    }


def go_on(epoch: int, values: Mapping[int, float]) -> Mapping[int, bool]:
    return dict.fromkeys(values, True)


def originals(folder: Path, registry: Registry) -> list[Path]:
    """A trained fusion and a fitted control, as a search leaves them."""
    given = columns(ROWS)
    x = given["tabular"].values["x"]
    yes = np.array([("no", "yes")[int(v > 0)] for v in x], dtype=object)
    targets = {
        "y": TargetColumn("y", "binary", yes),
        "days": TargetColumn("days", "regression", 2 * x),
    }
    data = Dataset("small", given, targets, np.array([f"r{row}" for row in range(ROWS)]))
    rows = np.arange(ROWS)
    setup = Setup(
        dataset=data, splits=Splits(rows[:24], rows[24:32], rows[32:]), specs=SPECS,
        targets={"y": (x > 0).astype(float), "days": 2 * x}, metric="accuracy",
        class_weights=False, device="cpu", cache=str(folder / "cache"),
    )  # fmt: skip
    encoder = registry.encoder(ENCODER)
    shared = {
        "tabular/encoder": ENCODER, "adapter/width": 8, "train/lr": 1e-3, "train/batch_size": 8,
        "train/weight_decay": 0.0, "train/optimiser": "adamw", "train/schedule": "cosine",
        **defaults(scoped(f"tabular/{ENCODER}", encoder.space(TASK))),
    }  # fmt: skip
    chosen = {
        "fusion": ("concat_mlp", registry.fusion("concat_mlp").space(TASK)),
        "control": ("boosting", registry.control("boosting").space(TASK)),
    }
    made = []
    for number, (kind, (name, space)) in enumerate(chosen.items()):
        params = {**shared, **defaults(scoped(kind, space))}
        candidate = Candidate(kind, name, ("tabular",), params)  # type: ignore[arg-type]
        place = folder / kind
        job = TrialJob(number, candidate, 1, 1, 1, score_test=True, bundle=str(place))
        (outcome,) = Executor(setup, registry).run_pack([job], go_on)
        assert outcome.failure is None, outcome.failure
        made.append(place)
    return made


def places(tree: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The way to every part of a JSON value."""
    if not isinstance(tree, dict | list):
        return [path]
    below = tree.items() if isinstance(tree, dict) else enumerate(tree)
    return [path, *(found for key, part in below for found in places(part, (*path, key)))]


@st.composite
def metadata(draw: DrawFn, place: Path) -> bytes:
    """The JSON with a few parts replaced, removed or added."""
    tree = json.loads((place / TOLD).read_bytes())
    for _ in range(draw(st.integers(1, 3))):
        way = draw(st.sampled_from(places(tree)[1:] or [()]))
        if not way:
            break
        parent = tree
        for key in way[:-1]:
            parent = parent[key]
        what = draw(st.sampled_from(("replace", "remove", "add")))
        if what == "replace":
            parent[way[-1]] = draw(st.sampled_from(VALUES) | st.integers(-5, 2000))
        elif what == "remove":
            del parent[way[-1]]
        elif isinstance(parent, dict):
            parent[draw(st.sampled_from(("x", "../../x", "name")))] = draw(st.sampled_from(VALUES))
    return json.dumps(tree).encode()


@st.composite
def header(draw: DrawFn, place: Path) -> bytes:
    """safetensors with a few bytes of its header (or its length) changed."""
    content = (place / ARRAYS).read_bytes()
    length = 8 + int.from_bytes(content[:8], "little")
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, min(length, len(content)) - 1))
        fill = draw(st.sampled_from(HEADERS) | st.binary(max_size=3))
        keep = draw(st.sampled_from((0, len(fill), len(fill), 40)))
        content = content[:start] + fill + content[start + keep :]
    return content


def make(folder: Path) -> tuple[SearchStrategy[Any], Any]:
    registry = load_registry()
    made = originals(folder, registry)
    new = columns(4, seed=1)
    inputs: list[SearchStrategy[Any]] = []
    for place in made:
        changes = {
            TOLD: (metadata(place), metadata(place), st.binary(max_size=30)),
            ARRAYS: (header(place), st.binary(max_size=30)),
        }
        inputs += [
            st.tuples(st.just(place), st.just(name), content)
            for name, contents in changes.items()
            for content in contents
        ]

    def use(place: Path, item: tuple[Path, str, bytes]) -> None:
        source, name, content = item
        for file in source.iterdir():
            shutil.copyfile(file, place / file.name)
        (place / name).write_bytes(content)
        model = Predictor([Bundle(place, registry)])
        assert model.wanted is not None
        for _, given in model.stream(Rows(new)):  # type: ignore[arg-type]
            for target, spec in model.specs.items():
                decide(spec, given[target], model.thresholds.get(target))

    return st.one_of(inputs), use


class Rows:
    """New rows, as `Predictor.stream` reads them."""

    def __init__(self, found: dict[str, TabularValues]):
        self.columns = found
