"""The conformance kit: what every component must keep, as checks that a plugin's author imports.

    from mmauto.testing import parametrize_with_checks

    @parametrize_with_checks([MyEncoder(), MyFusion()])
    def test_contract(component, check):
        check(component)

A component that cannot keep a check says so with its reason, and the check is skipped with it:
``exempt: ClassVar[Mapping[str, str]] = {"batch_independence": "normalises over the batch"}``.
The kit makes images, texts and tables; an encoder of another modality brings its samples in a
method ``fake_column(rows, seed) -> Column``. Reports are tried on `mmauto.testing.fakes_study`.
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
