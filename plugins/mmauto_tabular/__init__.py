"""Built-in encoders of tabular columns, one small file each."""

from __future__ import annotations

from collections.abc import Sequence

from mmauto.plugin import Encoder, hookimpl
from mmauto_tabular.mlp import Mlp


@hookimpl
def mmauto_encoders() -> Sequence[Encoder]:
    """The encoders of this package."""
    return [Mlp()]
