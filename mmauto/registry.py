"""Finding plugins: a frozen value that says what there is, whose it is, and what failed.

pluggy alone ignores a misspelt hook until asked, drops a distribution that reuses an entry-point
name, stops at the first failing import, and does not say whose result is whose. So the entry points
are walked here, one by one, each registered as ``distribution:name``.
"""

from __future__ import annotations

import importlib.metadata
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, TypeVar

import pluggy

from mmauto import hookspecs
from mmauto.contracts import (
    API_VERSION,
    Component,
    Control,
    Encoder,
    Fusion,
    Regulariser,
    Section,
    Task,
)
from mmauto.errors import ConfigError, PluginError, unknown

GROUP = "mmauto"
BLOCK = "MMAUTO_BLOCK_PLUGINS"
NAME = re.compile(r"^[a-z][a-z0-9_]*$")

KINDS: Mapping[str, type[Component]] = MappingProxyType(
    {
        "encoder": Encoder,
        "fusion": Fusion,
        "regulariser": Regulariser,
        "control": Control,
        "task": Task,
        "section": Section,
    }
)

C = TypeVar("C", bound=Component)


@dataclass(frozen=True)
class Entry:
    """One component and where it came from."""

    kind: str
    component: Component
    distribution: str
    version: str

    @property
    def name(self) -> str:
        """The component's name, unique in its kind."""
        return self.component.name

    @property
    def role(self) -> str:
        """The fusion's stage or the encoder's modality; else empty."""
        return str(getattr(self.component, "stage", getattr(self.component, "modality", "")))


@dataclass(frozen=True)
class LoadFailure:
    """A plugin that could not be used, and why."""

    plugin: str
    version: str
    message: str


@dataclass(frozen=True)
class Registry:
    """All components by kind and name, and the plugins that failed to load."""

    entries: Mapping[str, Mapping[str, Entry]]
    failures: Sequence[LoadFailure] = field(default_factory=tuple)

    def all(self, kind: str) -> Mapping[str, Entry]:
        """The entries of one kind by name, sorted."""
        return self.entries[kind]

    def entry(self, kind: str, name: str, source: str = "") -> Entry:
        """One entry.

        Raises:
            ConfigError: there is none of that name; the text offers the nearest one.
        """
        found = self.entries[kind].get(name)
        if found is None:
            lost = "; ".join(f"{f.plugin} {f.version}: {f.message}" for f in self.failures)
            hint = f"not loaded: {lost}" if lost else ""
            raise ConfigError(unknown(kind, name, self.entries[kind], source=source, hint=hint))
        return found

    def encoder(self, name: str, source: str = "") -> Encoder:
        """An encoder by name; see `entry`."""
        return self._get(Encoder, "encoder", name, source)  # type: ignore[type-abstract]

    def fusion(self, name: str, source: str = "") -> Fusion:
        """A fusion by name; see `entry`."""
        return self._get(Fusion, "fusion", name, source)  # type: ignore[type-abstract]

    def regulariser(self, name: str, source: str = "") -> Regulariser:
        """A regulariser by name; see `entry`."""
        return self._get(Regulariser, "regulariser", name, source)  # type: ignore[type-abstract]

    def control(self, name: str, source: str = "") -> Control:
        """A control by name; see `entry`."""
        return self._get(Control, "control", name, source)  # type: ignore[type-abstract]

    def task(self, name: str, source: str = "") -> Task:
        """A task by name; see `entry`."""
        return self._get(Task, "task", name, source)  # type: ignore[type-abstract]

    def _get(self, base: type[C], kind: str, name: str, source: str) -> C:
        component = self.entry(kind, name, source).component
        assert isinstance(component, base)
        return component

    def encoders_of(self, modality: str) -> dict[str, Encoder]:
        """The encoders that read ``modality``, by name."""
        found = {n: e.component for n, e in self.entries["encoder"].items()}
        return {n: c for n, c in found.items() if isinstance(c, Encoder) and c.modality == modality}

    def version_of(self, kind: str, name: str) -> str:
        """``distribution version`` of a component, for keys and records."""
        entry = self.entry(kind, name)
        return f"{entry.distribution} {entry.version}"


def load_registry(extra: Mapping[str, object] | None = None) -> Registry:
    """Walk the installed plugins and validate what they offer.

    Args:
        extra: plugins by name that are not installed (modules or objects with hook functions); for
            tests and notebooks, in this process only.

    A plugin that fails is recorded, never raised: it must not take the program along.
    """
    manager = pluggy.PluginManager("mmauto")
    manager.add_hookspecs(hookspecs)
    versions: dict[str, str] = {}
    failures: list[LoadFailure] = []
    blocked = {name.strip() for name in os.environ.get(BLOCK, "").split(",") if name.strip()}
    for plugin, version, load in [*_installed(), *_given(extra or {})]:
        versions[plugin] = version
        if plugin in blocked:
            failures.append(LoadFailure(plugin, version, f"blocked by {BLOCK}"))
            continue
        try:
            _register(manager, plugin, load())
        except (Exception, SystemExit) as error:
            if manager.has_plugin(plugin):
                manager.unregister(name=plugin)
            failures.append(LoadFailure(plugin, version, str(error) or repr(error)))
    return _collect(manager, versions, failures)


def _installed() -> Iterable[tuple[str, str, Any]]:
    points = importlib.metadata.entry_points(group=GROUP)
    rows: dict[str, tuple[str, str, Any]] = {}
    for point in points:
        owner = point.dist
        name = owner.metadata["Name"] if owner else "unknown"
        # one distribution may be seen twice on sys.path (an editable install and its folder)
        rows.setdefault(
            f"{name}:{point.name}",
            (f"{name}:{point.name}", owner.version if owner else "?", point.load),
        )
    return [rows[key] for key in sorted(rows)]


def _given(extra: Mapping[str, object]) -> Iterable[tuple[str, str, Any]]:
    return [(name, "local", lambda plugin=plugin: plugin) for name, plugin in extra.items()]


def _register(manager: pluggy.PluginManager, name: str, plugin: object) -> None:
    version = getattr(plugin, "mmauto_api", API_VERSION)
    if version != API_VERSION:
        raise PluginError(
            f"written for version {version} of mmauto's contracts, this is version {API_VERSION}; "
            "install a release of the plugin that fits"
        )
    manager.register(plugin, name=name)
    known = {name for name in vars(hookspecs) if name.startswith("mmauto_")}
    odd = [
        hook
        for hook in dir(plugin)
        if hook.startswith("mmauto_")
        and hook not in known
        and hasattr(getattr(plugin, hook), "mmauto_impl")
    ]
    if odd:
        raise PluginError(f"no hook is called {odd[0]!r}; the hooks are {', '.join(sorted(known))}")
    manager.check_pending()


def _collect(
    manager: pluggy.PluginManager, versions: Mapping[str, str], failures: list[LoadFailure]
) -> Registry:
    entries: dict[str, dict[str, Entry]] = {kind: {} for kind in KINDS}
    for kind, base in KINDS.items():
        caller = getattr(manager.hook, f"mmauto_{kind}s")
        for call in sorted(caller.get_hookimpls(), key=lambda impl: impl.plugin_name):
            owner = call.plugin_name
            try:
                # all of a plugin's components of a kind, or none: half a plugin would mislead
                fresh: dict[str, Entry] = {}
                for component in call.function():
                    _validate(component, base, kind)
                    taken = entries[kind].get(component.name) or fresh.get(component.name)
                    if taken is not None:
                        raise PluginError(
                            f"{kind} {component.name!r} is offered by {taken.distribution} and by "
                            f"{owner}; the first is kept, rename or uninstall the second"
                        )
                    fresh[component.name] = Entry(
                        kind, component, owner.partition(":")[0], versions[owner]
                    )
                entries[kind].update(fresh)
            except (Exception, SystemExit) as error:
                failures.append(LoadFailure(owner, versions[owner], str(error) or repr(error)))
    ordered = {
        kind: MappingProxyType(dict(sorted(found.items()))) for kind, found in entries.items()
    }
    return Registry(MappingProxyType(ordered), tuple(failures))


def _validate(component: object, base: type[Component], kind: str) -> None:
    if not isinstance(component, base):
        what = component.__name__ if isinstance(component, type) else repr(component)
        raise PluginError(
            f"the hook mmauto_{kind}s must return instances of {base.__name__}, it gave {what}"
        )
    label = type(component).__name__
    for attribute in ("name", "summary", "reference"):
        if not isinstance(getattr(component, attribute, None), str):
            raise PluginError(f"{kind} {label} needs a text {attribute!r}")
    if not NAME.fullmatch(component.name):
        raise PluginError(
            f"a {kind}'s name must match {NAME.pattern}, {label} is called {component.name!r}"
        )
