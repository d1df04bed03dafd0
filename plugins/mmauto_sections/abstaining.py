"""What is gained by leaving the least certain rows to people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mmauto.plugin import Block, Figure, StudyView, Table, abstention
from mmauto_sections.brackets import bracketed, percent
from mmauto_sections.colours import plain, styles

if TYPE_CHECKING:
    from mmauto.plugin import Abstention


def abstaining(study: StudyView) -> list[Block]:
    """The curve of errors by share answered, and a table; nothing without confirmed runs."""
    found = abstention(study)
    return [_figure(found, study), _table(found)] if found else []


def _figure(found: Sequence[Abstention], study: StudyView) -> Figure:
    looks = styles(study)
    traces = [
        {
            "type": "scatter", "mode": "lines", "name": f"{plain(one.arm)} ({one.area.value:.3f})",
            "x": list(one.answered), "y": list(one.errors),
            "line": {"color": looks[one.arm]["color"], "dash": looks[one.arm]["dash"]},
        }
        for one in found
    ]  # fmt: skip
    several = study.task.targets[study.task.primary].kind == "multilabel"
    return Figure(
        traces,
        {
            "xaxis": {"title": {"text": "share of the rows answered"}, "range": [0, 1.02]},
            "yaxis": {
                "title": {"text": f"share wrong{' of the labels' if several else ''}"},
                "rangemode": "tozero",
            },
            "showlegend": True,
        },
        "Errors on the test rows as only the surest are answered, mean over seeds; the area under "
        "the curve stands in the legend, the less the better. A curve that rises to the right "
        "belongs to a model that knows what it does not know; a level one gains nothing from "
        "leaving rows out.",
        "; ".join(
            f"{one.arm} errs in {percent(one.errors[-1])} of all rows, in "
            f"{percent(one.at[0.5].value)} of the surer half"
            for one in found
        ),
    )


def _table(found: Sequence[Abstention]) -> Table:
    shares = list(found[0].at)
    rows = [
        [one.arm, *(bracketed(figure) for figure in (*one.at.values(), one.area))]
        for one in found
    ]  # fmt: skip
    return Table(
        ("arm", *(f"errors, {100 * share:.0f} % answered" for share in shares), "area"),
        rows,
        "Shares wrong with 95 % intervals over rows and seeds; the area is their mean over all "
        "shares answered.",
    )
