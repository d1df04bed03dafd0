"""Vision models cut between their layers, and a small one with random weights."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from mmauto.plugin import DataError

if TYPE_CHECKING:
    from torch import Tensor, nn

TINY: Mapping[str, Any] = {
    "hidden_size": 64, "num_hidden_layers": 4, "num_attention_heads": 2, "intermediate_size": 128,
    "image_size": 64, "patch_size": 16,
}  # fmt: skip
BEFORE, AFTER = ("pre_layrnorm",), ("layernorm",)
"""What stands between embeddings and layers (spelled so in CLIP), and behind the layers."""

KNOWN = {"embeddings", "encoder", "layers", "pooler", "post_layernorm", *BEFORE, *AFTER}


def random_model() -> Any:
    """A small ViT whose random weights are the same each time."""
    import torch
    from transformers import ViTConfig, ViTModel

    configs: Any = ViTConfig
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        models: Any = ViTModel
        return models(configs(**TINY), add_pooling_layer=False)


def lower_part(model: Any, last: int) -> Any:
    """The same model without its last layers and what stands behind them.

    Raises:
        DataError: its layers are not recognised.
    """
    holder, name = _layers(model)
    layers = getattr(holder, name)
    setattr(holder, name, layers[: max(len(layers) - last, 0)])
    return _without(model, AFTER)


def upper_part(model: Any, last: int) -> Any:
    """The last layers: what it is given as ``pixel_values`` goes straight into them.

    Raises:
        DataError: its layers are not recognised.
    """
    holder, name = _layers(model)
    layers = getattr(holder, name)
    setattr(holder, name, layers[max(len(layers) - last, 0) :])
    model.embeddings = _passes_on()
    return _without(model, BEFORE)


def _without(model: Any, names: tuple[str, ...]) -> Any:
    from torch import nn

    for name in names:
        if hasattr(model, name):
            setattr(model, name, nn.Identity())
    return model


def _layers(model: Any) -> tuple[Any, str]:
    """The module that holds the layers, and under which name."""
    parts = dict(model.named_children())
    holder = parts.get("encoder", model)
    name = next((n for n in ("layers", "layer") if hasattr(holder, n)), "")
    # a hierarchy (Swin and its like) changes the number and width of tokens between its stages
    staged = hasattr(model.config, "depths")
    if not name or staged or "embeddings" not in parts or not set(parts) <= KNOWN:
        raise DataError(
            "tune = last_layers or lora cuts a model between its layers, in a "
            f"{type(model).__name__} they are not recognised; use tune = frozen or full, or a "
            "model like ViT or DINOv2"
        )
    return holder, name


def _passes_on() -> nn.Module:
    import torch
    from torch import nn

    class PassesOn(nn.Module):
        """Stands for the embeddings: gives back the hidden states ``(B, T, D)``."""

        # ViTModel asks its embeddings for the type of their weights
        patch_embeddings = SimpleNamespace(
            projection=SimpleNamespace(weight=SimpleNamespace(dtype=torch.float32))
        )

        def forward(self, hidden: Tensor, *args: Any, **kwargs: Any) -> Tensor:
            return hidden

    return PassesOn()
