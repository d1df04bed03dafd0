"""Built-in controls: what fusion must beat, one small file each."""

from __future__ import annotations

from collections.abc import Sequence

from mmauto.plugin import Control, hookimpl
from mmauto_controls.boosting import Boosting
from mmauto_controls.logistic import Logistic
from mmauto_controls.majority import Majority


@hookimpl
def mmauto_controls() -> Sequence[Control]:
    """The controls of this package."""
    return [Majority(), Boosting(), Logistic()]
