"""The contract of the control, and what it is for."""

from __future__ import annotations

import numpy as np

from mmauto.plugin import TargetSpec
from mmauto.scaffold.templates.control import ScaffoldNameControl
from mmauto.testing import Check, parametrize_with_checks


@parametrize_with_checks([ScaffoldNameControl()])
def test_contract(component: ScaffoldNameControl, check: Check) -> None:
    """Every check of the kit for this kind."""
    check(component)


def test_it_finds_a_linear_rule() -> None:
    """Numbers are found exactly, a threshold of them nearly."""
    random = np.random.default_rng(0)
    features = {"tabular": random.normal(size=(300, 3))}
    dose = 2.0 + features["tabular"] @ np.array([1.0, -2.0, 0.0])
    specs = {"dose": TargetSpec("dose", "regression"), "high": TargetSpec("high", "binary")}
    targets = {"dose": dose, "high": (dose > 2.0).astype(float)}
    control = ScaffoldNameControl()
    state = control.fit(features, targets, specs, {"penalty": 0.1}, seed=0)
    found = control.predict(features, state, specs)
    assert np.abs(found["dose"][:, 0] - dose).max() < 0.01
    assert ((found["high"][:, 0] > 0.5) == (dose > 2.0)).mean() > 0.9
