"""The task ``medical``: a user's table of images, notes and labels, or a simulated study."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from mmauto.plugin import DataError, Task

if TYPE_CHECKING:
    from mmauto.plugin import Dataset

METRIC = "balanced_accuracy"
_SCHEMA = {"image": ("image",), "text": ("text",), "target": ("label",)}
_COLUMNS = ("image", "text", "tabular", "target", "group", "split", "id", "image_folder", "max_bad",
            "separator", "roles", "domain", "subgroup", "unlabelled")  # fmt: skip


class Medical(Task):
    """Image, note and tabular data with a diagnosis; balanced accuracy decides.

    Attributes:
        rows: visits of the simulated study.
    """

    name = "medical"
    summary = "radiograph, note and vitals to a diagnosis; simulated, or a table of your own"
    reference = "mmauto"
    rows: ClassVar[int] = 2000

    def load(self, source: str | None, options: Mapping[str, Any]) -> Dataset:
        """The user's table where one is given, else the simulated chest-radiograph study.

        Args:
            source: a folder that holds ``data.csv``, or a table; None for simulated data.
            options: ``image``, ``text``, ``target`` and ``tabular`` replace the columns of the
                medical schema (``image``, ``text``, ``label`` and none); ``group`` and ``split``
                name further columns; ``seed`` decides the simulated data.

        Raises:
            DataError: the table cannot be read, or columns are named where there is no table.
        """
        named = {key: options[key] for key in _COLUMNS if options.get(key) is not None}
        if source is not None:
            return _read(source, named)
        if named:
            raise DataError(
                "columns are named only where there is a table, but task 'medical' was given "
                f"{next(iter(named))!r} and no data, so it would simulate its own; add --data, or "
                "name no columns"
            )
        from mmauto_medical.simulate import simulate

        return simulate(self.rows, int(options.get("seed", 0)))


def _read(source: str, named: Mapping[str, Any]) -> Dataset:
    from mmauto.plugin import read_table

    data = read_table(source, **{**_SCHEMA, **named})
    primary = next(iter(data.targets.values()))
    if primary.kind not in ("binary", "multiclass"):
        return data
    return replace(data, targets={**data.targets, primary.name: replace(primary, metric=METRIC)})
