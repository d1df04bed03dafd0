"""What a user means by a name: a registered component, or a package's folder."""

from __future__ import annotations

import importlib
import os
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import EntryPoint
from pathlib import Path

from mmauto.errors import ConfigError, unknown
from mmauto.registry import BLOCK, GROUP, KINDS, Entry, LoadFailure, Registry, load_registry

PROJECT = "pyproject.toml"
VERSION = "from its folder"
"""In place of the version of what is not installed."""


@dataclass(frozen=True)
class Package:
    """What a folder's entry points offer."""

    distribution: str
    entries: Sequence[Entry]
    failures: Sequence[LoadFailure]


def named_entry(registry: Registry, given: str, hint: str = "") -> Entry:
    """The component called ``name`` or ``kind:name``.

    Args:
        registry: where to look.
        given: what the user wrote.
        hint: what else to say where there is none.

    Raises:
        ConfigError: there is none, or kinds share the name.
    """
    kind, colon, name = given.rpartition(":")
    if colon:
        if kind not in KINDS:
            raise ConfigError(unknown("kind", kind, KINDS, source=repr(given)))
        return registry.entry(kind, name, source=repr(given))
    found = [entries[given] for entries in registry.entries.values() if given in entries]
    if not found:
        names = {name for entries in registry.entries.values() for name in entries}
        lost = "; ".join(f"not loaded: {f.plugin}: {f.message}" for f in registry.failures)
        text = unknown("component", given, names, hint="; ".join(filter(None, (hint, lost))))
        raise ConfigError(text)
    if len(found) > 1:
        choices = " or ".join(f"{entry.kind}:{given}" for entry in found)
        raise ConfigError(
            f"a name must say which component is meant, {given!r} is several; write {choices}"
        )
    return found[0]


@contextmanager
def loaded_package(folder: Path) -> Iterator[Package]:
    """The components of a package that need not be installed; importable while this is open.

    Where the same distribution is installed too, the folder wins.

    Raises:
        ConfigError: the folder has no project file with entry points, or it cannot be read.
    """
    name, points = _entry_points(folder)
    # another name than that of the installed distribution, which steps aside
    label = f"{name} (folder)"
    with _importable(
        folder, {EntryPoint("", to, "").module.split(".")[0] for to in points.values()}
    ):
        loaded, failures = {}, []
        for point, target in points.items():
            plugin = f"{label}:{point}"
            try:
                loaded[plugin] = EntryPoint(point, target, GROUP).load()
            except (Exception, SystemExit) as error:
                failures.append(LoadFailure(plugin, VERSION, str(error) or repr(error)))
        with _blocked([f"{name}:{point}" for point in points]):
            registry = load_registry(loaded)
        # of two that claim one name, the registry drops the later: the message names both
        failures += [f for f in registry.failures if label in f"{f.plugin} {f.message}"]
        entries = [
            replace(entry, distribution=name, version=VERSION)
            for found in registry.entries.values()
            for entry in found.values()
            if entry.distribution == label
        ]
        yield Package(name, entries, failures)


def _entry_points(folder: Path) -> tuple[str, Mapping[str, str]]:
    """The distribution's name, and entry point -> module (or ``module:object``)."""
    try:
        project = tomllib.loads((folder / PROJECT).read_text(encoding="utf-8")).get("project", {})
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(
            f"a package's folder needs a {PROJECT} that can be read, {str(folder)!r} has none "
            f"({error}); name another folder, or start one with: mmauto plugins new"
        ) from error
    points = project.get("entry-points", {}).get(GROUP, {})
    if not points:
        raise ConfigError(
            f"a package offers components under [project.entry-points.{GROUP}], "
            f'{str(folder / PROJECT)!r} has no such table; add: mine = "the module with the hooks"'
        )
    return project.get("name", folder.name), points


@contextmanager
def _importable(folder: Path, packages: set[str]) -> Iterator[None]:
    """Modules of the folder first, here and in processes that a check starts."""
    places = [str(place) for place in (folder / "src", folder) if place.is_dir()]
    path, environment = list(sys.path), os.environ.get("PYTHONPATH")
    sys.path[:0] = places
    os.environ["PYTHONPATH"] = os.pathsep.join([*places, *filter(None, [environment])])
    _forget(packages)
    try:
        yield
    finally:
        _forget(packages)
        sys.path[:] = path
        if environment is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = environment


def _forget(packages: set[str]) -> None:
    for module in [name for name in sys.modules if name.partition(".")[0] in packages]:
        del sys.modules[module]
    importlib.invalidate_caches()


@contextmanager
def _blocked(plugins: Sequence[str]) -> Iterator[None]:
    """Installed plugins that step aside for those of a folder."""
    before = os.environ.get(BLOCK)
    os.environ[BLOCK] = ",".join([*filter(None, [before]), *plugins])
    try:
        yield
    finally:
        if before is None:
            del os.environ[BLOCK]
        else:
            os.environ[BLOCK] = before
