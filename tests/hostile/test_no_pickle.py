"""No module of the program turns bytes into objects that run, whoever wrote the bytes."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
FILES = sorted(
    path for top in ("mmauto", "plugins") for path in (ROOT / top).rglob("*.py")
)  # fmt: skip

MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "yaml"}
"""Whose loading runs what the file says."""

CALLS = {"eval", "exec", "__import__"}
METHODS = {"unpack_archive", "extractall", "extract", "read_pickle"}
ALLOWED = {
    # the kit sends a task's data through what it has just written itself, as the executor would
    "mmauto/testing/checks_task.py": {"pickle", "pickle.loads"},
}
"""Executors speak through `multiprocessing.connection`, between own processes with a secret key."""


def dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name.partition(".")[0] for alias in node.names]
    if isinstance(node, ast.ImportFrom) and not node.level:
        return [(node.module or "").partition(".")[0]]
    return []


def constant(call: ast.Call, name: str) -> object:
    values = [word.value for word in call.keywords if word.arg == name]
    return values[0].value if values and isinstance(values[0], ast.Constant) else None


def odd(tree: ast.AST) -> Iterator[str]:
    """What a module does that it must not."""
    for node in ast.walk(tree):
        yield from (name for name in imported(node) if name in MODULES)
        if not isinstance(node, ast.Call):
            continue
        name = dotted(node.func)
        last = name.rpartition(".")[2]
        module = name.partition(".")[0]
        loads = module in MODULES and last in ("load", "loads", "Unpickler")
        if name in CALLS or last in METHODS or loads:
            yield name
        elif name == "torch.load" and constant(node, "weights_only") is not True:
            yield "torch.load without weights_only=True"
        elif name in ("np.load", "numpy.load") and constant(node, "allow_pickle") is not False:
            yield "np.load without allow_pickle=False"
        elif constant(node, "trust_remote_code") is True:
            yield "trust_remote_code=True"


def test_no_module_unpickles_anything() -> None:
    assert len(FILES) > 300
    found = {}
    for path in FILES:
        name = path.relative_to(ROOT).as_posix()
        extra = set(odd(ast.parse(path.read_text(encoding="utf-8")))) - ALLOWED.get(name, set())
        if extra:
            found[name] = sorted(extra)
    assert not found


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("import pickle", "pickle"),
        ("from joblib import load", "joblib"),
        ("torch.load(f)", "torch.load without weights_only=True"),
        ("torch.load(f, weights_only=False)", "torch.load without weights_only=True"),
        ("np.load(f)", "np.load without allow_pickle=False"),
        ("np.load(f, allow_pickle=True)", "np.load without allow_pickle=False"),
        ("eval(text)", "eval"),
        ("tar.extractall(x)", "tar.extractall"),
        ("M.from_pretrained(x, trust_remote_code=True)", "trust_remote_code=True"),
    ],
)
def test_the_search_finds_what_it_is_for(code: str, said: str) -> None:
    assert said in set(odd(ast.parse(code)))
