"""Built-in regularisers: one small file each, or a short family a file."""

from __future__ import annotations

from collections.abc import Sequence

from mmauto.plugin import Regulariser, hookimpl
from mmauto_training.adversarial import Adversarial
from mmauto_training.balance import GradientBlending, OgmGe
from mmauto_training.contrastive import InfoNce, PositiveOnly, Sigmoid
from mmauto_training.correlation import Cca, Collinearity, VicReg
from mmauto_training.factors import MatrixFactorisation, Reconstruction
from mmauto_training.matching import Cmd, Coral, Mmd
from mmauto_training.mixup import ManifoldMixup
from mmauto_training.modality_dropout import ModalityDropout
from mmauto_training.mutual_information import MutualInformation
from mmauto_training.perturbed import AdversarialTraining, PseudoLabels


@hookimpl
def mmauto_regularisers() -> Sequence[Regulariser]:
    """The regularisers of this package."""
    return [
        Adversarial(),
        AdversarialTraining(),
        Cca(),
        Cmd(),
        Collinearity(),
        Coral(),
        GradientBlending(),
        InfoNce(),
        ManifoldMixup(),
        MatrixFactorisation(),
        Mmd(),
        ModalityDropout(),
        MutualInformation(),
        OgmGe(),
        PositiveOnly(),
        PseudoLabels(),
        Reconstruction(),
        Sigmoid(),
        VicReg(),
    ]
