"""Trials that differ in a component's packed numbers, trained side by side and one by one."""

from __future__ import annotations

from collections.abc import Sequence

from mmauto.contracts import Component, Encoder
from mmauto.space import Float, Params
from mmauto.testing.fakes import default_params, expect, task_view
from mmauto.testing.pack_world import agreeing

SHARES = (0.3137, 0.6173, 0.9091)
"""Where in a packed number's range the trials stand."""


def packed_as_alone(component: Component) -> None:
    """Trials that differ in its packed numbers get in a pack what they get one by one.

    A form that disagrees on trials which differ in their weights alone is not for this component
    (a search finds that out and trains in another), and where none agrees it trains on its own;
    but what packs must go on packing when the numbers differ.
    """
    names = packed_numbers(component)
    rests = isinstance(component, Encoder) and component.frozen(default_params(component))
    if not names or rests:
        return
    if agreeing(component, spread(component, names)):
        return
    able = agreeing(component, spread(component, ()))
    odd = [n for n in names if able and not agreeing(component, spread(component, (n,)))]
    values = ", ".join(f"{name} = {_spoken(component, name)}" for name in odd or names)
    expect(
        not able,
        f"trials with {values} get other gradients or outputs side by side "
        f"({', '.join(able)}) than one by one, and the same where these numbers are equal: a plain "
        "attribute or a Python value of one trial served all",
    )


def packed_numbers(component: Component) -> list[str]:
    """The parameters that are declared ``packs=True``."""
    space = component.space(task_view())
    return [name for name, d in space.items() if isinstance(d, Float) and d.packs]


def spread(component: Component, names: Sequence[str]) -> list[Params]:
    """Three trials' parameters that differ in ``names`` alone."""
    return [
        {**default_params(component), **{name: _at(component, name, share) for name in names}}
        for share in SHARES
    ]


def _at(component: Component, name: str, share: float) -> float:
    dimension = component.space(task_view())[name]
    assert isinstance(dimension, Float)
    return float(dimension.low + share * (dimension.high - dimension.low))


def _spoken(component: Component, name: str) -> str:
    return " / ".join(f"{_at(component, name, share):.4g}" for share in SHARES)
