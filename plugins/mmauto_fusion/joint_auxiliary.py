"""Multi-task fusion: a joint classifier, and a classifier a modality that keeps each one honest."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from mmauto.plugin import (
    Batch,
    FeatureSpec,
    Float,
    Fusion,
    FusionResult,
    HeadFactory,
    Params,
    Space,
    TaskView,
    Tokens,
)
from mmauto_fusion.blocks import MLP_SPACE, mlp, owned

if TYPE_CHECKING:
    from torch import Tensor, nn


class JointAuxiliary(Fusion):
    """Loss = joint task loss + ``weight`` times the sum of every modality's own task loss.

    Trained jointly, the easiest modality stops the others from learning; a head a modality on the
    features that the joint classifier reads keeps each of them useful. Only the joint head
    predicts. A modality that is absent in a row adds no loss there.
    """

    name = "joint_auxiliary"
    stage = "multitask"
    gives = frozenset({"fused", "per_modality"})
    summary = "a joint classifier trained together with a weighted classifier for each modality"
    reference = "Du et al. 2023, On Uni-Modal Feature Learning in Supervised Multi-Modal ..., ICML"

    def space(self, task: TaskView) -> Space:
        """The MLPs' width, depth and dropout, and the weight of the modalities' own losses."""
        return {**MLP_SPACE, "weight": Float(0.05, 1.0, 0.3, log=True, packs=True)}

    def build(
        self, features: Mapping[str, FeatureSpec], heads: HeadFactory, params: Params
    ) -> nn.Module:
        """``{key: (B, T, D)} -> {key: (B, width)} -> fused (B, width) -> outputs``."""
        import torch
        from torch import nn

        keys, width = sorted(features), int(params["width"])

        class Model(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.trunks = nn.ModuleList(mlp(features[key].dim, params) for key in keys)
                self.own_heads = nn.ModuleList(heads(width) for _ in keys)
                self.joint = mlp(len(keys) * width, params)
                self.heads = heads(width)
                self.weight: Tensor
                self.register_buffer("weight", torch.tensor(float(params["weight"])))

            def groups(self) -> dict[str, list[nn.Parameter]]:
                return owned(keys, self.trunks, self.own_heads)

            def forward(
                self, tokens: dict[str, Tokens], present: dict[str, Tensor]
            ) -> FusionResult:
                hidden = [t(tokens[k].mean()) for k, t in zip(keys, self.trunks, strict=True)]
                own = {
                    key: head(part)
                    for key, head, part in zip(keys, self.own_heads, hidden, strict=True)
                }
                fused = self.joint(torch.cat(hidden, dim=-1))
                return FusionResult(self.heads(fused), fused=fused, per_modality=own)

            def objective(
                self,
                result: FusionResult,
                batch: Batch,
                task_loss: Callable[[Mapping[str, Tensor]], Tensor],
            ) -> Tensor:
                """The scalar to minimise; ``task_loss`` maps outputs to ``(B,)``."""
                assert result.per_modality is not None
                total = task_loss(result.outputs).mean()
                for key in keys:
                    loss = task_loss(result.per_modality[key])
                    total = total + self.weight * (loss * batch.present[key].to(loss.dtype)).mean()
                return total

        return Model()
