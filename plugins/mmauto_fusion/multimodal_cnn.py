"""Early fusion: modalities as channels of a 1-D convolution."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from mmauto.plugin import (
    Choice,
    FeatureSpec,
    Fusion,
    FusionResult,
    HeadFactory,
    Params,
    Space,
    TaskView,
    Tokens,
)
from mmauto_fusion.blocks import MLP_SPACE

if TYPE_CHECKING:
    from torch import Tensor, nn


class MultimodalCnn(Fusion):
    """Each modality's projected mean is one channel of width ``width``; convolutions run along it.

    Neighbouring features of all modalities are mixed by kernels of 3, then pooled.
    """

    name = "multimodal_cnn"
    stage = "early"
    summary = "modalities as channels of a 1-D convolution"
    reference = "Ma et al. 2015, Multimodal Convolutional Neural Networks (m-CNN), ICCV"
    default = False
    gives = frozenset({"fused"})

    def space(self, task: TaskView) -> Space:
        """Width and dropout, and the number of filters."""
        return {
            "width": MLP_SPACE["width"], "dropout": MLP_SPACE["dropout"],
            "filters": Choice((8, 16, 32), 16),
        }  # fmt: skip

    def build(
        self, features: Mapping[str, FeatureSpec], heads: HeadFactory, params: Params
    ) -> nn.Module:
        """``{key: (B, T, D)} -> (B, M, width) -> fused (B, filters * width / 4) -> outputs``."""
        import torch
        from torch import nn

        keys, width, filters = sorted(features), int(params["width"]), int(params["filters"])
        dim = filters * (width // 4)

        class Model(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.project = nn.ModuleList(nn.Linear(features[key].dim, width) for key in keys)
                self.mix = nn.Sequential(
                    nn.Conv1d(len(keys), filters, 3, padding=1), nn.GELU(), nn.AvgPool1d(2),
                    nn.Conv1d(filters, filters, 3, padding=1), nn.GELU(), nn.AvgPool1d(2),
                    nn.Flatten(), nn.Dropout(float(params["dropout"])),
                )  # fmt: skip
                self.heads = heads(dim)

            def forward(
                self, tokens: dict[str, Tokens], present: dict[str, Tensor]
            ) -> FusionResult:
                channels = [p(tokens[k].mean()) for k, p in zip(keys, self.project, strict=True)]
                fused = self.mix(torch.stack(channels, dim=1))
                return FusionResult(self.heads(fused), fused=fused)

        return Model()
