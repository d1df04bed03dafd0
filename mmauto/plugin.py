"""All that a plugin imports: the contracts, the views of a study, and the data readers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mmauto.answered import Shown
from mmauto.blocks import (
    Bars,
    Block,
    Card,
    Code,
    Figure,
    Fold,
    Gallery,
    Headline,
    KeyNumber,
    Picture,
    Table,
    Text,
    Words,
)
from mmauto.contracts import (
    API_VERSION,
    Control,
    Encoder,
    Fusion,
    Regulariser,
    Section,
    State,
    Task,
)
from mmauto.errors import DataError, MmautoError, PluginError
from mmauto.findings import Finding, RoleGuess
from mmauto.hookspecs import hookimpl
from mmauto.space import Choice, Float, Int, Params, Space
from mmauto.values import (
    Batch,
    Column,
    FeatureSpec,
    Forward,
    FusionResult,
    HeadFactory,
    Mix,
    TargetSpec,
    TaskView,
    Tokens,
)
from mmauto.views import (
    ArmView,
    Averaged,
    Comparison,
    ConfirmationView,
    Failure,
    Interval,
    Optimism,
    Standing,
    StudyView,
    TrialView,
)

if TYPE_CHECKING:
    from mmauto.answers.abstention import Abstention, abstention
    from mmauto.answers.calibration import Agreement
    from mmauto.answers.contribution import contributions
    from mmauto.answers.examples import answered
    from mmauto.answers.needs import needs
    from mmauto.answers.pareto import bargains, priced
    from mmauto.answers.profile import profile
    from mmauto.answers.rankings import Ranking, rankings
    from mmauto.answers.rates import class_rates
    from mmauto.answers.reliability import Reliability, reliability
    from mmauto.answers.robustness import robustness
    from mmauto.answers.subgroups import Subgroup, subgroups
    from mmauto.answers.verdict import helps
    from mmauto.data.columns import TabularValues, Texts
    from mmauto.data.dataset import Dataset, TargetColumn
    from mmauto.data.image_columns import ImageArrays
    from mmauto.data.table import read_table
    from mmauto.engine.metrics import METRICS

__all__ = [
    "API_VERSION", "METRICS", "Abstention", "Agreement", "ArmView", "Averaged", "Bars", "Batch",
    "Block", "Card", "Choice", "Code", "Column", "Comparison", "ConfirmationView", "Control",
    "DataError", "Dataset", "Encoder", "Failure", "FeatureSpec", "Figure", "Finding", "Float",
    "Fold", "Forward", "Fusion", "FusionResult", "Gallery", "HeadFactory", "Headline",
    "ImageArrays", "Int", "Interval", "KeyNumber", "Mix", "MmautoError", "Optimism", "Params",
    "Picture", "PluginError", "Ranking", "Regulariser", "Reliability", "RoleGuess", "Section",
    "Shown", "Space", "Standing", "State", "StudyView", "Subgroup", "Table", "TabularValues",
    "TargetColumn", "TargetSpec", "Task", "TaskView", "Text", "Texts", "Tokens", "TrialView",
    "Words", "abstention", "answered", "bargains", "class_rates", "contributions", "helps",
    "hookimpl", "needs", "priced", "profile", "rankings", "read_table", "reliability", "robustness",
    "subgroups",
]  # fmt: skip

_LAZY = {
    "Abstention": "mmauto.answers.abstention",
    "Agreement": "mmauto.answers.calibration",
    "METRICS": "mmauto.engine.metrics",
    "Ranking": "mmauto.answers.rankings",
    "Reliability": "mmauto.answers.reliability",
    "abstention": "mmauto.answers.abstention",
    "class_rates": "mmauto.answers.rates",
    "rankings": "mmauto.answers.rankings",
    "reliability": "mmauto.answers.reliability",
    "Dataset": "mmauto.data.dataset",
    "TargetColumn": "mmauto.data.dataset",
    "ImageArrays": "mmauto.data.image_columns",
    "TabularValues": "mmauto.data.columns",
    "Texts": "mmauto.data.columns",
    "read_table": "mmauto.data.table",
    "answered": "mmauto.answers.examples",
    "bargains": "mmauto.answers.pareto",
    "contributions": "mmauto.answers.contribution",
    "helps": "mmauto.answers.verdict",
    "priced": "mmauto.answers.pareto",
    "needs": "mmauto.answers.needs",
    "profile": "mmauto.answers.profile",
    "robustness": "mmauto.answers.robustness",
    "Subgroup": "mmauto.answers.subgroups",
    "subgroups": "mmauto.answers.subgroups",
}


def __getattr__(name: str) -> Any:
    # pandas and numpy stay unloaded until a task really reads data
    if name not in _LAZY:
        raise AttributeError(f"module 'mmauto.plugin' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_LAZY[name]), name)
