"""The classic convolutional networks of torchvision: ResNet-18 and -50, VGG-11 and -16."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections import OrderedDict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from mmauto.plugin import (
    Choice,
    Column,
    DataError,
    Encoder,
    FeatureSpec,
    Params,
    Space,
    State,
    TaskView,
    Tokens,
)
from mmauto_image.grid import GRID, grid_features, grid_tokens
from mmauto_image.pixels import IMAGENET, pixels, scaling
from mmauto_image.weights import checked, complaint, fill, fixed_draws, named_file, sha256

if TYPE_CHECKING:
    from torch import Tensor, nn

SOURCES = ("file", "scratch", "random")
ENDS = ("avgpool", "fc", "classifier")


class Classic(Encoder):
    """A network without its classifier, the last map pooled to one or four tokens.

    ``$MMAUTO_<NAME>_WEIGHTS`` names a file with torchvision's state dict; with it the encoder is
    frozen, without it trained from scratch.

    Attributes:
        dim: channels of the last map.
        sizes: pixels a side to search, the default first.
    """

    modality = "image"
    default = False
    dim: ClassVar[int]
    sizes: ClassVar[tuple[int, ...]]

    @abstractmethod
    def network(self) -> nn.Module:
        """torchvision's module with freshly drawn weights; its classifier may be left out."""

    @property
    def variable(self) -> str:
        """The environment variable that names the weights file."""
        return f"MMAUTO_{self.name.upper()}_WEIGHTS"

    def space(self, task: TaskView) -> Space:
        """Where the weights come from, pixels a side, and tokens a side.

        A study file may also name ``weights = "random"``: a frozen network that was never trained,
        its weights drawn from a fixed seed.
        """
        options = ("file", "scratch") if self.variable in os.environ else ("scratch",)
        return {"weights": Choice(options, open=True), "size": Choice(self.sizes), "grid": GRID}

    def missing(self) -> str | None:
        """What is wrong with the variable, where it is set and names no file."""
        return complaint(self.variable)

    def frozen(self, params: Params) -> bool:
        """With weights from a file, and with random ones."""
        return params["weights"] in ("file", "random")

    def tunable(self, params: Params) -> bool:
        """Wherever it is frozen."""
        return self.frozen(params)

    def fit(self, train: Column, params: Params) -> State:
        """The SHA-256 of the weights file, so that other weights are another state.

        Raises:
            DataError: the weights are of no known source, or the file is not there.
        """
        source = params["weights"]
        if source not in SOURCES:
            raise DataError(
                f"the weights of the encoder {self.name} are one of {', '.join(SOURCES)}, the "
                f"study names {source!r}; name one of them, with 'file' set {self.variable}"
            )
        file = source == "file"
        return {"weights": sha256(named_file(self.variable, self.name)) if file else ""}

    def prepare(self, column: Column, state: State, params: Params) -> Mapping[str, Tensor]:
        """``pixels`` (N, 3, size, size) uint8."""
        return {"pixels": pixels(column, _size(params))}

    def features(self, state: State, params: Params) -> FeatureSpec:
        """1 or 4 tokens of ``dim``."""
        return grid_features(params, self.dim)

    def build(self, state: State, params: Params) -> nn.Module:
        """``pixels`` (B, 3, size, size) -> tokens (B, grid x grid, dim).

        Raises:
            DataError: the weights file is gone, is another one, or holds another network.
        """
        from torch import nn

        with fixed_draws(params["weights"] == "random"):
            network: Any = self.network()
        for end in ENDS:
            setattr(network, end, nn.Identity())
        if state["weights"]:
            file = named_file(self.variable, self.name)
            checked(file, str(state["weights"]), self.name, self.variable)
            what = f"torchvision's state dict of {self.name}"
            fill(network, file, what, self.variable, tuple(f"{end}." for end in ENDS))

        class Model(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                body = [part for name, part in network.named_children() if name not in ENDS]
                self.network = nn.Sequential(*body)
                self.scale = scaling(*IMAGENET)

            def forward(self, pixels: Tensor) -> Tokens:
                return grid_tokens(self.network(self.scale(pixels)), params)

        model = Model()
        return model.eval().requires_grad_(False) if self.frozen(params) else model


class ResNet18(Classic):
    """Residual blocks of two convolutions, 18 layers."""

    name = "resnet18"
    summary = "ResNet-18: frozen with the file $MMAUTO_RESNET18_WEIGHTS, else trained from scratch"
    reference = "He et al. 2016, Deep Residual Learning, CVPR; torchvision"
    dim = 512
    sizes = (128, 224)

    def network(self) -> nn.Module:
        """torchvision's own."""
        from torchvision.models import resnet18

        network: nn.Module = resnet18()
        return network


class ResNet50(Classic):
    """Residual blocks of three convolutions, 50 layers."""

    name = "resnet50"
    summary = "ResNet-50: frozen with the file $MMAUTO_RESNET50_WEIGHTS, else trained from scratch"
    reference = "He et al. 2016, Deep Residual Learning, CVPR; torchvision"
    dim = 2048
    sizes = (128, 224)

    def network(self) -> nn.Module:
        """torchvision's own."""
        from torchvision.models import resnet50

        network: nn.Module = resnet50()
        return network


class Vgg11(Classic):
    """Eight convolutions of 3 x 3 with pooling between; the three dense layers are left out."""

    name = "vgg11"
    summary = "VGG-11: frozen with the file $MMAUTO_VGG11_WEIGHTS, else trained from scratch"
    reference = "Simonyan and Zisserman 2015, Very Deep Convolutional Networks, ICLR; torchvision"
    dim = 512
    sizes = (64, 128, 224)

    def network(self) -> nn.Module:
        """torchvision's configuration A."""
        return _vgg("A")


class Vgg16(Classic):
    """Thirteen convolutions of 3 x 3 with pooling between; the dense layers are left out."""

    name = "vgg16"
    summary = "VGG-16: frozen with the file $MMAUTO_VGG16_WEIGHTS, else trained from scratch"
    reference = "Simonyan and Zisserman 2015, Very Deep Convolutional Networks, ICLR; torchvision"
    dim = 512
    sizes = (64, 128, 224)

    def network(self) -> nn.Module:
        """torchvision's configuration D."""
        return _vgg("D")


def _vgg(configuration: str) -> nn.Module:
    from torch import nn
    from torchvision.models import vgg

    # torchvision's vgg16() also draws the 120 million weights of its classifier, a second each time
    layers = vgg.make_layers(vgg.cfgs[configuration])
    for layer in layers:
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)
    return nn.Sequential(OrderedDict(features=layers))


def _size(params: Params) -> int:
    """Pixels a side; models stored before it could be chosen read 128."""
    return int(params.get("size", 128))
