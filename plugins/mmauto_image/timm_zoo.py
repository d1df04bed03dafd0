"""Any network of the library timm, by its name there."""

from __future__ import annotations

import difflib
import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
from mmauto_image.pixels import pixels, scaling
from mmauto_image.weights import checked, fill, fixed_draws, sha256

if TYPE_CHECKING:
    from torch import Tensor, nn

SOURCES = ("scratch", "random", "pretrained")


class TimmZoo(Encoder):
    """One token: the pooled features of a network of timm, without its classifier.

    ``weights`` is ``scratch`` (random ones, always trained), ``random`` (those of a fixed seed),
    ``pretrained`` (timm's own, from its cache or the hub) or a file; the last three are frozen
    unless ``tune`` is ``full``.
    """

    name = "timm"
    modality = "image"
    summary = "any network of timm by its name: frozen, fine-tuned or from scratch"
    reference = "Wightman 2019, PyTorch Image Models (timm)"
    default = False

    def space(self, task: TaskView) -> Space:
        """The network's name, where its weights come from, what trains, pixels a side."""
        return {
            "model": Choice(("resnet10t", "mobilenetv3_small_050"), open=True),
            "weights": Choice(("scratch",), open=True),
            "tune": Choice(("frozen", "full")),
            "size": Choice((64,)),
        }

    def missing(self) -> str | None:
        """How to install timm, where it is not there."""
        if importlib.util.find_spec("timm"):
            return None
        return 'the library timm is not installed; run: pip install "mmauto[pretrained]"'

    def frozen(self, params: Params) -> bool:
        """Unless it starts from scratch or is fine-tuned."""
        return params["weights"] != "scratch" and params["tune"] == "frozen"

    def tunable(self, params: Params) -> bool:
        """Wherever it is frozen."""
        return self.frozen(params)

    def fit(self, train: Column, params: Params) -> State:
        """``dim``, ``size``, colours' ``mean`` and ``deviation``, and the weights' ``digest``.

        Raises:
            DataError: timm has no network of that name, or the file of weights is not there.
        """
        import torch

        name, size = str(params["model"]), int(params["size"])
        with torch.device("meta"):
            network, size = _network(name, size)
            out = network.eval()(torch.zeros(1, 3, size, size))
        about = _about(network)
        state = {
            "dim": int(out.shape[-1]), "size": size,
            "mean": list(about["mean"]), "deviation": list(about["std"]),
        }  # fmt: skip
        if params["weights"] not in SOURCES:
            state["digest"] = sha256(_file(str(params["weights"])))
        return state

    def prepare(self, column: Column, state: State, params: Params) -> Mapping[str, Tensor]:
        """``pixels`` (N, 3, size, size) uint8."""
        return {"pixels": pixels(column, int(state["size"]))}

    def features(self, state: State, params: Params) -> FeatureSpec:
        """One token of the network's pooled width."""
        return FeatureSpec(1, int(state["dim"]))

    def build(self, state: State, params: Params) -> nn.Module:
        """``pixels`` (B, 3, size, size) -> tokens (B, 1, dim).

        Raises:
            DataError: the weights cannot be had or are other ones than before.
        """
        import torch
        from torch import nn

        source, name = str(params["weights"]), str(params["model"])
        with fixed_draws(source == "random"):
            network, _ = _network(name, int(state["size"]), source == "pretrained")
        if source not in SOURCES:
            file = _file(source)
            checked(file, str(state["digest"]), self.name, "weights")
            what = f"the state dict of timm's {name}"
            fill(network, file, what, "weights", _classifier(network))

        class Model(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.network = network
                self.scale = scaling(state["mean"], state["deviation"])

            def forward(self, pixels: Tensor) -> Tokens:
                values: Tensor = self.network(self.scale(pixels))
                here = torch.ones(len(values), 1, dtype=torch.bool, device=values.device)
                return Tokens(values.unsqueeze(1), here)

        model = Model()
        return model.eval().requires_grad_(False) if self.frozen(params) else model


def _network(name: str, size: int, pretrained: bool = False) -> tuple[Any, int]:
    """The network without a classifier, and the pixels a side that it takes.

    Networks with fixed positions (transformers) keep the size that they were made for.
    """
    import timm

    if not timm.is_model(name):
        near = difflib.get_close_matches(name, timm.list_models(), 3)
        raise DataError(
            f"the parameter `model` of timm is a name of its list, {name!r} is none"
            + (f"; did you mean {' or '.join(near)}?" if near else "; see timm.list_models()")
        )
    try:
        network: Any = timm.create_model(name, pretrained=pretrained, num_classes=0)
    except Exception as error:
        if not pretrained:
            raise
        raise DataError(
            f"timm's weights of {name!r} are neither in its cache nor could they be downloaded "
            f"({(str(error) or type(error).__name__).splitlines()[0]}); where there is a network, "
            "save them with torch.save(model.state_dict(), FILE) and give FILE as `weights`"
        ) from error
    about = _about(network)
    fixed = network.pretrained_cfg.get("fixed_input_size")
    return network, int(about["input_size"][-1]) if fixed else size


def _about(network: Any) -> Any:
    """The size and the colours that the network was made for."""
    from timm import data

    library: Any = data
    return library.resolve_model_data_config(network)


def _file(name: str) -> Path:
    file = Path(name).expanduser()
    if not file.is_file():
        raise DataError(
            f"the parameter `weights` of timm is {', '.join(SOURCES)} or a file, {name!r} is none "
            "of these; correct it"
        )
    return file


def _classifier(network: Any) -> tuple[str, ...]:
    """Beginnings of the names of a classifier's tensors, which the network leaves out."""
    named = network.pretrained_cfg.get("classifier") or ()
    return tuple(f"{part}." for part in ([named] if isinstance(named, str) else named))
