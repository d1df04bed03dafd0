"""Built-in image encoders, one small file each."""

from __future__ import annotations

from collections.abc import Sequence

from mmauto.plugin import Encoder, hookimpl
from mmauto_image.classic import ResNet18, ResNet50, Vgg11, Vgg16
from mmauto_image.conv_vae import ConvVae
from mmauto_image.detector import Detector
from mmauto_image.efficientnet_lite0 import EfficientNetLite0
from mmauto_image.flat_cnn import FlatCnn
from mmauto_image.small_cnn import SmallCnn
from mmauto_image.timm_zoo import TimmZoo
from mmauto_image.vit import VisionTransformer


@hookimpl
def mmauto_encoders() -> Sequence[Encoder]:
    """The encoders of this package."""
    return [
        EfficientNetLite0(),
        SmallCnn(),
        FlatCnn(),
        ResNet18(),
        ResNet50(),
        Vgg11(),
        Vgg16(),
        VisionTransformer(),
        ConvVae(),
        Detector(),
        TimmZoo(),
    ]
