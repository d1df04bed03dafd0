"""The page that compares studies says what can be said, and no more."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from mmauto.blocks import Figure, Table, Text
from mmauto.report.several import Several, several
from mmauto.testing.fakes_study import fake_study
from mmauto.views import ConfirmationView, StudyView

HOSTILE = "</script><script>alert(1)</script>&<img src=x>"


def worse(run: ConfirmationView) -> ConfirmationView:
    """The run, guessing."""
    return replace(
        run, test={name: np.full_like(v, 1 / v.shape[1]) for name, v in run.test.items()}
    )


def texts(found: Several, part: str) -> str:
    (blocks,) = [blocks for name, _, blocks in found.parts if name == part]
    return " ".join(block.text for block in blocks if isinstance(block, Text))


def table(found: Several, part: str) -> Table:
    (block,) = [
        block
        for name, _, blocks in found.parts
        for block in blocks
        if name == part and isinstance(block, Table)
    ]
    return block


def diagrams(found: Several) -> list[Figure]:
    return [b for _, _, blocks in found.parts for b in blocks if isinstance(b, Figure)]


def data_sets(count: int, **config: Any) -> list[StudyView]:
    return [
        replace(fake_study(place), name=f"d{place}", config={"data": f"{place}.csv", **config})
        for place in range(count)
    ]


@pytest.fixture(scope="module")
def pair() -> Several:
    """A study and one on the same rows whose models only guess."""
    one = replace(fake_study(0), name="deep")
    runs = [worse(run) for run in one.confirmations]
    two = replace(one, name="lazy", confirmations=runs, config={**one.config, "trials": 1})
    return several([one, two])


def test_the_same_rows_give_one_leaderboard(pair: Several) -> None:
    rows = table(pair, "leaderboard").rows
    assert pair.title == "deep, lazy"
    assert pair.facts == "target diagnosis by balanced accuracy · the same 120 test rows"
    assert len(rows) == 16
    assert pair.comparison is not None
    assert rows[0][0] == f"{pair.comparison.winner} ★"
    assert {str(row[0]).split("/")[0] for row in rows} == {"deep", "lazy"}


def test_the_winners_are_compared_in_words_and_figures(pair: Several) -> None:
    assert texts(pair, "winners").startswith(
        "deep/cross_attention beats lazy/cross_attention, by +0."
    )
    ((_, _, gain, interval, _, p),) = table(pair, "winners").rows
    assert isinstance(gain, float)
    assert gain > 0.4
    assert str(interval).startswith("0.")
    assert p == "0.0001"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda run: run, "These rows cannot tell deep/cross_attention from twin/cross_attention"),
        (lambda run: replace(run, seed=run.seed + 9), "have no seed in common"),
    ],
)
def test_winners_that_cannot_be_told_apart_are_not(change: Any, said: str) -> None:
    one = replace(fake_study(0), name="deep")
    arms = [arm for arm in one.arms if arm.name == "cross_attention"]
    one = replace(
        one, arms=arms, confirmations=[r for r in one.confirmations if r.arm == arms[0].name]
    )
    two = replace(one, name="twin", confirmations=[change(run) for run in one.confirmations])
    assert said in texts(several([one, two]), "winners")


def test_a_worse_winner_is_said_to_be_worse() -> None:
    one = replace(fake_study(0), name="deep")
    two = replace(one, name="lazy", confirmations=[worse(run) for run in one.confirmations])
    assert "lazy/cross_attention is worse than deep/cross_attention, by -0." in texts(
        several([two, one]), "winners"
    )


def test_only_what_differs_is_listed(pair: Several) -> None:
    found = table(pair, "settings")
    assert found.columns == ("setting", "deep", "lazy")
    assert found.rows == [("trials", "8", "1")]


def test_versions_that_differ_are_listed() -> None:
    views = [
        replace(view, environment={"versions": {"mmauto": f"0.{place}"}}, config={})
        for place, view in enumerate(data_sets(2))
    ]
    assert table(several(views), "settings").rows == [("mmauto itself", "0.0", "0.1")]


def test_equal_configurations_are_said_to_be_equal() -> None:
    views = [replace(view, config={}) for view in data_sets(2)]
    assert texts(several(views), "settings") == "The studies have the same configuration."


def test_few_data_sets_have_ranks_and_no_test() -> None:
    found = several(data_sets(3))
    said = texts(found, "ranks")
    assert "needs 5 data sets or more, here are 3: the ranks describe these studies" in said
    assert "Friedman" not in said
    assert not diagrams(found)
    assert found.comparison is None
    first = table(found, "ranks").rows[0]
    assert first[:3] == ["cross_attention", 1.0, "0.933 (1)"]


def test_splits_of_one_data_set_are_no_data_sets() -> None:
    said = texts(several(data_sets(6, data="one.csv")), "ranks")
    assert "1 of the data sets differ; splits and seeds of one data set are not independent" in said
    assert "needs 5 data sets or more, here is 1" in said


def test_five_data_sets_have_the_test_and_its_diagram() -> None:
    found = several(data_sets(5))
    (figure,) = diagrams(found)
    assert "The arms are not equally good (Friedman test, p < 0.001)" in texts(found, "ranks")
    rows = figure.layout["yaxis"]["categoryarray"]
    assert rows[-1] == "critical difference"
    scale, *joined, dots = figure.data
    length = scale["x"][1] - scale["x"][0]
    ranks = dict(zip(dots["y"], dots["x"], strict=True))
    assert ranks == {str(row[0]): row[1] for row in table(found, "ranks").rows}
    assert joined
    assert all(one["x"][1] - one["x"][0] <= length for one in joined)
    assert max(figure.layout["xaxis"]["range"]) > max(*ranks.values(), scale["x"][1])


def same_scores(views: Sequence[StudyView], arms: int) -> list[StudyView]:
    """The studies with so many arms that are all equally good."""
    found = []
    for view in views:
        lines = [replace(s, test=replace(s.test, value=0.5)) for s in view.comparison.standings]
        lines.sort(key=lambda line: line.arm.name)
        comparison = replace(view.comparison, standings=tuple(lines[:arms]))
        found.append(replace(view, comparison=comparison))
    return found


@pytest.mark.parametrize(
    ("arms", "said"),
    [
        (4, "These data sets cannot tell the arms apart (Friedman test, p = 1.000)."),
        (2, "The Friedman test needs three arms that all studies have, here are two."),
    ],
)
def test_equal_or_few_arms_have_no_diagram(arms: int, said: str) -> None:
    found = several(same_scores(data_sets(5), arms))
    assert said in texts(found, "ranks")
    assert not diagrams(found)


@pytest.mark.parametrize("count", [2, 5])
def test_the_page_is_whole_and_holds_hostile_names_as_text(count: int) -> None:
    views = [replace(v, name=f"{v.name}{HOSTILE}") for v in data_sets(count, **{HOSTILE: HOSTILE})]
    lines = [
        [replace(s, arm=replace(s.arm, name=s.arm.name + HOSTILE)) for s in v.comparison.standings]
        for v in views
    ]
    views = [
        replace(v, comparison=replace(v.comparison, standings=tuple(own)))
        for v, own in zip(views, lines, strict=True)
    ]
    page = several(views).page()
    assert page.endswith("</html>\n")
    assert 'id="theme"' in page
    assert "<script>alert" not in page
    assert "<img src=x>" not in page
    assert page.count("alert(1)") > 8
    figures = re.findall(r'<script type="application/json"[^>]*>(.*?)</script>', page, re.S)
    assert len(figures) == (count == 5)
    for body in figures:
        names = json.loads(body)["data"][-1]["y"]
        assert all("<" not in name for name in names)  # plotly would take it for markup
