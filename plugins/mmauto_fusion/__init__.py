"""Built-in fusion strategies, one small file each."""

from __future__ import annotations

from collections.abc import Sequence

from mmauto.plugin import Fusion, hookimpl
from mmauto_fusion.additive_attention import AdditiveAttention
from mmauto_fusion.concat_mlp import ConcatMlp
from mmauto_fusion.cross_attention import CrossAttention
from mmauto_fusion.joint_auxiliary import JointAuxiliary
from mmauto_fusion.logit_mean import LogitMean
from mmauto_fusion.logit_product import LogitProduct


@hookimpl
def mmauto_fusions() -> Sequence[Fusion]:
    """The fusions of this package."""
    return [
        ConcatMlp(),
        LogitMean(),
        LogitProduct(),
        AdditiveAttention(),
        CrossAttention(),
        JointAuxiliary(),
    ]
