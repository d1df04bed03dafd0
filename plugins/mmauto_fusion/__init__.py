"""Built-in fusion strategies, one small file each."""

from __future__ import annotations

from collections.abc import Sequence

from mmauto.plugin import Fusion, hookimpl
from mmauto_fusion.additive_attention import AdditiveAttention
from mmauto_fusion.alignment_matrix import AlignmentMatrix
from mmauto_fusion.bottleneck import Bottleneck
from mmauto_fusion.concat_mlp import ConcatMlp
from mmauto_fusion.cross_attention import CrossAttention
from mmauto_fusion.expert_mixture import ExpertMixture
from mmauto_fusion.film import Film
from mmauto_fusion.gmu import Gmu
from mmauto_fusion.joint_auxiliary import JointAuxiliary
from mmauto_fusion.late_transformer import LateTransformer
from mmauto_fusion.logit_mean import LogitMean
from mmauto_fusion.logit_product import LogitProduct
from mmauto_fusion.logit_sum import LogitSum
from mmauto_fusion.logit_weighted import LogitWeighted
from mmauto_fusion.low_rank_tensor import LowRankTensor
from mmauto_fusion.mfb import Mfb
from mmauto_fusion.multimodal_cnn import MultimodalCnn
from mmauto_fusion.multimodal_rnn import MultimodalRnn
from mmauto_fusion.multiplicative import Multiplicative
from mmauto_fusion.perceiver import Perceiver
from mmauto_fusion.poe_vae import PoeVae
from mmauto_fusion.policy import Policy
from mmauto_fusion.self_attention import SelfAttention
from mmauto_fusion.shared_private import SharedPrivate
from mmauto_fusion.single_stream import SingleStream
from mmauto_fusion.tensor import TensorFusion
from mmauto_fusion.trusted import Trusted


@hookimpl
def mmauto_fusions() -> Sequence[Fusion]:
    """The fusion strategies of this package."""
    return [
        AdditiveAttention(),
        AlignmentMatrix(),
        Bottleneck(),
        ConcatMlp(),
        CrossAttention(),
        ExpertMixture(),
        Film(),
        Gmu(),
        JointAuxiliary(),
        LateTransformer(),
        LogitMean(),
        LogitProduct(),
        LogitSum(),
        LogitWeighted(),
        LowRankTensor(),
        Mfb(),
        MultimodalCnn(),
        MultimodalRnn(),
        Multiplicative(),
        Perceiver(),
        PoeVae(),
        Policy(),
        SelfAttention(),
        SharedPrivate(),
        SingleStream(),
        TensorFusion(),
        Trusted(),
    ]
