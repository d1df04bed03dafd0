"""Late fusion: evidence a modality, combined by Dempster's rule, with its uncertainty."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
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
    TargetSpec,
    TaskView,
    Tokens,
)
from mmauto_fusion.blocks import MLP_SPACE, mlp, owned, shares

if TYPE_CHECKING:
    from torch import Tensor, nn


class Trusted(Fusion):
    """Each modality gives evidence for the classes; opinions are combined by Dempster's rule.

    Evidence ``e = softplus(logits)`` makes a Dirichlet with ``alpha = e + 1``; belief
    ``b = e / S`` and uncertainty ``u = K / S`` with ``S = sum alpha``. A modality that is unsure,
    or absent (``u = 1``), leaves the others' opinion as it is. The outputs are ``log alpha`` of the
    combination, whose softmax is the Dirichlet's mean; the loss is the expected cross-entropy of
    every modality's and of the combined Dirichlet, with a KL term that is annealed in over the
    first half of training. Targets without exclusive classes are averaged over the modalities
    present. Class weights and learned target weights do not reach this loss.
    """

    name = "trusted"
    stage = "late"
    summary = "evidence (Dirichlet) per modality, combined by Dempster's rule"
    reference = "Han et al. 2021, Trusted Multi-View Classification (TMC), ICLR"
    default = False
    gives = frozenset({"per_modality"})

    def space(self, task: TaskView) -> Space:
        """Each modality's MLP's width, depth and dropout, and the weight of the KL term."""
        return {**MLP_SPACE, "divergence": Float(0.1, 3.0, 1.0, log=True, packs=True)}

    def refuses(
        self, features: Mapping[str, FeatureSpec], targets: Mapping[str, TargetSpec]
    ) -> str | None:
        """Evidence is for one of several classes: one target at least must have such."""
        if any(target.kind in CLASSES for target in targets.values()):
            return None
        first = next(iter(targets.values()))
        return f"evidence is for exclusive classes; target {first.name!r} is {first.kind}"

    def build(
        self, features: Mapping[str, FeatureSpec], heads: HeadFactory, params: Params
    ) -> nn.Module:
        """``{key: (B, T, D)} -> {key: evidence (B, K)} -> outputs``."""
        import torch
        from torch import nn
        from torch.nn import functional as F

        keys, width = sorted(features), int(params["width"])
        specs = heads.targets
        classes = {n: len(spec.classes) for n, spec in specs.items() if spec.kind in CLASSES}
        others = {n: spec.width for n, spec in specs.items() if spec.kind not in CLASSES}

        class Model(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.trunks = nn.ModuleList(mlp(features[key].dim, params) for key in keys)
                self.evidence = nn.ModuleList(nn.Linear(width, sum(classes.values())) for _ in keys)
                self.plain = nn.ModuleList(
                    nn.Linear(width, sum(others.values())) for _ in keys if others
                )
                self.divergence: Tensor
                self.register_buffer("divergence", torch.tensor(float(params["divergence"])))

            def groups(self) -> dict[str, list[nn.Parameter]]:
                return owned(keys, self.trunks, self.evidence)

            def forward(
                self, tokens: dict[str, Tokens], present: dict[str, Tensor]
            ) -> FusionResult:
                hidden = [t(tokens[k].mean()) for k, t in zip(keys, self.trunks, strict=True)]
                found: dict[str, dict[str, Tensor]] = {}  # key -> target -> alpha (B, K)
                for key, part, layer in zip(keys, hidden, self.evidence, strict=True):
                    evidence = F.softplus(layer(part))
                    alpha = evidence * present[key].unsqueeze(-1).to(evidence.dtype) + 1
                    split = torch.split(alpha, list(classes.values()), dim=-1)
                    found[key] = dict(zip(classes, split, strict=True))
                joint = {name: combined([found[key][name] for key in keys]) for name in classes}
                first = next(iter(classes))
                sure = {key: 1 - classes[first] / found[key][first].sum(-1) for key in keys}
                total = torch.stack(list(sure.values())).sum(0).clamp(min=1e-6)
                votes = {
                    key: {name: logits(name, alpha) for name, alpha in part.items()}
                    for key, part in found.items()
                }
                for key, part, layer in zip(keys, hidden, self.plain, strict=bool(others)):
                    split = torch.split(layer(part), list(others.values()), dim=-1)
                    votes[key] |= dict(zip(others, split, strict=True))
                mean = shares(present, hidden[0])
                outputs = {name: logits(name, alpha) for name, alpha in joint.items()}
                for name in others:
                    parts = [mean[key].unsqueeze(-1) * votes[key][name] for key in keys]
                    outputs[name] = torch.stack(parts).sum(0)
                return FusionResult(
                    {name: outputs[name] for name in specs},
                    per_modality={
                        k: {name: vote[name] for name in specs} for k, vote in votes.items()
                    },
                    weights={key: value / total for key, value in sure.items()},
                    aux={"alpha": joint, "alphas": found},
                )

            def objective(
                self,
                result: FusionResult,
                batch: Batch,
                task_loss: Callable[[Mapping[str, Tensor]], Tensor],
            ) -> Tensor:
                """Evidence losses of the combination and of every modality that is there."""
                strength = self.divergence * min(1.0, 2 * batch.progress)
                total = self.expected(result.aux["alpha"], batch, strength, None)
                if others:
                    total = total + task_loss({n: result.outputs[n] for n in others}).mean()
                for key in keys:
                    alphas = result.aux["alphas"][key]
                    total = total + self.expected(alphas, batch, strength, batch.present[key])
                return total

            def expected(
                self, alphas: Mapping[str, Tensor], batch: Batch, strength: Tensor,
                here: Tensor | None,
            ) -> Tensor:  # fmt: skip
                """The mean over rows of the expected cross-entropy and the KL term."""
                losses = []
                for name, alpha in alphas.items():
                    truth = F.one_hot(batch.targets[name].long(), classes[name]).to(alpha.dtype)
                    if batch.mix is not None:
                        share = batch.mix.share.unsqueeze(-1)
                        truth = share * truth + (1 - share) * truth[batch.mix.partner]
                    whole = alpha.sum(-1, keepdim=True)
                    risk = (truth * (whole.digamma() - alpha.digamma())).sum(-1)
                    loss = risk + strength * to_uniform(truth + (1 - truth) * alpha)
                    loss = loss * batch.observed[name].to(alpha.dtype)
                    losses.append(loss if here is None else loss * here.to(alpha.dtype))
                return torch.stack(losses).sum(0).mean()

        def logits(name: str, alpha: Tensor) -> Tensor:
            """log alpha; for a yes/no target the log-odds ``(B, 1)``."""
            values = alpha.log()
            if heads.targets[name].kind == "binary":
                return values[:, 1:] - values[:, :1]
            return values

        return Model()


def combined(alphas: Sequence[Tensor]) -> Tensor:
    """Dempster's rule, one opinion after the other: ``(B, K)`` each -> ``(B, K)``."""
    whole = alphas[0]
    for alpha in alphas[1:]:
        count = alpha.shape[-1]
        sums = [a.sum(-1, keepdim=True) for a in (whole, alpha)]
        beliefs = [(a - 1) / s for a, s in zip((whole, alpha), sums, strict=True)]
        doubts = [count / s for s in sums]
        agreement = (beliefs[0] * beliefs[1]).sum(-1, keepdim=True)
        every = beliefs[0].sum(-1, keepdim=True) * beliefs[1].sum(-1, keepdim=True)
        scale = 1 / (1 - (every - agreement)).clamp(min=1e-6)
        belief = scale * (beliefs[0] * beliefs[1] + beliefs[0] * doubts[1] + beliefs[1] * doubts[0])
        doubt = (scale * doubts[0] * doubts[1]).clamp(min=1e-6)
        whole = belief * count / doubt + 1
    return whole


def to_uniform(alpha: Tensor) -> Tensor:
    """KL(Dirichlet(alpha) || Dirichlet(1)), ``(B, K) -> (B,)``."""
    total, count = alpha.sum(-1), alpha.shape[-1]
    spread = total.lgamma() - alpha.lgamma().sum(-1) - math.lgamma(count)
    pull = (alpha - 1) * (alpha.digamma() - total.unsqueeze(-1).digamma())
    return spread + pull.sum(-1)


CLASSES = ("binary", "multiclass")
