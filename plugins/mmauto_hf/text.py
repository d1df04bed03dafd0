"""Any Hugging Face text model: frozen, its last layers trained, LoRA, or trained as a whole."""

from __future__ import annotations

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
from mmauto_hf.model import (
    TINY,
    find_folder,
    fingerprint,
    load_model,
    lower_part,
    random_model,
    read_config,
    upper_part,
    without_pooler,
)
from mmauto_hf.tokenizer import folder_tokenizer, limit, pieces_tokenizer, train_pieces

if TYPE_CHECKING:
    from torch import Tensor, nn

RANDOM = "random"
PARTLY = ("last_layers", "lora")


class HfText(Encoder):
    """The last hidden states of a text model, their mean, or what its pooler makes of the first.

    Where only the last layers train (or LoRA on them), what stands below them runs once a sample.
    ``random`` is a small BERT without pretraining: what a pretrained one must beat.
    """

    name = "hf_text"
    modality = "text"
    default = False
    summary = "BERT or another Hugging Face text model, frozen or fine-tuned"
    reference = "Devlin et al. 2019, BERT, NAACL; Hu et al. 2022, LoRA, ICLR; transformers, peft"

    def space(self, task: TaskView) -> Space:
        """The model (a folder or a hub name), what trains, the tokens; then sizes.

        ``last`` layers train (or get LoRA matrices of ``rank``); of a text, the first ``length``
        word pieces are read.
        """
        return {
            "model": Choice((RANDOM,), open=True),
            "tune": Choice(("frozen", "last_layers", "lora", "full")),
            "pool": Choice(("tokens", "pooled", "mean"), "mean"),
            "last": Int(1, 3, 3),
            "rank": Choice((4, 8, 16), 8),
            "length": Choice((128,)),
        }

    def frozen(self, params: Params) -> bool:
        """Where nothing is tuned."""
        return params["tune"] == "frozen"

    def tunable(self, params: Params) -> bool:
        """Wherever it is frozen."""
        return self.frozen(params)

    def fit(self, train: Column, params: Params) -> State:
        """``weights`` (a digest), ``dim``, ``length``; a random model's vocabulary, ``pieces``.

        Raises:
            DataError: the model is nowhere or cannot be read, or LoRA is not installed.
        """
        check_lora(params, self.name)
        texts = [text for text in train if text is not None] or [""]
        state: dict[str, Any] = {"length": int(params["length"])}
        if params["model"] == RANDOM:
            state |= {"weights": RANDOM, "dim": TINY["hidden_size"]}
            state["pieces"] = train_pieces(texts)
        else:
            folder = find_folder(str(params["model"]))
            config = read_config(folder)
            _refuse_other_kinds(config, folder)
            state |= {"weights": fingerprint(folder), "dim": int(config.hidden_size)}
            state["length"] = limit(folder_tokenizer(folder), config, state["length"])
        found = _tokenizer(state, params)(texts, truncation=True, max_length=state["length"])
        return {**state, "length": max(len(ids) for ids in found["input_ids"])}

    def prepare(self, column: Column, state: State, params: Params) -> Mapping[str, Tensor]:
        """``ids`` (N, T) int64 and ``mask`` (N, T) bool, all zeros for missing texts."""
        import torch

        found = _tokenizer(state, params)(
            [text or "" for text in column],
            truncation=True,
            padding="max_length",
            max_length=int(state["length"]),
            return_tensors="pt",
        )
        present = torch.from_numpy(column.present).unsqueeze(1)
        return {
            "ids": found["input_ids"] * present,
            "mask": found["attention_mask"].bool() & present,
        }

    def features(self, state: State, params: Params) -> FeatureSpec:
        """One token a word piece, or one."""
        tokens = int(state["length"]) if params["pool"] == "tokens" else 1
        return FeatureSpec(tokens, int(state["dim"]))

    def stem(self, state: State, params: Params) -> nn.Module | None:
        """``ids``, ``mask`` (B, T) -> ``hidden`` (B, T, D) below the trained layers, ``mask``."""
        if params["tune"] not in PARTLY:
            return None
        network = lower_part(_network(state, params), int(params["last"]))
        return _stem(network).eval().requires_grad_(False)

    def build(self, state: State, params: Params) -> nn.Module:
        """``ids`` or ``hidden``, and ``mask`` (B, T) -> tokens (B, T or 1, D)."""
        tune, pool = str(params["tune"]), str(params["pool"])
        network = _network(state, params)
        if pool != "pooled":
            network = without_pooler(network)
        if tune in PARTLY:
            network = upper_part(network, int(params["last"]))
        if tune == "lora":
            network = with_lora(network, int(params["rank"]))
        if tune == "frozen":
            network.requires_grad_(False)
        return _model(network, pool).eval()


def _refuse_other_kinds(config: Any, folder: Path) -> None:
    if getattr(config, "is_encoder_decoder", False) or not hasattr(config, "vocab_size"):
        raise DataError(
            f"hf_text reads models of one text (BERT and its like), {folder} is a "
            f"{config.model_type}; give another model"
        )


def _tokenizer(state: State, params: Params) -> Any:
    if params["model"] == RANDOM:
        return pieces_tokenizer(state["pieces"])
    return folder_tokenizer(find_folder(str(params["model"])))


def _network(state: State, params: Params) -> Any:
    """The whole model, in the same weights as when the state was learned.

    Raises:
        DataError: they are others, or the model has no pooler and one is asked for.
    """
    if params["model"] == RANDOM:
        return random_model(len(state["pieces"]), int(params["length"]))
    folder, pooled = find_folder(str(params["model"])), params["pool"] == "pooled"
    if fingerprint(folder) != state["weights"]:
        raise DataError(
            f"a text model must stay as it was when the study read it, the files in {folder} have "
            "changed; put the former ones back or search again"
        )
    network = load_model(folder, pooled)
    if pooled and getattr(network, "pooler", None) is None:
        raise DataError(
            f"pool = pooled needs a model with a pooler, {params['model']!r} is a "
            f"{type(network).__name__} without one; use pool = mean or tokens"
        )
    return network


def _stem(network: Any) -> nn.Module:
    import torch.nn.functional as F
    from torch import nn

    class Stem(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, ids: Tensor, mask: Tensor) -> dict[str, Tensor]:
            longest = _longest(mask)
            real = real_positions(mask)[:, :longest]
            out = self.network(input_ids=ids[:, :longest], attention_mask=real.long())
            rest = mask.shape[1] - longest
            return {"hidden": F.pad(out.last_hidden_state, (0, 0, 0, rest)), "mask": mask}

    return Stem()


def _model(network: Any, pool: str) -> nn.Module:
    import torch.nn.functional as F
    from torch import nn

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(
            self, mask: Tensor, ids: Tensor | None = None, hidden: Tensor | None = None
        ) -> Tokens:
            longest = _longest(mask)
            real = real_positions(mask)
            out = self.network(
                input_ids=None if ids is None else ids[:, :longest],
                inputs_embeds=None if hidden is None else hidden[:, :longest],
                attention_mask=real[:, :longest].long(),
            )
            if pool == "pooled":
                return Tokens(out.pooler_output.unsqueeze(1), real[:, :1])
            tokens = Tokens(out.last_hidden_state, real[:, :longest])
            if pool == "mean":
                return Tokens(tokens.mean().unsqueeze(1), real[:, :1])
            values = tokens.values * tokens.mask.unsqueeze(-1)
            return Tokens(F.pad(values, (0, 0, 0, mask.shape[1] - longest)), real)

    return Model()


def real_positions(mask: Tensor) -> Tensor:
    """(B, T) -> the same with the first position True: a text without words keeps one token."""
    import torch

    return mask | (torch.arange(mask.shape[1], device=mask.device) == 0)


def _longest(mask: Tensor) -> int:
    """Positions that any row of the batch needs; all of them where the model is traced."""
    import torch

    return mask.shape[1] if torch.compiler.is_exporting() else max(1, int(mask.sum(1).max()))
