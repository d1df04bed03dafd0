"""Built-in regularisers, one small file each."""

from __future__ import annotations

from collections.abc import Sequence

from mmauto.plugin import Regulariser, hookimpl
from mmauto_training.modality_dropout import ModalityDropout


@hookimpl
def mmauto_regularisers() -> Sequence[Regulariser]:
    """The regularisers of this package."""
    return [ModalityDropout()]
