"""The form in which a frozen module runs: as built, folded, or in bfloat16; the fastest is taken.

All forms give the same tokens up to rounding. Which one is fastest depends on the network and on
the processor, so it is measured once, remembered beside the cache, and part of a feature's key.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity

from mmauto.engine.convolution import has_bf16
from mmauto.engine.digests import digest
from mmauto.engine.entries import FORMS
from mmauto.engine.folding import folded, has_convolutions
from mmauto.engine.once import BF16, FOLDED, PLAIN, Formed, using

FEW = 1000
"""Fewer rows are encoded plainly: a measurement would cost about as much as it saves."""

SAMPLE = 16
"""Rows that a measurement encodes."""

FAST = 5000.0
"""Rows a second at which another form is not worth a thought, and a measurement mere chance."""

GAIN = {FOLDED: 1.05, BF16: 1.2}
"""A form must be so many times as fast as the better ones before it: bfloat16 costs digits."""

CLOSE, NEAR = 0.999, 0.2
"""A bfloat16 row's least cosine with the exact one, and any value's largest deviation in units of
its feature's spread over rows: that which all rows share, and what it has
beyond that. On a processor without bfloat16 a bundle meets both at once."""

ROUNDS, SECONDS = 5, 1.5
"""Runs of each form; fewer, but two at least, where they take longer than this in all."""


def shaped(module: nn.Module, form: str, batch: Mapping[str, Tensor]) -> Formed:
    """A module in a form; in full precision where this processor has no bfloat16.

    Args:
        module: in evaluation mode.
        batch: a few rows ``(B, ...)`` that it may read; looked at for the other forms only.
    """
    if form != PLAIN and has_convolutions(module):
        module = folded(module, {name: array[:2] for name, array in batch.items()})
    return Formed(module, PLAIN if form == BF16 and not has_bf16() else form)


def chosen(
    module: nn.Module, batch: Mapping[str, Tensor], threads: int = 1
) -> tuple[str, dict[str, float]]:
    """The best form on this machine with so many threads, and rows a second by form.

    Args:
        module: in evaluation mode, on a CPU.
        batch: some `SAMPLE` typical rows ``(B, ...)``.
    """
    forms = {PLAIN: shaped(module, PLAIN, batch)}
    if has_convolutions(module):
        forms[FOLDED] = shaped(module, FOLDED, batch)
    with torch.inference_mode(), using(threads):
        exact = forms[PLAIN](**batch)
        if has_bf16():
            small = Formed(forms.get(FOLDED, forms[PLAIN]).module, BF16)
            if agrees(exact, small(**batch)):
                forms[BF16] = small
        rates = _rates(forms, batch)
    best = PLAIN
    for form in rates:
        if form != PLAIN and rates[PLAIN] < FAST and rates[form] >= GAIN[form] * rates[best]:
            best = form
    return best, rates


def agrees(exact: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    """Whether arrays ``(B, ...)`` say the same as the exact ones; see `CLOSE` and `NEAR`."""
    for name, value in exact.items():
        if not value.is_floating_point():
            if not torch.equal(value, other[name]):
                return False
            continue
        one, two = value.flatten(1), other[name].flatten(1)
        variance = one.var(0, unbiased=False)
        # shrunk towards the others', as where tokens are scaled for training
        spread = (0.5 * variance + 0.5 * variance.mean()).sqrt().clamp(min=1e-6)
        apart = (two - one) / spread
        # tokens are scaled for training, which takes out what all rows share; a bundle on a
        # processor without bfloat16 meets it again, so that it has to be small, too
        shared = apart.mean(0)
        near = (shared.abs() <= NEAR).all() and ((apart - shared).abs() <= NEAR).all()
        if not (near and (cosine_similarity(one, two) >= CLOSE).all()):
            return False
    return True


def _rates(forms: Mapping[str, Formed], batch: Mapping[str, Tensor]) -> dict[str, float]:
    """Rows a second of each form at its best, in turns: what else the machine does hits them all"""
    least = dict.fromkeys(forms, math.inf)
    rows = len(next(iter(batch.values())))
    end = time.perf_counter() + SECONDS
    for turn in range(ROUNDS):
        for form, module in forms.items():
            start = time.perf_counter()
            module(**batch)
            least[form] = min(least[form], time.perf_counter() - start)
        if turn and time.perf_counter() > end:
            break
    return {form: rows / seconds for form, seconds in least.items()}


def remembered(
    folder: Path,
    about: Mapping[str, Any],
    measure: Callable[[], tuple[str, dict[str, float]]],
    threads: int = 1,
) -> str:
    """The form measured for an encoder on this machine, measured now where it never was.

    Args:
        folder: of the cache.
        about: the encoder, its version, parameters and state.
        measure: gives the form, and rows a second by form.
    """
    whole = {
        **about, "torch": torch.__version__, "threads": threads, "bf16": has_bf16(),
        "processor": torch.backends.cpu.get_cpu_capability(),
    }  # fmt: skip
    file = folder / FORMS / f"{digest(whole)[:40]}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{file}.lock"):
        form = _read(file)
        if form is None:
            form, rates = measure()
            found = {**whole, "form": form, "rows_per_second": rates}
            fresh = file.with_suffix(f".{os.getpid()}")
            fresh.write_text(json.dumps(found, indent=1))
            fresh.replace(file)
    return form


def _read(file: Path) -> str | None:
    """The form that was measured; None where it was not, or the file is damaged."""
    try:
        form = json.loads(file.read_text())["form"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return form if form in (PLAIN, FOLDED, BF16) else None
