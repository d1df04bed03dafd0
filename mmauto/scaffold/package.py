"""Names a new package, and writes it."""

from __future__ import annotations

import importlib.util
import keyword
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from mmauto.contracts import API_VERSION
from mmauto.errors import ConfigError, unknown
from mmauto.registry import KINDS, NAME
from mmauto.scaffold.documents import HOOKS, PROJECT, README, USES

DISTRIBUTION = re.compile(r"^[a-z][a-z0-9]*([-_][a-z0-9]+)*$")
PREFIX = "mmauto_"
RESERVED = {"mmauto", "tests"}
TEMPLATES = "mmauto.scaffold.templates"


@dataclass(frozen=True)
class Plan:
    """What a new package is called.

    Attributes:
        folder: where it is written; its name is the distribution's.
        kind: ``encoder``, ``fusion`` ...
        package: the module that is imported.
        name: the component's.
    """

    folder: Path
    kind: str
    package: str
    name: str

    @property
    def distribution(self) -> str:
        """What ``pip install`` calls it."""
        return self.folder.name

    @property
    def stem(self) -> str:
        """The class's name without its kind: ``my_sum`` is ``MySum``, so is ``my_sum_fusion``."""
        parts = self.name.removesuffix(f"_{self.kind}").split("_")
        return "".join(part.capitalize() for part in parts)


def plan(folder: Path, kind: str, name: str | None = None) -> Plan:
    """Derive all names from the folder's.

    Args:
        folder: does not exist yet, or is empty.
        kind: of the component.
        name: the component's; None: the package's without a leading ``mmauto_``.

    Raises:
        ConfigError: the kind is unknown, a name cannot be used, or the folder is not empty.
    """
    if kind not in KINDS:
        raise ConfigError(unknown("kind", kind, KINDS, source="--kind"))
    folder = folder.resolve()
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
        raise ConfigError(
            f"a new package needs a folder that is empty or does not exist yet, {str(folder)!r} "
            f"{'is a file' if folder.is_file() else 'holds files'}; name another one"
        )
    if not DISTRIBUTION.match(folder.name):
        raise ConfigError(
            "a package is called after its folder: small letters, digits and single '-' or '_' "
            f"between them, starting with a letter; {folder.name!r} is not; name the folder like "
            "'mmauto-mine'"
        )
    package = folder.name.replace("-", "_")
    if (
        package in RESERVED | sys.stdlib_module_names
        or keyword.iskeyword(package)
        or _taken(package)
    ):
        raise ConfigError(
            f"a package needs a module name of its own, {package!r} (from the folder "
            f"{folder.name!r}) is taken; name the folder otherwise"
        )
    source = "--name" if name is not None else f"the folder {folder.name!r}"
    name = package.removeprefix(PREFIX) if name is None else name
    if not NAME.match(name) or keyword.iskeyword(name):
        raise ConfigError(
            f"a component's name must match {NAME.pattern} and be no word of Python, {name!r} "
            f"(from {source}) is not; give another --name"
        )
    return Plan(folder, kind, package, name)


def write(new: Plan) -> tuple[Path, ...]:
    """Write the package; the paths of its files, relative to the folder.

    Raises:
        ConfigError: the folder cannot be written.
    """
    written = []
    try:
        for place, text in _contents(new):
            path = new.folder / place
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            written.append(Path(place))
    except OSError as error:
        raise ConfigError(
            f"a new package needs a folder that can be written, {str(new.folder)!r} cannot "
            f"({error.strerror}); name another one"
        ) from error
    return tuple(written)


def _taken(package: str) -> bool:
    """Whether the name can be imported already; a folder without modules is no reason."""
    found = importlib.util.find_spec(package)
    return found is not None and found.origin is not None


def _contents(new: Plan) -> Iterator[tuple[str, str]]:
    component, tests = _template(new, new.kind), _template(new, f"{new.kind}_tests")
    words = {
        "distribution": new.distribution, "package": new.package, "name": new.name,
        "kind": new.kind, "base": KINDS[new.kind].__name__, "api": API_VERSION,
        "title": f"{new.stem}{KINDS[new.kind].__name__}",
        "summary": re.findall(r'^    summary = "(.*)"$', component, re.MULTILINE)[0],
        "use": USES[new.kind].format(name=new.name),
    }  # fmt: skip
    yield "pyproject.toml", PROJECT.format(**words)
    yield "README.md", README.format(**words)
    yield f"{new.package}/__init__.py", HOOKS.format(**words)
    yield f"{new.package}/{new.name}.py", component
    yield f"{new.package}/py.typed", ""
    yield f"tests/test_{new.name}.py", tests


def _template(new: Plan, file: str) -> str:
    """A template with the user's names; imports are sorted as for mmauto's users."""
    text = files(TEMPLATES).joinpath(f"{file}.py").read_text(encoding="utf-8")
    # mmauto is one library among others there, and what stands last is the package itself
    text = re.sub(
        r"^(import (?:numpy as np|pytest|torch)\n)\n(?=from mmauto)", r"\1", text, flags=re.M
    )
    found = re.search(rf"^from {TEMPLATES}\.{new.kind} import .*\n", text, re.MULTILINE)
    if found:
        *_, last = re.finditer(r"^from mmauto\..*\n", text, re.MULTILINE)
        own = found[0].replace(f"{TEMPLATES}.{new.kind}", f"{new.package}.{new.name}")
        between = text[found.end() : last.end()]
        text = f"{text[: found.start()]}{between}\n{own}{text[last.end() :]}"
    return text.replace("ScaffoldName", new.stem).replace("scaffold_name", new.name)
