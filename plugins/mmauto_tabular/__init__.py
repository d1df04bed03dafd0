"""Built-in encoders of tabular columns, one small file each."""

from __future__ import annotations

from collections.abc import Sequence

from mmauto.plugin import Encoder, hookimpl
from mmauto_tabular.ft_transformer import FtTransformer
from mmauto_tabular.mlp import Mlp
from mmauto_tabular.tabular_text import TabularText


@hookimpl
def mmauto_encoders() -> Sequence[Encoder]:
    """The encoders of this package."""
    return [Mlp(), FtTransformer(), TabularText()]
