"""All that a plugin imports: the contracts, the views of a study, and the data readers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

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
    Block,
    Code,
    Comparison,
    ConfirmationView,
    Figure,
    Finding,
    Interval,
    RoleGuess,
    Standing,
    StudyView,
    Table,
    Text,
    TrialView,
)

if TYPE_CHECKING:
    from mmauto.data.columns import TabularValues, Texts
    from mmauto.data.dataset import Dataset, TargetColumn
    from mmauto.data.image_columns import ImageArrays
    from mmauto.data.table import read_table

__all__ = [
    "API_VERSION", "ArmView", "Batch", "Block", "Choice", "Code", "Column", "Comparison",
    "ConfirmationView", "Control", "DataError", "Dataset", "Encoder", "FeatureSpec", "Figure",
    "Finding", "Float", "Forward",
    "Fusion", "FusionResult", "HeadFactory", "ImageArrays", "Int", "Interval",
    "Mix", "MmautoError", "Params", "PluginError", "Regulariser", "RoleGuess", "Section", "Space",
    "Standing", "State", "StudyView", "Table", "TabularValues", "TargetColumn", "TargetSpec",
    "Task", "TaskView", "Text", "Texts", "Tokens", "TrialView", "hookimpl", "read_table",
]  # fmt: skip

_LAZY = {
    "Dataset": "mmauto.data.dataset",
    "TargetColumn": "mmauto.data.dataset",
    "ImageArrays": "mmauto.data.image_columns",
    "TabularValues": "mmauto.data.columns",
    "Texts": "mmauto.data.columns",
    "read_table": "mmauto.data.table",
}


def __getattr__(name: str) -> Any:
    # pandas and numpy stay unloaded until a task really reads data
    if name not in _LAZY:
        raise AttributeError(f"module 'mmauto.plugin' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_LAZY[name]), name)
