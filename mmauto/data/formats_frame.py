"""Data frames of pandas as columns of plain values, the same as from a CSV file."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from mmauto.data.formats_read import Read, dated, repeated
from mmauto.errors import DataError


def read_frame(frame: pd.DataFrame) -> Read:
    """The columns of a data frame; its index is left out.

    Raises:
        DataError: it has no columns, or two of one name.
    """
    names = [str(name) for name in frame.columns]
    if not names:
        raise DataError(
            "a table needs at least one column, the data frame has none; fill it with data"
        )
    twice = repeated(names)
    if twice:
        raise DataError(
            f"the columns of a table have different names, the data frame has two named "
            f"{twice[0]!r}; rename one of them"
        )
    return Read({name: _plain(frame.iloc[:, place]) for place, name in enumerate(names)})


def _plain(column: pd.Series[Any]) -> list[Any]:
    # as Python's floats, narrow ones would show the digits of their rounding: 0.1 as 0.10000000149
    narrow = str(column.dtype).lower() in ("float32", "float16")
    values = list(column.array) if narrow else column.tolist()
    gone = column.isna().tolist()
    return dated(
        [None if lost else _value(value) for value, lost in zip(values, gone, strict=True)]
    )


def _value(value: Any) -> Any:
    if isinstance(value, np.floating):
        return float(str(value))
    if isinstance(value, np.number | np.bool_):
        return value.item()
    return value.tolist() if isinstance(value, np.ndarray) else value
