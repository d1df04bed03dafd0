"""Any Hugging Face vision model: frozen, its last layers trained, LoRA, or trained as a whole."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmauto.plugin import (
    Choice,
    Column,
    DataError,
    Encoder,
    FeatureSpec,
    Int,
    Params,
    Space,
    State,
    TaskView,
    Tokens,
)
from mmauto_hf.lora import check_lora, with_lora
from mmauto_hf.model import find_folder, fingerprint, load_model, read_config
from mmauto_hf.vision import TINY, lower_part, random_model, upper_part

if TYPE_CHECKING:
    from torch import Tensor, nn

RANDOM = "random"
PARTLY = ("last_layers", "lora")
SIDE = 224
HALF = (0.5, 0.5, 0.5)


class HfImage(Encoder):
    """One token: the mean of a vision model's last hidden states, or the first of them.

    Where only the last layers train (or LoRA on them), what stands below them runs once a sample.
    ``random`` is a small ViT without pretraining: what a pretrained one must beat.
    """

    name = "hf_image"
    modality = "image"
    default = False
    summary = "ViT, DINOv2 or another Hugging Face vision model, frozen or fine-tuned"
    reference = "Dosovitskiy et al. 2021, ViT, ICLR; Hu et al. 2022, LoRA, ICLR; transformers, peft"

    def space(self, task: TaskView) -> Space:
        """The model (a folder or a hub name), what trains, the token; then sizes.

        ``last`` layers train, or get LoRA matrices of ``rank``.
        """
        return {
            "model": Choice((RANDOM,), open=True),
            "tune": Choice(("frozen", "last_layers", "lora", "full")),
            "pool": Choice(("mean", "first")),
            "last": Int(1, 3, 3),
            "rank": Choice((4, 8, 16), 8),
        }

    def frozen(self, params: Params) -> bool:
        """Where nothing is tuned."""
        return params["tune"] == "frozen"

    def tunable(self, params: Params) -> bool:
        """Wherever it is frozen."""
        return self.frozen(params)

    def fit(self, train: Column, params: Params) -> State:
        """``weights`` (a digest), ``dim``, ``size``, and the colours' ``mean`` and ``deviation``.

        Raises:
            DataError: the model is nowhere or cannot be read, or LoRA is not installed.
        """
        check_lora(params, self.name)
        if params["model"] == RANDOM:
            return {
                "weights": RANDOM, "dim": TINY["hidden_size"], "size": TINY["image_size"],
                "mean": list(HALF), "deviation": list(HALF),
            }  # fmt: skip
        folder = find_folder(str(params["model"]))
        config = read_config(folder)
        return {
            "weights": fingerprint(folder),
            "dim": _dim(config, folder),
            **_seen(folder, config),
        }

    def prepare(self, column: Column, state: State, params: Params) -> Mapping[str, Tensor]:
        """``pixels`` (N, 3, size, size) uint8, zeros where missing."""
        import numpy as np
        import torch
        from PIL import Image

        size = int(state["size"])
        values = np.zeros((len(column), 3, size, size), dtype=np.uint8)
        for row, sample in enumerate(column):
            if sample is not None:
                small = sample.convert("RGB").resize((size, size), Image.Resampling.BICUBIC)
                values[row] = np.asarray(small).transpose(2, 0, 1)
        return {"pixels": torch.from_numpy(values)}

    def features(self, state: State, params: Params) -> FeatureSpec:
        """One token."""
        return FeatureSpec(1, int(state["dim"]))

    def stem(self, state: State, params: Params) -> nn.Module | None:
        """``pixels`` (B, 3, S, S) -> ``hidden`` (B, T, D) below the layers that train."""
        from torch import nn

        if params["tune"] not in PARTLY:
            return None
        network = lower_part(_network(state, params), int(params["last"]))

        class Stem(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.network = network

            def forward(self, pixels: Tensor) -> dict[str, Tensor]:
                given = _scaled(pixels, state)
                return {"hidden": self.network(pixel_values=given).last_hidden_state}

        return Stem().eval().requires_grad_(False)

    def build(self, state: State, params: Params) -> nn.Module:
        """``pixels`` (B, 3, S, S) or ``hidden`` (B, T, D) -> tokens (B, 1, D)."""
        import torch
        from torch import nn

        tune, first = str(params["tune"]), params["pool"] == "first"
        network = _network(state, params)
        if tune in PARTLY:
            network = upper_part(network, int(params["last"]))
        if tune == "lora":
            network = with_lora(network, int(params["rank"]))
        if tune == "frozen":
            network.requires_grad_(False)

        class Model(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.network = network

            def forward(self, pixels: Tensor | None = None, hidden: Tensor | None = None) -> Tokens:
                given = hidden if pixels is None else _scaled(pixels, state)
                out = self.network(pixel_values=given).last_hidden_state
                if out.ndim == 4:  # convolutional models give maps (B, D, H, W)
                    out = out.flatten(2).transpose(1, 2)
                values = out[:, :1] if first else out.mean(1, keepdim=True)
                here = torch.ones(values.shape[:2], dtype=torch.bool, device=values.device)
                return Tokens(values, here)

        return Model().eval()


def _scaled(pixels: Tensor, state: State) -> Tensor:
    """(B, 3, S, S) uint8 -> floats, less the mean over the deviation of each colour."""
    import torch

    mean, deviation = (
        torch.tensor([float(x) for x in state[name]], device=pixels.device).view(1, 3, 1, 1)
        for name in ("mean", "deviation")
    )
    return (pixels.float() / 255 - mean) / deviation


def _dim(config: Any, folder: Path) -> int:
    sizes = getattr(config, "hidden_sizes", None)
    found = sizes[-1] if sizes else getattr(config, "hidden_size", None)
    if found is None or (hasattr(config, "vocab_size") and not hasattr(config, "image_size")):
        raise DataError(
            f"hf_image reads models of one image (ViT, DINOv2 and their like), {folder} is a "
            f"{config.model_type}; give another model"
        )
    return int(found)


def _seen(folder: Path, config: Any) -> dict[str, Any]:
    """How the model wants its pictures: its processor's numbers, else the configuration's."""
    file = folder / "preprocessor_config.json"
    about = json.loads(file.read_text()) if file.is_file() else {}
    size = about.get("crop_size") or about.get("size") or getattr(config, "image_size", SIDE)
    if isinstance(size, Mapping):
        size = size.get("height", size.get("shortest_edge", SIDE))
    mean, deviation = about.get("image_mean", HALF), about.get("image_std", HALF)
    return {"size": int(size or SIDE), "mean": list(mean), "deviation": list(deviation)}


def _network(state: State, params: Params) -> Any:
    """The whole model, in the same weights as when the state was learned.

    Raises:
        DataError: they are others.
    """
    if params["model"] == RANDOM:
        return random_model()
    folder = find_folder(str(params["model"]))
    if fingerprint(folder) != state["weights"]:
        raise DataError(
            f"a vision model must stay as it was when the study read it, the files in {folder} "
            "have changed; put the former ones back or search again"
        )
    network = load_model(folder, pooler=False)
    network.pooler = None  # its weights would take no part
    return network
