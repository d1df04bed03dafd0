"""One generator of checks behind `check_component` and `parametrize_with_checks`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from mmauto.contracts import Component
from mmauto.errors import PluginError
from mmauto.registry import KINDS
from mmauto.testing import (
    checks_component,
    checks_control,
    checks_encoder,
    checks_fusion,
    checks_regulariser,
    checks_section,
    checks_task,
)

if TYPE_CHECKING:
    import pytest

Function: TypeAlias = Callable[[Any], None]

CHECKS: Mapping[str, tuple[Function, ...]] = MappingProxyType(
    {
        "encoder": checks_encoder.CHECKS,
        "fusion": checks_fusion.CHECKS,
        "regulariser": checks_regulariser.CHECKS,
        "control": checks_control.CHECKS,
        "task": checks_task.CHECKS,
        "section": checks_section.CHECKS,
    }
)
"""By kind; those of `checks_component` hold for every kind and run nothing of the component."""


@dataclass(frozen=True)
class Check:
    """One property that a component must keep; call it with the component.

    Attributes:
        rule: the property in a sentence.
        static: nothing of the component runs, so it holds even where weights are missing.
    """

    name: str
    rule: str
    function: Function
    static: bool = False

    def __call__(self, component: Component) -> None:
        """Run the check, unless the component is exempt from it.

        Raises:
            PluginError: the component breaks the rule, or failed on the way.
        """
        if self.skipped(component) is not None:
            return
        try:
            self.function(component)
        except Exception as error:
            seen = str(error) if isinstance(error, AssertionError) else repr(error)
            raise PluginError(
                f"{kind_of(component)} {component.name!r} ({type(component).__module__}) breaks "
                f"the check {self.name!r}: {self.rule}; seen: {seen}; mend it, or declare why it "
                f"cannot be kept: exempt = {{{self.name!r}: reason}}"
            ) from error

    def skipped(self, component: Component) -> str | None:
        """Why the check does not apply to the component; None where it does."""
        reason = exemptions(component).get(self.name)
        return reason if reason or self.static else component.missing()


@dataclass(frozen=True)
class Result:
    """What became of one check; ``reason`` says why it was skipped or what was seen."""

    check: Check
    outcome: Literal["passed", "skipped", "failed"]
    reason: str = ""


def kind_of(component: Component) -> str:
    """``encoder``, ``fusion`` ...: the kind whose contract the component extends.

    Raises:
        PluginError: it extends none.
    """
    for kind, base in KINDS.items():
        if isinstance(component, base):
            return kind
    what = component.__name__ if isinstance(component, type) else type(component).__name__
    raise PluginError(
        f"a component must be an instance of {', '.join(b.__name__ for b in KINDS.values())}; "
        f"{what} was given to the kit; pass an object such as {what}()"
    )


def exemptions(component: Component) -> Mapping[str, str]:
    """Check name -> reason, as the component declares them."""
    return getattr(component, "exempt", {})


def component_checks(component: Component) -> Iterator[tuple[Component, Check]]:
    """Every check that belongs to the component's kind.

    Raises:
        PluginError: it has no kind, or is exempt from a check that does not exist.
    """
    own = CHECKS[kind_of(component)]
    checks = [
        Check(f.__name__, _rule(f), f, static=f in checks_component.CHECKS)
        for f in (*checks_component.CHECKS, *own)
    ]
    names = {check.name for check in checks}
    for name, reason in exemptions(component).items():
        if name not in names or not reason.strip():
            raise PluginError(
                f"an exemption maps the name of a check to a reason, {component.name!r} declares "
                f"{name!r}: {reason!r}; its checks are {', '.join(sorted(names))}"
            )
    return ((component, check) for check in checks)


def check_component(component: Component) -> tuple[Result, ...]:
    """Run all checks of a component.

    Raises:
        PluginError: one or more failed; a line for each.
    """
    results = tuple(_run(check, component) for _, check in component_checks(component))
    failed = [result.reason for result in results if result.outcome == "failed"]
    if failed:
        raise PluginError("\n".join(failed))
    return results


def parametrize_with_checks(components: Iterable[Component]) -> pytest.MarkDecorator:
    """A pytest decorator for ``test(component, check)``: one case a component and check."""
    import pytest

    cases = []
    for given in components:
        for component, check in component_checks(given):
            reason = check.skipped(component)
            marks = [pytest.mark.skip(reason=reason)] if reason is not None else []
            name = f"{kind_of(component)}-{component.name}-{check.name}"
            cases.append(pytest.param(component, check, id=name, marks=marks))
    return pytest.mark.parametrize(("component", "check"), cases)


def _run(check: Check, component: Component) -> Result:
    reason = check.skipped(component)
    if reason is not None:
        return Result(check, "skipped", reason)
    try:
        check(component)
    except PluginError as error:
        return Result(check, "failed", str(error))
    return Result(check, "passed")


def _rule(function: Function) -> str:
    """The first paragraph of a docstring on one line, without its full stop."""
    return " ".join((inspect.getdoc(function) or "").split("\n\n")[0].split()).rstrip(".")
