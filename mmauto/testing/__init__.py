"""The conformance kit: what every component must keep, as checks that a plugin's author imports.

    from mmauto.testing import parametrize_with_checks

    @parametrize_with_checks([MyEncoder(), MyFusion()])
    def test_contract(component, check):
        check(component)

A component that cannot keep a check says so with its reason, and the check is skipped with it:
``exempt: ClassVar[Mapping[str, str]] = {"batch_independence": "normalises over the batch"}``.
"""

from __future__ import annotations

from mmauto.testing.checks import (
    Check,
    Result,
    check_component,
    component_checks,
    parametrize_with_checks,
)

__all__ = ["Check", "Result", "check_component", "component_checks", "parametrize_with_checks"]
