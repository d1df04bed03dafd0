"""Hugging Face models: found, loaded, and cut into a frozen lower and an upper part."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmauto.plugin import DataError

if TYPE_CHECKING:
    from torch import Tensor, nn

FILES = (
    "config.json", "preprocessor_config.json", "tokenizer*", "vocab*", "merges.txt",
    "special_tokens_map.json",
)  # fmt: skip
WEIGHTS = "model*.safetensors"
TINY: Mapping[str, Any] = {
    "hidden_size": 128,
    "num_hidden_layers": 4,
    "num_attention_heads": 2,
    "intermediate_size": 512,
}
CUTTABLE = {"embeddings", "encoder", "transformer", "pooler"}
"""What a model may consist of: anything else might run before, between or after the layers."""


def find_folder(name: str) -> Path:
    """Where the model is: a local folder, or what the hub's cache or the hub itself gives.

    Raises:
        DataError: it is nowhere, or its weights are no safetensors.
    """
    folder = Path(name).expanduser()
    if not folder.is_dir():
        folder = _download(name)
    if not list(folder.glob(WEIGHTS)):
        raise DataError(
            f"a model's weights are read from model.safetensors alone, {folder} holds none; "
            "convert them (transformers: model.save_pretrained) or give another model"
        )
    return folder


def _download(name: str) -> Path:
    import huggingface_hub

    error: Exception | None = None
    for offline in (True, False):
        try:
            return Path(
                huggingface_hub.snapshot_download(
                    name, allow_patterns=[*FILES, WEIGHTS], local_files_only=offline
                )
            )
        except Exception as failure:  # of the network, of the hub, or of the name
            error = failure
    raise DataError(
        f"the parameter `model` is a local folder or a name on the Hugging Face hub, "
        f"{name!r} is no folder here and could not be downloaded ({_first_line(error)}); where "
        f"there is a network, run: hf download {name} --local-dir FOLDER, and give that folder "
        "(config.json, the tokenizer's files, model.safetensors) as `model`"
    ) from error


def fingerprint(folder: Path) -> str:
    """A digest of the weights and the configuration: other weights are another state."""
    files = [folder / "config.json", *sorted(folder.glob(WEIGHTS))]
    return "-".join(_digest(file, file.stat().st_mtime_ns)[:16] for file in files)


@cache
def _digest(file: Path, changed: int) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def read_config(folder: Path) -> Any:
    """The model's configuration.

    Raises:
        DataError: transformers cannot read it.
    """
    from transformers import AutoConfig

    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except Exception as error:
        raise DataError(
            f"a model needs a config.json that transformers knows, that of {folder} cannot "
            f"be read ({_first_line(error)}); code of a model's own is never run, give another one"
        ) from error
    return config


def random_model(pieces: int, positions: int) -> Any:
    """A small BERT whose random weights are the same each time."""
    import torch
    from transformers import BertConfig, BertModel

    configs: Any = BertConfig
    config = configs(vocab_size=pieces, max_position_embeddings=positions, **TINY)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        return BertModel(config)


def load_model(folder: Path, pooler: bool) -> Any:
    """The model with the weights of ``folder``, in single precision.

    Raises:
        DataError: weights are missing (those of a pooler, where it is wanted), or do not fit.
    """
    import torch
    from transformers import AutoModel

    models: Any = AutoModel
    try:
        with _quiet():
            model, info = models.from_pretrained(
                folder,
                local_files_only=True,
                use_safetensors=True,
                trust_remote_code=False,
                dtype=torch.float32,
                output_loading_info=True,
            )
    except Exception as error:
        raise DataError(
            f"a model is read by transformers, {folder} cannot be ({_first_line(error)}); "
            "give another model"
        ) from error
    missing = sorted(k for k in info["missing_keys"] if pooler or not k.startswith("pooler."))
    if missing:
        raise DataError(
            f"a model needs all its weights, {folder} lacks {len(missing)}, e.g. "
            f"{missing[0]}; give another model"
            + (" or another `pool` than pooled" if missing[0].startswith("pooler.") else "")
        )
    return model


@contextmanager
def _quiet() -> Iterator[None]:
    """No progress bar and no report of weights left out: both would break the search's display."""
    from transformers.utils import logging as untyped

    logging: Any = untyped
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def lower_part(model: Any, last: int) -> Any:
    """The same model without its last layers and without its pooler; see `_layers`."""
    holder = _layers(model)
    holder.layer = holder.layer[: max(len(holder.layer) - last, 0)]
    return without_pooler(model)


def upper_part(model: Any, last: int) -> Any:
    """The last layers alone: what it is given as ``inputs_embeds`` goes straight into them."""
    holder = _layers(model)
    holder.layer = holder.layer[max(len(holder.layer) - last, 0) :]
    model.embeddings = _passes_on()
    return model


def without_pooler(model: Any) -> Any:
    """The same model; its pooler, where it has one, does nothing."""
    from torch import nn

    if getattr(model, "pooler", None) is not None:
        model.pooler = nn.Identity()
    return model


def _layers(model: Any) -> Any:
    """The module that runs the layers, one after the other, and nothing else.

    Raises:
        DataError: the architecture has no such module.
    """
    parts: Mapping[str, Any] = dict(model.named_children())
    holder = parts.get("encoder") or parts.get("transformer")
    own = set() if holder is None else {name for name, _ in holder.named_children()}
    # MPNet's bias is computed from places alone, so both parts may compute it
    plain = "layer" in own and own <= {"layer", "relative_attention_bias"}
    if not plain or "embeddings" not in parts or not set(parts) <= CUTTABLE:
        raise DataError(
            "tune = last_layers or lora cuts a model between its layers, in a "
            f"{type(model).__name__} they are not recognised; use tune = frozen or full, or a "
            "model like BERT, RoBERTa or DistilBERT"
        )
    return holder


def _passes_on() -> nn.Module:
    from torch import nn

    class PassesOn(nn.Module):
        """Stands for the embeddings: gives back the one argument ``(B, T, D)``."""

        def forward(self, *args: Any, **kwargs: Any) -> Tensor:
            given = (*args, *kwargs.values())
            hidden: Tensor = next(part for part in given if getattr(part, "ndim", 0) == 3)
            return hidden

    return PassesOn()


def _first_line(error: Exception | None) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
