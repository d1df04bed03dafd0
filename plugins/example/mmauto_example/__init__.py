"""A fusion and a text encoder for mmauto."""

from __future__ import annotations

from collections.abc import Sequence

from mmauto.plugin import Encoder, Fusion, hookimpl
from mmauto_example.characters import ExampleCharacters
from mmauto_example.maximum import ExampleMaximum

mmauto_api = 1
"""The version of mmauto's contracts that this package is written for; checked when it loads."""


@hookimpl
def mmauto_fusions() -> Sequence[Fusion]:
    """The fusion."""
    return [ExampleMaximum()]


@hookimpl
def mmauto_encoders() -> Sequence[Encoder]:
    """The encoder."""
    return [ExampleCharacters()]
