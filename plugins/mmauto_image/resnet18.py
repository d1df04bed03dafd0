"""ResNet-18: frozen with a weights file of the user's own, or trained from scratch."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

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
from mmauto_image.grid import GRID, SIZE, grid_features, grid_tokens
from mmauto_image.pixels import pixels

if TYPE_CHECKING:
    from torch import Tensor, nn

VARIABLE = "MMAUTO_RESNET18_WEIGHTS"
DIM = 512


class ResNet18(Encoder):
    """torchvision's ResNet-18 without its classifier, the last map pooled to one or four tokens.

    ``$MMAUTO_RESNET18_WEIGHTS`` names a file with torchvision's state dict; with it the encoder is
    frozen, without it trained from scratch.
    """

    name = "resnet18"
    modality = "image"
    summary = f"ResNet-18: frozen with the file ${VARIABLE}, else trained from scratch"
    reference = "He et al. 2016, Deep Residual Learning, CVPR; torchvision"
    default = False

    def space(self, task: TaskView) -> Space:
        """Where the weights come from, and tokens a side."""
        options = ("file", "scratch") if VARIABLE in os.environ else ("scratch",)
        return {"weights": Choice(options), "grid": GRID}

    def missing(self) -> str | None:
        """What is wrong with the variable, where it is set and names no file."""
        given = os.environ.get(VARIABLE)
        if given is None or Path(given).is_file():
            return None
        return f"{VARIABLE} must name a file, there is none at {given!r}; correct it or unset it"

    def frozen(self, params: Params) -> bool:
        """With weights from a file."""
        return params["weights"] == "file"

    def fit(self, train: Column, params: Params) -> State:
        """The SHA-256 of the weights file, so that other weights are another state."""
        return {"weights": _digest(_file()) if self.frozen(params) else ""}

    def prepare(self, column: Column, state: State, params: Params) -> Mapping[str, Tensor]:
        """``pixels`` (N, 3, 128, 128) uint8."""
        return {"pixels": pixels(column, SIZE)}

    def features(self, state: State, params: Params) -> FeatureSpec:
        """1 or 4 tokens of 512."""
        return grid_features(params, DIM)

    def build(self, state: State, params: Params) -> nn.Module:
        """``pixels`` (B, 3, 128, 128) -> tokens (B, grid x grid, 512).

        Raises:
            DataError: the weights file is gone, is another one, or holds no ResNet-18.
        """
        import torch
        from torch import nn
        from torchvision.models import resnet18

        class Model(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                network = resnet18()
                if state["weights"]:
                    _load(network, str(state["weights"]))
                self.network = nn.Sequential(*list(network.children())[:-2])
                self.mean: Tensor
                self.deviation: Tensor
                for name, values in (
                    ("mean", [0.485, 0.456, 0.406]),
                    ("deviation", [0.229, 0.224, 0.225]),
                ):
                    value = torch.tensor(values).view(1, 3, 1, 1)
                    self.register_buffer(name, value, persistent=False)

            def forward(self, pixels: Tensor) -> Tokens:
                return grid_tokens(
                    self.network((pixels.float() / 255 - self.mean) / self.deviation), params
                )

        model = Model()
        return model.eval().requires_grad_(False) if self.frozen(params) else model


def _file() -> Path:
    given = os.environ.get(VARIABLE, "")
    if not Path(given).is_file():
        raise DataError(
            f"the encoder resnet18 with weights = 'file' reads the file that {VARIABLE} names, "
            f"there is none at {given!r}; set the variable to a torchvision state dict"
        )
    return Path(given)


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _load(network: nn.Module, digest: str) -> None:
    import torch

    file = _file()
    if _digest(file) != digest:
        raise DataError(
            f"the encoder resnet18 must get the weights that it was fitted with (SHA-256 "
            f"{digest[:12]}), {VARIABLE} names {file} with {_digest(file)[:12]}; name the first one"
        )
    try:
        network.load_state_dict(torch.load(file, weights_only=True, map_location="cpu"))
    except Exception as error:
        raise DataError(
            f"a weights file must hold torchvision's state dict of resnet18, {file} (from "
            f"{VARIABLE}) does not: {str(error).splitlines()[0]}; save one with "
            "torch.save(model.state_dict(), path)"
        ) from error
