"""No step of training asks the device for a number: a GPU would stand still while it answers.

On a CPU nothing waits, so these tests look at what would: PyTorch's operators that read a value on
the host or whose result's shape is data, below Python and below `torch.vmap`, and the methods that
copy a tensor out without an operator.
"""

from __future__ import annotations

import traceback
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from mmauto.engine import train
from mmauto.engine.executor import Executor
from mmauto.engine.jobs import Setup, TrialJob
from mmauto.engine.packed.choose import choose
from mmauto.engine.packed.form import Form
from mmauto.engine.remember import Memory
from mmauto.engine.train_space import OPTIMISERS, SCHEDULES, TARGET_WEIGHTS
from mmauto.registry import Registry, load_registry
from mmauto.space import defaults, scoped
from mmauto.testing.fakes import column as fake_column
from mmauto.values import TaskView

Make = Callable[..., TrialJob]
WAITING = {
    "_local_scalar_dense", "is_nonzero", "equal", "nonzero", "nonzero_static", "masked_select",
    "_unique2", "unique_dim", "unique_consecutive", "bincount", "_linalg_check_errors",
    "_linalg_eigh", "_linalg_svd", "linalg_eig", "linalg_lstsq", "_pack_padded_sequence",
    "lift_fresh",
}  # fmt: skip
"""Operators that wait for the device; the first is item(), bool(), float() and int(), the last a
tensor made of Python's numbers."""
COPIES = ("tolist", "numpy", "cpu", "__array__")
"""Methods that wait and are no operators on a CPU."""

TRAINED = (
    "conv_vae", "embedding_mean", "flat_cnn", "ft_transformer", "gru", "lstm", "mlp", "small_cnn",
    "small_transformer", "text_cnn", "vit",
)  # fmt: skip


class Waits(TorchDispatchMode):
    """Notes what would wait between its beginning and its end."""

    def __init__(self) -> None:
        super().__init__()
        self.found: Counter[str] = Counter()
        self.steps = 0
        self.on = False

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        name = func.overloadpacket.__name__
        masks = name in ("index", "index_put", "index_put_") and any(
            index is not None and index.dtype in (torch.bool, torch.uint8) for index in args[1]
        )
        counts = name == "repeat_interleave" and (kwargs or {}).get("output_size") is None
        if name in WAITING or masks or counts:
            self.note(name)
        return func(*args, **(kwargs or {}))

    def note(self, name: str) -> None:
        """With the line that asked."""
        frames = traceback.extract_stack()
        ours = [f for f in frames if "/torch/" not in f.filename and f.filename != __file__]
        self.found[f"{name} at {Path(ours[-1].filename).name}:{ours[-1].lineno}"] += 1

    def watched(self, batches: Callable[..., Iterator[Tensor]]) -> Callable[..., Iterator[Tensor]]:
        """`batches`, with an eye on everything that happens until the last one has been trained."""

        def each(*given: Any) -> Iterator[Tensor]:
            order = list(batches(*given))
            self.on = True
            with self:
                for index in order:
                    self.steps += 1
                    yield index
            self.on = False

        return each

    def unseen(self, one_hot: Callable[..., Tensor]) -> Callable[..., Tensor]:
        """It looks at its values on a CPU alone, unless it has to count the classes."""

        def plain(values: Tensor, num_classes: int = -1) -> Tensor:
            before = self.found.copy()
            made = one_hot(values, num_classes)
            if num_classes >= 0:
                self.found = before
            return made

        return plain

    def noted(self, name: str) -> Callable[..., Any]:
        """A method of tensors that is noted while steps run."""
        own = getattr(Tensor, name)

        def method(*args: Any, **kwargs: Any) -> Any:
            if self.on:
                self.note(name)
            return own(*args, **kwargs)

        return method


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> Waits:
    """What every step of every `Pack` waits for."""
    found = Waits()
    monkeypatch.setattr(train, "batches", found.watched(train.batches))
    for name in COPIES:
        monkeypatch.setattr(Tensor, name, found.noted(name))
    monkeypatch.setattr(F, "one_hot", found.unseen(F.one_hot))
    return found


@pytest.fixture
def trains(
    waits: Waits, registry: Registry, make_job: Make, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., None]:
    """Trains an epoch of a trial alone, and of a pack in each form that takes it.

    Its arguments: ``forms`` are those that must, and changes of the job.
    """
    used: set[str] = set()

    def chosen(*given: Any) -> Form:
        form = choose(*given)
        used.add(form.name)
        return form

    monkeypatch.setattr(train, "choose", chosen)

    def each(setup: Setup, forms: Collection[str] = (), **changes: Any) -> None:
        for form, count in (("alone", 1), ("folded", 2), ("vmapped", 2)):
            with monkeypatch.context() as patch:
                patch.setattr(Memory, "get", lambda self, key, form=form: form)
                jobs = [make_job(place, pack="p", epochs=1, **changes) for place in range(count)]
                for outcome in Executor(setup, registry).run_pack(jobs, go_on):
                    assert outcome.failure is None, outcome.failure
        assert waits.steps >= 2
        assert not waits.found
        assert used >= set(forms)

    return each


def go_on(epoch: int, values: Mapping[int, float]) -> Mapping[int, bool]:
    return dict.fromkeys(values, True)


def task_of(setup: Setup) -> TaskView:
    keys = {key: column.modality for key, column in setup.dataset.columns.items()}
    return TaskView("toy", keys, setup.specs, "y", setup.metric)


def test_this_can_fail(waits: Waits) -> None:
    def ask(values: Tensor) -> None:
        values[values > 0].sum().item()
        values.tolist()

    for _ in train.batches(torch.arange(4), 4, torch.Generator()):
        ask(torch.ones(3))
        torch.vmap(lambda row: F.one_hot(row, 5), randomness="same")(torch.arange(4)[:, None])
    ask(torch.ones(3))
    assert waits.steps == 1
    assert {name.split()[0]: times for name, times in waits.found.items()} == {
        "index": 1, "_local_scalar_dense": 1, "tolist": 1,
    }  # fmt: skip


@pytest.mark.parametrize("weights", TARGET_WEIGHTS)
def test_the_weights_of_targets_wait_for_nothing(
    weights: str, trains: Callable[..., None], setup: Setup
) -> None:
    forms = {"fixed": ["folded", "vmapped"], "uncertainty": ["vmapped"]}
    trains(setup, forms.get(weights, ()), params={"train/target_weights": weights})


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("optimiser", OPTIMISERS)
def test_optimisers_and_schedules_wait_for_nothing(
    optimiser: str, schedule: str, trains: Callable[..., None], setup: Setup
) -> None:
    params = {"train/optimiser": optimiser, "train/schedule": schedule}
    trains(setup, ("folded", "vmapped"), params=params)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(load_registry().all("regulariser")))
def test_regularisers_wait_for_nothing(
    name: str, trains: Callable[..., None], setup: Setup, registry: Registry
) -> None:
    task, fusion = task_of(setup), registry.fusion("joint_auxiliary")
    space = scoped(f"regulariser/{name}", registry.regulariser(name).space(task))
    space |= scoped("fusion", fusion.space(task))
    params = {**defaults(space), "regulariser": name}
    trains(setup, component=fusion.name, params=params)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(load_registry().all("fusion")))
def test_fusions_wait_for_nothing(
    name: str, trains: Callable[..., None], setup: Setup, registry: Registry
) -> None:
    params = defaults(scoped("fusion", registry.fusion(name).space(task_of(setup))))
    trains(setup, component=name, encoder="toy_trained", params=params)


@pytest.mark.slow
@pytest.mark.parametrize("name", TRAINED)
def test_encoders_in_training_wait_for_nothing(
    name: str, trains: Callable[..., None], remake_setup: Callable[..., Setup], registry: Registry
) -> None:
    setup, encoder = remake_setup(rows=60), registry.encoder(name)
    columns = dict(setup.dataset.columns)
    columns["left"] = fake_column(encoder, encoder.modality, rows=60)
    setup = replace(setup, dataset=replace(setup.dataset, columns=columns))
    space = scoped(f"left/{name}", encoder.space(task_of(setup)))
    params = {**defaults(space), "left/encoder": name}
    if f"left/{name}/augment" in space:
        params[f"left/{name}/augment"] = True
    trains(setup, params=params)
