"""Built-in image encoders, one small file each."""

from __future__ import annotations

from collections.abc import Sequence

from mmauto.plugin import Encoder, hookimpl
from mmauto_image.efficientnet_lite0 import EfficientNetLite0
from mmauto_image.resnet18 import ResNet18
from mmauto_image.small_cnn import SmallCnn


@hookimpl
def mmauto_encoders() -> Sequence[Encoder]:
    """The encoders of this package."""
    return [EfficientNetLite0(), SmallCnn(), ResNet18()]
