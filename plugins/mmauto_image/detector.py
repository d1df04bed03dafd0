"""Features of regions: a detection backbone, cut out and pooled a region."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mmauto.plugin import (
    Choice,
    Column,
    Encoder,
    FeatureSpec,
    Params,
    Space,
    State,
    TaskView,
    Tokens,
)
from mmauto_image.pixels import IMAGENET, pixels, scaling
from mmauto_image.weights import checked, complaint, fill, fixed_draws, named_file, sha256

if TYPE_CHECKING:
    from torch import Tensor, nn

VARIABLE = "MMAUTO_DETECTOR_WEIGHTS"
SIZE = 128
DIM = 1024
BINS = 7
"""A side of what the box head reads."""


class Detector(Encoder):
    """One token a region of a fixed grid: what Faster R-CNN's box head makes of it.

    Regions of a regular grid serve as well as proposed ones (Jiang et al. 2020) and need no
    suppression of overlaps. ``$MMAUTO_DETECTOR_WEIGHTS`` names torchvision's state dict of
    ``fasterrcnn_mobilenet_v3_large_320_fpn``; without it the weights are random. Always frozen.
    """

    name = "detector"
    modality = "image"
    summary = "region features of a detector (Faster R-CNN, MobileNetV3): one token a region"
    reference = "Ren et al. 2015, Faster R-CNN; Jiang et al. 2020, Grid Features, CVPR; torchvision"
    default = False

    def space(self, task: TaskView) -> Space:
        """Where the weights come from, and regions a side (their square is the number)."""
        options = ("file", "random") if VARIABLE in os.environ else ("random",)
        return {"weights": Choice(options), "side": Choice((2, 3))}

    def missing(self) -> str | None:
        """What is wrong with the variable, where it is set and names no file."""
        return complaint(VARIABLE)

    def frozen(self, params: Params) -> bool:
        """Always."""
        return True

    def tunable(self, params: Params) -> bool:
        """Always."""
        return True

    def fit(self, train: Column, params: Params) -> State:
        """The SHA-256 of the weights file, so that other weights are another state."""
        given = params["weights"] == "file"
        return {"weights": sha256(named_file(VARIABLE, self.name)) if given else ""}

    def prepare(self, column: Column, state: State, params: Params) -> Mapping[str, Tensor]:
        """``pixels`` (N, 3, 128, 128) uint8."""
        return {"pixels": pixels(column, SIZE)}

    def features(self, state: State, params: Params) -> FeatureSpec:
        """side x side tokens of 1,024."""
        return FeatureSpec(int(params["side"]) ** 2, DIM)

    def build(self, state: State, params: Params) -> nn.Module:
        """``pixels`` (B, 3, 128, 128) -> tokens (B, side x side, 1024).

        Raises:
            DataError: the weights file is gone, is another one, or holds another network.
        """
        import torch
        from torch import nn

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # torchvision scripts a function
            from torchvision.models.detection import fasterrcnn_mobilenet_v3_large_320_fpn

        with fixed_draws(not state["weights"]):
            network: Any = fasterrcnn_mobilenet_v3_large_320_fpn(
                weights=None, weights_backbone=None
            )
            if not state["weights"]:
                calibrate(network.backbone)
        if state["weights"]:
            file = named_file(VARIABLE, self.name)
            checked(file, str(state["weights"]), self.name, VARIABLE)
            fill(network, file, "torchvision's fasterrcnn_mobilenet_v3_large_320_fpn", VARIABLE)
        side = int(params["side"])

        class Model(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.body, self.head = network.backbone, network.roi_heads.box_head
                self.scale = scaling(*IMAGENET)

            def forward(self, pixels: Tensor) -> Tokens:
                finest = next(iter(self.body(self.scale(pixels)).values()))  # (B, 256, H, W)
                # RoIAlign of the cells of a grid, with a sample a bin, is one bilinear resizing
                bins = nn.functional.interpolate(
                    finest, (side * BINS, side * BINS), mode="bilinear", align_corners=False
                )
                cells = bins.unfold(2, BINS, BINS).unfold(3, BINS, BINS)  # (B, 256, s, s, 7, 7)
                regions = cells.permute(0, 2, 3, 1, 4, 5).flatten(1, 2)
                values = self.head(regions.flatten(0, 1)).view(len(pixels), side**2, DIM)
                here = torch.ones(values.shape[:2], dtype=torch.bool, device=values.device)
                return Tokens(values, here)

        return Model().eval().requires_grad_(False)


def calibrate(body: Any) -> None:
    """Set a random network's normalisation by fixed noise, without which its signal dies out."""
    import torch
    from torch import nn

    def measure(layer: Any, given: tuple[Tensor]) -> None:
        layer.running_mean.copy_(given[0].mean((0, 2, 3)))
        layer.running_var.copy_(given[0].var((0, 2, 3)) + 1e-5)

    layers = [part for part in body.modules() if isinstance(part, nn.BatchNorm2d)]
    hooks = [layer.register_forward_pre_hook(measure) for layer in layers]
    body.eval()
    with torch.no_grad():
        body(torch.randn(8, 3, SIZE, SIZE))
    for hook in hooks:
        hook.remove()
