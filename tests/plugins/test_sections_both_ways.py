"""A mix-up of more and less is better: each section tells the same study the same way round.

One study of numbers is judged once by R² (the more the better) and once by the root mean squared
error (the less the better), which put the arms in the same order. What a section says of who is
better is read off each of its figures and tables, and must be true, and the same for both.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from functools import cache
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from mmauto_sections import mmauto_sections

from mmauto.answered import Example, Examples, Probes, Shown
from mmauto.answers.compare import compare
from mmauto.answers.examples import picks
from mmauto.blocks import Figure, Gallery, Headline, Table, Text, unfolded
from mmauto.engine.metrics import METRICS, observed, score
from mmauto.testing.fakes_study import fake_study
from mmauto.views import ConfirmationView, Costs, Interval, StudyView

ROWS, TARGET, KEYS = 300, "stay_days", ("image", "text")
NOISE = {
    "good_fusion": 0.3,
    "poor_fusion": 1.0,
    "image_only": 0.7,
    "text_only": 1.4,
    "boosting": 0.9,
}
"""The deviation of each arm's errors; that of the truth is 2."""
ORDER = sorted(NOISE, key=lambda name: NOISE[name])
SHIFTED = 40
"""Rows of the south, in which every arm errs more."""

SECTIONS = {section.name: section for section in mmauto_sections()}


@cache
def study(metric: str) -> StudyView:
    """The same runs and answers, judged by one metric or the other."""
    base, rng = fake_study(), np.random.default_rng(0)
    task = replace(
        base.task, primary=TARGET, metric=metric, modalities={key: key for key in KEYS},
        targets={TARGET: base.task.targets[TARGET]},
    )  # fmt: skip
    truth = {split: {TARGET: rng.normal(5, 2, ROWS)} for split in ("valid", "test")}
    south = np.arange(ROWS) < SHIFTED
    kinds = dict.fromkeys(NOISE, "fusion") | {f"{key}_only": "single" for key in KEYS}
    kinds["boosting"] = "control"
    arms = [replace(base.arms[0], name=name, kind=kinds[name]) for name in NOISE]
    spec, maximise = task.targets[TARGET], METRICS[metric].maximise

    def judged(split: str, given: np.ndarray) -> float:
        return score(metric, spec, truth[split][TARGET], given)

    def turned(share: float) -> float:
        """A share of what can be gained, as a validation metric of this kind."""
        return share if maximise else 1 - share

    def run(place: int, seed: int) -> ConfirmationView:
        name = list(NOISE)[place]
        noise = np.random.default_rng([seed, place]).normal(0, NOISE[name], (2, ROWS, 1))
        noise[1, south] *= 3
        valid, test = (truth[s][TARGET][:, None] + n for s, n in zip(truth, noise, strict=True))
        return ConfirmationView(
            name, seed, 0, {}, judged("valid", valid), (turned(0.2), turned(0.6), turned(0.8)),
            {TARGET: valid}, {TARGET: test},
            Costs(10 / NOISE[name], latency_1=2 * NOISE[name], parameters=int(100 / NOISE[name])),
        )  # fmt: skip

    runs = [run(place, seed) for place in range(len(NOISE)) for seed in range(3)]
    trials = [
        replace(
            trial, arm="good_fusion", value=turned(trial.value),
            curve=tuple(turned(value) for value in trial.curve),
        )
        for trial in base.trials
        if trial.arm == "concat_mlp" and trial.value is not None
    ]  # fmt: skip
    best = truth["test"][TARGET][:, None] + rng.normal(0, 0.1, (ROWS, 1))
    ceiling = {"all": judged("test", best)}
    groups: Mapping[str, Any] = {"valid": None, "test": None}
    found = replace(
        base, task=task, arms=arms, trials=trials, confirmations=runs, truth=truth, groups=groups,
        ids={s: np.arange(ROWS).astype(str) for s in truth}, ceiling=ceiling,
        comparison=compare(task, arms, trials, runs, truth, groups, ceiling=ceiling),
        probes=Probes(np.arange(ROWS), ROWS, answers(truth["test"][TARGET], runs)),
        subgroups={"ward": np.where(south, "south", "north").astype(object)},
    )  # fmt: skip
    rows = tuple(Example(one.row, one.why, {"text": Shown("text", words=("a",))})
                 for one in picks(found))  # fmt: skip
    return replace(found, examples=Examples(str(found.comparison.winner), rows))


def answers(truth: np.ndarray, runs: list[ConfirmationView]) -> dict[str, Any]:
    """The kept models without a modality: without pictures they know nothing, texts hardly help."""
    found: dict[str, Any] = {}
    for run in runs:
        if run.seed:
            continue
        keys = [run.arm.removesuffix("_only")] if run.arm.endswith("_only") else list(KEYS)
        clean, wrong = run.test[TARGET], np.random.default_rng(9).normal(0, 3, (len(truth), 1))

        def less(share: float, clean: Any = clean, wrong: Any = wrong) -> dict[str, Any]:
            return {TARGET: clean + share * wrong}

        own = {"": {TARGET: clean}}
        lost = {"image": 0.8, "text": 0.1}
        for size in range(1, len(keys) + 1):
            for gone in combinations(keys, size):
                own[f"swapped|{'+'.join(gone)}||0"] = less(sum(lost[key] for key in gone))
        for key in keys:
            for level in (0.5, 1.0):
                own[f"missing|{key}||{level:g}"] = less(level * lost[key])
                own[f"spoilt|{key}|noise|{level:g}"] = less(level * lost[key])
        found[run.arm] = own
    return found


# ---------------------------------------------------------------------- what each section says


def one(kind: type, blocks: list) -> Any:
    return next(block for block in blocks if isinstance(block, kind))


def named(block: Any, *columns: str) -> list[list[Any]]:
    places = [list(block.columns).index(column) for column in columns]
    return [[row[place] for place in places] for row in block.rows]


def sign(text: str) -> str:
    return next((mark for mark in "+−-" if mark in text), "").replace("−", "-")


def verdict(blocks: list, better: str) -> Any:
    head = one(Headline, blocks)
    said = [block.text for block in blocks if isinstance(block, Text)]
    assert "good_fusion was chosen on validation" in said[0]
    assert "Fusion helps here: good_fusion beats" in said[1]
    assert any("good_fusion beats boosting, the best control" in text for text in said)
    return head.badge, head.tone, sign(head.numbers[1].value)


def gains(blocks: list, better: str) -> Any:
    figure = one(Figure, blocks)
    x = {y: v for trace in figure.data for y, v in zip(trace["y"], trace["x"], strict=True)}
    assert x["good_fusion"] > 0 > x["poor_fusion"] > x["text_only"]
    assert x["good_fusion"] == max(x.values()) < figure.layout["shapes"][1]["x0"]  # the ceiling
    assert "to the right is better" in figure.caption
    return sorted(x, key=lambda arm: x[arm]), figure.layout["yaxis"]["categoryarray"]


def leaderboard(blocks: list, better: str) -> Any:
    table = one(Table, blocks)
    assert f"{better} is better" in table.caption
    rows = [(row[0].removesuffix(" ★"), row[1]) for row in named(table, "arm", "gain")]
    own = dict(rows)
    assert own["good_fusion"] > 0 > own["poor_fusion"] > own["text_only"]
    return [arm for arm, _ in rows], [math.copysign(1, gain or 0) for _, gain in rows]


def strategies(blocks: list, better: str) -> Any:
    figure = one(Figure, blocks)
    assert f"{better} is better" in figure.caption
    x = {y: v for trace in figure.data for y, v in zip(trace["y"], trace["x"], strict=True)}
    ceiling = figure.layout["shapes"][0]["x0"]
    known = [x[arm] for arm in ORDER]
    assert (ceiling > max(known)) if better == "higher" else (ceiling < min(known))
    assert known == sorted(known, reverse=better == "higher")
    return figure.layout["yaxis"]["categoryarray"]


def cost(blocks: list, better: str) -> Any:
    corner = "top left" if better == "higher" else "bottom left"
    figures = [block for block in blocks if isinstance(block, Figure)]
    assert figures
    fronts = []
    for figure in figures:
        assert f"the best place is {corner}" in figure.caption
        line = next(trace for trace in figure.data if trace["name"] == "front")
        along = np.diff(line["y"])
        assert (along > 0).all() if better == "higher" else (along < 0).all()
        fronts.append(re.findall(r"(\w+) [\d.,]+", figure.alt))
    tables = [named(block, *block.columns) for block in blocks if isinstance(block, Table)]
    bargain = [[row[0], row[1], row[2]] for row in tables[0]]
    members = [[row[0], *row[2:]] for row in tables[1]]
    # the best arm by far is behind on no cost
    assert "behind" not in members[0]
    return bargain, members


def relies(blocks: list, better: str) -> Any:
    figure = one(Figure, blocks)
    found = {}
    for trace in figure.data:
        values = dict(zip(trace["y"], trace["x"], strict=True))
        found[trace["name"]] = {arm: value > 0 for arm, value in values.items()}
        if trace["name"] == "image":
            image = values["good_fusion"]
    text = next(t for t in figure.data if t["name"] == "text")
    assert image > dict(zip(text["y"], text["x"], strict=True))["good_fusion"]
    assert all(found["image"].values())
    assert "positive is better" in figure.caption
    return found, one(Text, blocks).text


def robustness(blocks: list, better: str) -> Any:
    way = 1 if better == "higher" else -1
    for figure in (block for block in blocks if isinstance(block, Figure)):
        for trace in figure.data:
            assert way * (trace["y"][0] - trace["y"][-1]) > 0
        assert f"{better} is better" in figure.caption
    rows = named(
        one(Table, blocks), "arm", "modality", "change", "as it is", "at its worst", "below"
    )
    assert all(way * (row[3] - row[4]) > 0 for row in rows)
    # the crossing is where two lines meet, which a bend of the scale moves a little
    return [[*row[:3], row[5] is None] for row in rows], one(Text, blocks).text.split(",")[0]


def subgroups(blocks: list, better: str) -> Any:
    text, table = one(Text, blocks).text, one(Table, blocks)
    assert "ward south is served worse by good_fusion" in text
    assert f"{better} is better" in one(Figure, blocks).caption
    rows = named(table, "subgroup", "arm", "gap to the rest", "judged")
    assert all((row[2] < 0) == (row[0] == "ward south") for row in rows)
    assert {row[3] for row in rows if row[0] == "ward south"} == {"served worse"}
    return [[row[0], row[1], row[3]] for row in rows]


def search(blocks: list, better: str) -> Any:
    history, heat, lines, _, curves = (block for block in blocks if isinstance(block, Figure))
    assert f"{better} is better" in history.caption
    assert f"{better.capitalize()} is better" in curves.caption
    way = 1 if better == "higher" else -1
    steps = way * np.diff(next(t["y"] for t in history.data if t["mode"] == "lines"))
    assert (steps >= 0).all()
    assert steps.sum() > 0
    assert all((way * np.diff(trace["y"]) > 0).all() for trace in curves.data)
    vivid = [trace for trace in lines.data if trace["mode"] == "lines"][-1]
    tops = [y for x, y in zip(vivid["x"], vivid["y"], strict=True) if y is not None]
    assert f"the {'highest' if better == 'higher' else 'lowest'}" in lines.caption
    trials = re.findall(r"trial \d+", " ".join(vivid["text"]))
    return tops[-1], sorted(set(trials)), asdict(heat)


def examples(blocks: list, better: str) -> Any:
    galleries = [block for block in blocks if isinstance(block, Gallery)]
    view = study("r2")
    truth = view.truth["test"][TARGET]
    runs = [run.test[TARGET][:, 0] for run in view.confirmations if run.arm == "good_fusion"]
    off = np.abs(np.mean(runs, axis=0) - truth)
    worst = [str(row) for row in np.argsort(-off)[: len(galleries[0].cards)]]
    assert [card.title for card in galleries[0].cards] == worst
    return [[card.title for card in gallery.cards] for gallery in galleries]


def same(blocks: list, better: str) -> Any:
    """Of sections that do not judge: apart from the metric's name, they are equal."""
    return [asdict(block) for block in blocks]


SAYS: Mapping[str, Callable[[list, str], Any]] = {
    "verdict": verdict, "gains": gains, "leaderboard": leaderboard, "strategies": strategies,
    "cost": cost, "confusion": same, "calibration": same, "rankings": same,
    "subgroups": subgroups, "relies": relies, "robustness": robustness, "examples": examples,
    "search": search, "failures": same,
}  # fmt: skip
SILENT = ("data", "reproduce")
"""They show what was put in, and compare nothing."""


def test_no_section_is_left_out() -> None:
    assert {*SAYS, *SILENT} == {*SECTIONS}


@pytest.mark.parametrize("name", SAYS)
def test_the_better_is_said_to_be_better_whichever_way_the_metric_points(name: str) -> None:
    more, less = (list(unfolded(SECTIONS[name].render(study(metric)))) for metric in ("r2", "rmse"))
    assert SAYS[name](more, "higher") == SAYS[name](less, "lower")


def test_both_studies_put_the_arms_in_their_true_order() -> None:
    for metric in ("r2", "rmse"):
        view = study(metric)
        assert [line.arm.name for line in view.comparison.standings] == ORDER
        assert observed(view.task.targets[TARGET], view.truth["test"][TARGET]).all()
        assert isinstance(view.comparison.standings[0].difference, Interval)
