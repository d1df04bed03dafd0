"""Encoders of Hugging Face models, and what they share."""

from __future__ import annotations

from collections.abc import Sequence

from mmauto.plugin import Encoder, hookimpl
from mmauto_hf.image import HfImage
from mmauto_hf.text import HfText


@hookimpl
def mmauto_encoders() -> Sequence[Encoder]:
    """The encoders of this package."""
    return [HfImage(), HfText()]
