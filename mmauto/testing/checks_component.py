"""What every component keeps, whatever its kind; nothing of it runs."""

from __future__ import annotations

import inspect
import json
import os
import subprocess
import sys
import typing
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING

from mmauto.contracts import Component, Encoder, Fusion, Stage
from mmauto.registry import NAME
from mmauto.space import Choice, Float, Int, Params, corners
from mmauto.testing.fakes import LIMIT, default_params, expect, task_view

if TYPE_CHECKING:
    from torch import nn

HEAVY = ("torch", "torchvision", "transformers", "timm", "sklearn", "pandas", "plotly", "optuna")

_LOAD = """
import importlib, importlib.util, sys
name, path = sys.argv[1:3]
try:
    importlib.import_module(name)
except ModuleNotFoundError as error:
    if not path or not f"{name}.".startswith(f"{error.name}."):
        raise
    spec = importlib.util.spec_from_file_location("component", path)
    spec.loader.exec_module(importlib.util.module_from_spec(spec))
print(" ".join(heavy for heavy in sys.argv[3:] if heavy in sys.modules))
"""


def metadata(component: Component) -> None:
    """Name, summary and reference are short texts, and a stage or modality is declared."""
    expect(bool(NAME.match(component.name)), f"the name {component.name!r}, not {NAME.pattern}")
    for attribute in ("summary", "reference"):
        text = getattr(component, attribute, None)
        expect(isinstance(text, str) and bool(text.strip()), f"{attribute} = {text!r}")
        expect("\n" not in str(text), f"{attribute} has several lines: {text!r}")
    if isinstance(component, Fusion):
        expect(component.stage in typing.get_args(Stage), f"stage = {component.stage!r}")
    if isinstance(component, Encoder):
        expect(bool(NAME.match(component.modality)), f"modality = {component.modality!r}")


def space_is_plain(component: Component) -> None:
    """A space maps names without '/' to dimensions, and its corners are JSON values."""
    space = component.space(task_view())
    for name, dimension in space.items():
        expect(bool(NAME.match(name)), f"a parameter called {name!r}, not {NAME.pattern}")
        expect(isinstance(dimension, Float | Int | Choice), f"{name} = {dimension!r}")
    for params in corners(space, LIMIT):
        back = json.loads(json.dumps(params, allow_nan=False))
        expect(back == params, f"{params} came back from JSON as {back}")


def torch_free_import(component: Component) -> None:
    """Importing the component's module loads no heavy library: import it inside the methods."""
    module, path = type(component).__module__, inspect.getfile(type(component))
    # a component defined in a script or notebook lives in a module that cannot be imported by name
    name = module if module != "__main__" else "no_such_module"
    status, heavy, errors = _imported_alone(name, path, os.stat(path).st_mtime_ns)
    expect(status == 0, f"{module} cannot be imported alone: {errors[-400:]}")
    expect(not heavy.split(), f"{module} imports {heavy.strip()}")


@cache
def _imported_alone(name: str, path: str, changed: int) -> tuple[int, str, str]:
    """Exit status, heavy modules and errors of a process of its own, once for each module.

    Args:
        changed: when its file was; one that was mended is imported again.
    """
    command = [sys.executable, "-c", _LOAD, name, path, *HEAVY]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    return done.returncode, done.stdout, done.stderr


def check_packed(component: Component, build: Callable[[Params], nn.Module]) -> None:
    """Build with tell-tale values for each packed number; buffers and dropout rates may hold it.

    In a pack the code and plain attributes of one trial's module serve all trials, so a number in
    an attribute would silently be used for every one of them.
    """
    space = component.space(task_view())
    for name, dimension in space.items():
        if not isinstance(dimension, Float) or not dimension.packs:
            continue
        spread = dimension.high - dimension.low
        values = [dimension.low + share * spread for share in (0.3137, 0.6173)]
        one, other = (build({**default_params(component), name: value}) for value in values)
        expect(_holds(one, values[0]), f"{name} = {values[0]:.4f} stands in no buffer")
        for (place, part), twin in zip(one.named_modules(), other.modules(), strict=True):
            kept = {key: value for key, value in vars(part).items() if _plain(part, key, value)}
            odd = [key for key, value in kept.items() if vars(twin).get(key) != value]
            where = f"{place or type(part).__name__}.{odd[0]}" if odd else ""
            expect(not odd, f"{name} changes the attribute {where}, shared by a pack")


def _holds(module: nn.Module, value: float) -> bool:
    from torch import nn

    if any(bool((b.float() - value).abs().lt(1e-6).any()) for b in module.buffers()):
        return True
    return any(m.p == value for m in module.modules() if isinstance(m, nn.Dropout))


def _plain(module: nn.Module, key: str, value: object) -> bool:
    """A number or text of the module's own; the host keeps dropout rates a trial."""
    from torch import nn

    rate = isinstance(module, nn.Dropout) and key == "p"
    return isinstance(value, int | float | str) and not rate


CHECKS = (metadata, space_is_plain, torch_free_import)
