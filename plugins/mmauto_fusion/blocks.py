"""What several fusions are built from: the same MLP, and the same space for it.

One space for all keeps the comparison fair: no strategy may search wider layers than another.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mmauto.plugin import Choice, DataError, Float, Int, Params, Space

if TYPE_CHECKING:
    from torch import Tensor, nn

MLP_SPACE: Space = {
    "width": Choice((64, 128, 256, 512), 128),
    "depth": Int(1, 3, 1),
    "dropout": Float(0.0, 0.5, 0.1, packs=True),
}


def mlp(dim: int, params: Params, least: int = 1) -> nn.Sequential:
    """``depth`` times linear, GELU, dropout: ``(B, dim) -> (B, width)``; see `after`.

    Raises:
        DataError: the depth is below ``least``.
    """
    from torch import nn

    if int(params["depth"]) < least:
        raise DataError(
            f"this fusion's depth is at least {least}, the study's space gives "
            f"fusion/depth = {params['depth']}; raise it"
        )
    width, layers = int(params["width"]), []
    for layer in range(int(params["depth"])):
        layers += [
            nn.Linear(width if layer else dim, width),
            nn.GELU(),
            nn.Dropout(float(params["dropout"])),
        ]
    return nn.Sequential(*layers)


def after(dim: int, params: Params) -> int:
    """The width behind `mlp`: a study file may ask for depth 0, which leaves ``dim``."""
    return int(params["width"]) if int(params["depth"]) else dim


def owned(keys: Sequence[str], *parts: nn.ModuleList) -> dict[str, list[nn.Parameter]]:
    """Parameters that serve one modality alone, where each list holds a module a modality."""
    return {
        key: [parameter for part in parts for parameter in part[place].parameters()]
        for place, key in enumerate(keys)
    }


def shares(present: dict[str, Tensor], like: Tensor) -> dict[str, Tensor]:
    """Equal shares of the modalities that are there, ``{key: (B,)}``; zero for an absent one.

    They sum to one in each row, or to zero in a row where everything is absent.
    """
    import torch

    votes = {key: flag.to(like.dtype) for key, flag in present.items()}
    total = torch.stack(list(votes.values())).sum(0).clamp(min=1.0)  # (B,)
    return {key: vote / total for key, vote in votes.items()}
