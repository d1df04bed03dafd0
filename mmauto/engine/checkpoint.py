"""Training in progress on disk, so that a search that is killed goes on from there.

A pack that has been restored tells its earlier epochs again, without training them: whoever decides
on pruning hears the same numbers as before. What cannot be restored exactly trains anew.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from mmauto.engine.digests import digest
from mmauto.engine.packed.choose import FORMS
from mmauto.engine.packed.form import UnfitError, trained
from mmauto.engine.random_state import random_state

if TYPE_CHECKING:
    from mmauto.engine.train import Pack, Slot

EVERY = 30.0
"""Seconds of training between two savings, at least."""

SHARE = 0.02
"""Of the time, at most, is spent on saving."""

SUFFIX = ".safetensors"

UNFIT = (OSError, SafetensorError, KeyError, ValueError, TypeError, RuntimeError, UnfitError)
"""What a checkpoint raises that was cut short, or is of another release or kind of device."""


class Checkpoint:
    """What a pack keeps of itself in a folder.

    Args:
        folder: of the study's checkpoints.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.file: Path | None = None
        self.last, self.cost = time.monotonic(), 0.0

    def keep(self, pack: Pack) -> None:
        """Save the pack after an epoch, if it is time; a disk that is full costs the checkpoint."""
        if time.monotonic() - self.last < max(EVERY, self.cost / SHARE):
            return
        start = time.monotonic()
        tensors = {name: _own(value) for name, value in _tensors(pack)}
        about = {"about": json.dumps(_about(pack))}
        file = self.folder / f"{pack.slots[0].job.id}-{_key(pack.slots[0])[:8]}{SUFFIX}"
        fresh = file.with_suffix(".tmp")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            save_file(tensors, fresh, about)
            fresh.replace(file)
            if self.file not in (None, file):
                self.forget()
            self.file = file
        except (OSError, SafetensorError):
            with suppress(OSError):
                fresh.unlink()
        self.last = time.monotonic()
        self.cost = self.last - start

    def restore(self, pack: Pack) -> None:
        """Put a fresh pack where a saved one with all its trials stood, if there is one."""
        wanted = {str(slot.job.id): _key(slot) for slot in pack.slots}
        for file in sorted(self.folder.glob(f"*{SUFFIX}")):
            try:
                with safe_open(file, "pt") as saved:
                    about = json.loads(saved.metadata()["about"])
                    if any(about["keys"].get(name) != key for name, key in wanted.items()):
                        continue
                    tensors = {name: saved.get_tensor(name) for name in saved.keys()}  # noqa: SIM118
                _restore(pack, about, tensors)
            except UNFIT:
                continue
            self.file = file
            return

    def forget(self) -> None:
        """The pack has ended."""
        if self.file is not None:
            self.file.unlink(missing_ok=True)
            self.file = None


def _key(slot: Slot) -> str:
    """What makes a trial's training what it is."""
    job = slot.job
    return digest([asdict(job.candidate), job.seed, job.epochs, job.patience, job.soup])


def _own(value: Tensor) -> Tensor:
    """Memory of its own on the CPU: trials of a pack are slices of one tensor."""
    return value.detach().to("cpu", copy=True).contiguous()


def _tensors(pack: Pack) -> Iterable[tuple[str, Tensor]]:
    cpu, devices = random_state()
    yield "random/cpu", cpu
    for place, state in enumerate(devices):
        yield f"random/{place}", state
    yield "random/shuffle", pack.shuffle.get_state()
    yield "random/augment", pack.augment.get_state()
    yield "steps", pack.optimiser.steps
    for slot, kept in zip(pack.slots, pack.optimiser.trials, strict=True):
        for name, value in slot.model.state_dict().items():
            yield f"{slot.job.id}/now/{name}", value
        for name, value in slot.best.items():
            yield f"{slot.job.id}/best/{name}", value
        for rank, (_, held) in enumerate(slot.kept):
            for name, value in held.items():
                yield f"{slot.job.id}/kept{rank}/{name}", value
        for place, group in enumerate(kept.groups):
            for n, (average, square) in enumerate(zip(group.averages, group.squares, strict=True)):
                yield f"{slot.job.id}/average/{place}/{n}", average
                yield f"{slot.job.id}/square/{place}/{n}", square


def _about(pack: Pack) -> dict[str, Any]:
    return {
        "keys": {str(slot.job.id): _key(slot) for slot in pack.slots},
        "form": pack.form.name,
        "step": pack.step,
        "slots": {
            str(slot.job.id): {
                "curve": slot.curve, "losses": slot.losses, "seconds": slot.seconds,
                "evaluating": slot.evaluating,
                "kept": [value for value, _ in slot.kept],
            }
            for slot in pack.slots
        },
    }  # fmt: skip


def _restore(pack: Pack, about: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    """All or nothing: what is missing or does not fit raises before anything is changed."""

    def under(prefix: str) -> dict[str, Tensor]:
        found = {n[len(prefix) :]: t for n, t in tensors.items() if n.startswith(prefix)}
        return {name: value.to(pack.device) for name, value in found.items()}

    if about["form"] != pack.form.name:  # another one rounds in another way
        models = [slot.model for slot in pack.slots]
        pack.form = FORMS[about["form"]](models, pack.loss)
        pack.optimiser.keep(range(len(models)), [trained(model) for model in models])
    pairs = [(pack.optimiser.steps, tensors["steps"])]
    for slot, trial in zip(pack.slots, pack.optimiser.trials, strict=True):
        name, now = str(slot.job.id), slot.model.state_dict()
        pairs += [(value, tensors[f"{name}/now/{n}"]) for n, value in now.items()]
        for place, group in enumerate(trial.groups):
            for kind, held in (("average", group.averages), ("square", group.squares)):
                pairs += [(t, tensors[f"{name}/{kind}/{place}/{n}"]) for n, t in enumerate(held)]
    if any(there.shape != saved.shape for there, saved in pairs):
        raise ValueError("another model")
    count = torch.cuda.device_count() if pack.device.type == "cuda" else 0
    random = tensors["random/cpu"], [tensors[f"random/{n}"] for n in range(count)]
    streams = tensors["random/shuffle"], tensors["random/augment"]
    told = {slot.job.id: about["slots"][str(slot.job.id)] for slot in pack.slots}

    fresh = (torch.Generator(), torch.Generator(pack.device))
    for generator, state in zip(fresh, streams, strict=True):
        generator.set_state(state)  # raises where it is another device's

    with torch.no_grad():
        for there, saved in pairs:
            there.copy_(saved)
    for slot in pack.slots:
        name, own = str(slot.job.id), told[slot.job.id]
        slot.best = under(f"{name}/best/")
        slot.kept = [(v, under(f"{name}/kept{rank}/")) for rank, v in enumerate(own["kept"])]
        slot.seconds, slot.evaluating = own["seconds"], own["evaluating"]
        slot.ahead = list(zip(own["curve"], own["losses"], strict=True))
    pack.step, pack.random = about["step"], random
    pack.shuffle, pack.augment = fresh
