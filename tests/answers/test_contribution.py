"""Shapley values and interactions against known games, profiles against known worlds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations, permutations

import numpy as np
import pytest

from mmauto.answered import Probes
from mmauto.answers.compare import compare
from mmauto.answers.contribution import Contribution, contributions
from mmauto.answers.needs import needs
from mmauto.answers.profile import guessing, profile
from mmauto.answers.robustness import robustness
from mmauto.engine.metrics import score
from mmauto.values import TargetSpec, TaskView
from mmauto.views import ArmKind, ArmView, ConfirmationView, Predictions, StudyView

ROWS = 1000
SPEC = TargetSpec("y", "binary", ("no", "yes"))


def study(
    truth: np.ndarray,
    runs: dict[str, tuple[ArmKind, np.ndarray]],
    keys: Sequence[str] = ("a", "b"),
    probes: Probes | None = None,
    metric: str = "accuracy",
    seeds: int = 2,
) -> StudyView:
    """A study whose arms predict this; validation rows are like test rows."""
    task = TaskView("t", dict.fromkeys(keys, "tabular"), {"y": SPEC}, "y", metric)
    arms = [ArmView(name, kind, name, "early", name) for name, (kind, _) in runs.items()]
    confirmed = [
        ConfirmationView(
            name, seed, 0, {}, score(metric, SPEC, truth, given), (), {"y": given}, {"y": given}
        )
        for name, (_, given) in runs.items()
        for seed in range(seeds)
    ]
    labels = {side: {"y": truth} for side in ("valid", "test")}
    groups = {"valid": None, "test": None}
    return StudyView(
        "s", task, {}, "", {}, arms, (), confirmed, labels, groups, {}, {}, {}, (),
        compare(task, arms, (), confirmed, labels, groups, ceiling={}), probes=probes,
    )  # fmt: skip


# ---------------------------------------------------------------------------- what it relies on


def right_in(share: float, truth: np.ndarray) -> np.ndarray:
    """Predictions of which exactly this share is right."""
    wrong = np.arange(len(truth)) >= round(share * len(truth))
    return np.where(wrong, 1 - truth, truth)[:, None] * 0.8 + 0.1


def game(worth: Callable[[frozenset[str]], float], keys: Sequence[str]) -> Contribution:
    """The contribution where the accuracy with the modalities of a set is ``worth`` of it."""
    truth = np.arange(ROWS) % 2.0
    answers: dict[str, Predictions] = {"": {"y": right_in(worth(frozenset(keys)), truth)}}
    for size in range(1, len(keys) + 1):
        for gone in combinations(keys, size):
            value = worth(frozenset(keys) - set(gone))
            for draw in range(2):
                answers[f"swapped|{'+'.join(gone)}||{draw}"] = {"y": right_in(value, truth)}
    for key in keys:
        answers[f"missing|{key}||0.5"] = answers[""]
    probes = Probes(np.arange(ROWS), ROWS, {"mix": answers})
    runs: dict[str, tuple[ArmKind, np.ndarray]] = {"mix": ("fusion", answers[""]["y"])}
    (found,) = contributions(study(truth, runs, keys, probes))
    return found


def brute_force(worth: Callable[[frozenset[str]], float], keys: Sequence[str], key: str) -> float:
    """The mean gain of adding a modality, over all orders."""
    gains = []
    for order in permutations(keys):
        before = frozenset(order[: order.index(key)])
        gains.append(worth(before | {key}) - worth(before))
    return float(np.mean(gains))


def test_modalities_that_add_up_share_what_they_add() -> None:
    def worth(known: frozenset[str]) -> float:
        return 0.5 + 0.3 * ("a" in known) + 0.1 * ("b" in known)

    found = game(worth, ["a", "b"])
    assert found.values["a"].value == pytest.approx(0.3)
    assert found.values["b"].value == pytest.approx(0.1)
    assert found.interactions[("a", "b")].value == pytest.approx(0.0)
    assert (found.nothing, found.everything) == (pytest.approx(0.5), pytest.approx(0.9))
    assert found.lazy == []


def test_what_is_known_only_together_is_an_interaction() -> None:
    found = game(lambda known: 0.9 if len(known) == 2 else 0.5, ["a", "b"])
    assert found.values["a"].value == pytest.approx(0.2)
    assert found.interactions[("a", "b")].value == pytest.approx(0.4)
    assert found.interactions[("a", "b")].low > 0


def test_what_both_know_is_a_negative_interaction() -> None:
    found = game(lambda known: 0.9 if known else 0.5, ["a", "b"])
    assert found.interactions[("a", "b")].value == pytest.approx(-0.4)


def test_a_modality_that_changes_nothing_is_lazy() -> None:
    found = game(lambda known: 0.9 if "a" in known else 0.5, ["a", "b"])
    assert found.lazy == ["b"]
    assert found.values["b"].value == pytest.approx(0.0)


def test_three_modalities_as_by_brute_force() -> None:
    table = dict(
        zip(
            [frozenset(s) for n in range(4) for s in combinations("abc", n)],
            [0.4, 0.5, 0.45, 0.6, 0.7, 0.55, 0.8, 0.95], strict=True,
        )
    )  # fmt: skip
    found = game(table.__getitem__, ["a", "b", "c"])
    for key in "abc":
        wanted = brute_force(table.__getitem__, "abc", key)
        assert found.values[key].value == pytest.approx(wanted, abs=2e-3)
    assert sum(v.value for v in found.values.values()) == pytest.approx(0.55, abs=2e-3)
    # of a and b, over contexts without and with c
    pair = np.mean([0.7 - 0.5 - 0.45 + 0.4, 0.95 - 0.55 - 0.8 + 0.6])
    assert found.interactions[("a", "b")].value == pytest.approx(pair, abs=2e-3)


def test_intervals_are_those_of_chance_over_rows() -> None:
    found = game(lambda known: 0.9 if known else 0.5, ["a", "b"])
    half = 1.96 * np.sqrt(0.9 * 0.1 / ROWS + 0.5 * 0.5 / ROWS) / 2
    for value in found.values.values():
        assert value.high - value.low < 4 * half
        assert value.low < value.value < value.high


def test_a_class_needs_the_modality_without_which_it_is_lost() -> None:
    truth = np.arange(ROWS) % 2.0
    clean = right_in(1.0, truth)
    # without a, all of the class "yes" are taken for "no"; without b nothing happens
    lost = np.where(truth == 1, 0.1, clean[:, 0])[:, None]
    answers: dict[str, Predictions] = {"": {"y": clean}}
    for key, given in (("a", lost), ("b", clean)):
        answers |= {f"swapped|{key}||{draw}": {"y": given} for draw in range(2)}
        answers[f"missing|{key}||0.5"] = {"y": clean}
    view = study(
        truth, {"mix": ("fusion", clean)}, probes=Probes(np.arange(ROWS), ROWS, {"mix": answers})
    )
    no, yes = needs(view, "mix")
    assert (no.name, no.rows, yes.rows) == ("no", ROWS // 2, ROWS // 2)
    assert yes.found.value == 1.0
    assert {key: found.value for key, found in yes.lost.items()} == {"a": 1.0, "b": 0.0}
    assert {key: found.value for key, found in no.lost.items()} == {"a": 0.0, "b": 0.0}
    assert needs(view, "other") == []


def test_a_study_that_was_not_asked_has_none() -> None:
    truth = np.arange(10) % 2.0
    view = study(truth, {"mix": ("fusion", right_in(1.0, truth))})
    assert contributions(view) == []
    assert robustness(view) == []


# --------------------------------------------------------------------------------- how it breaks


def test_the_crossing_and_the_area_are_those_of_the_curve() -> None:
    truth = np.arange(ROWS) % 2.0
    falling = {0.25: 0.8, 0.5: 0.7, 0.75: 0.6, 1.0: 0.5}
    answers: dict[str, Predictions] = {"": {"y": right_in(0.9, truth)}}
    answers |= {f"missing|a||{x:g}": {"y": right_in(y, truth)} for x, y in falling.items()}
    alone: dict[str, Predictions] = {"": {"y": right_in(0.65, truth)}}
    alone |= {f"missing|b||{x:g}": alone[""] for x in falling}
    probes = Probes(np.arange(ROWS), 100, {"mix": answers, "b_only": alone})
    view = study(
        truth,
        {"mix": ("fusion", answers[""]["y"]), "b_only": ("single", alone[""]["y"])},
        probes=probes,
    )
    mix, single = robustness(view)
    assert (mix.arm, mix.modality, mix.what) == ("mix", "a", "missing")
    assert mix.levels == (0.0, 0.25, 0.5, 0.75, 1.0)
    assert [round(point.value, 3) for point in mix.values] == [0.9, 0.8, 0.7, 0.6, 0.5]
    assert mix.below == pytest.approx(0.625)
    assert mix.area.value == pytest.approx(0.7)
    assert single.below is None
    assert single.area.value == pytest.approx(0.65)


def test_errors_keep_their_sign_and_cross_upwards() -> None:
    spec = TargetSpec("y", "regression")
    truth = np.zeros(200)
    task = TaskView("t", {"a": "tabular", "b": "tabular"}, {"y": spec}, "y", "mae")

    def off(size: float) -> np.ndarray:
        return np.full((200, 1), size)

    answers = {"": {"y": off(1.0)}, "spoilt|a|noise|0.5": {"y": off(2.0)},
               "spoilt|a|noise|1": {"y": off(4.0)}, "missing|a||1": {"y": off(1.0)}}  # fmt: skip
    alone = {"": {"y": off(3.0)}, "missing|b||1": {"y": off(3.0)}}
    arms = [ArmView("mix", "fusion", "", "", ""), ArmView("b_only", "single", "", "", "")]
    runs = [
        ConfirmationView(arm.name, 0, 0, {}, value, (), {}, {"y": off(value)})
        for arm, value in zip(arms, (1.0, 3.0), strict=True)
    ]
    labels = {"test": {"y": truth}}
    found = compare(task, arms, (), runs, labels, {"test": None}, ceiling={})
    view = StudyView(
        "s", task, {}, "", {}, arms, (), runs, labels, {"test": None}, {}, {}, {}, (), found,
        probes=Probes(np.arange(200), 200, {"mix": answers, "b_only": alone}),
    )  # fmt: skip
    noise = next(one for one in robustness(view) if one.what == "noise")
    assert [point.value for point in noise.values] == [1.0, 2.0, 4.0]
    assert noise.below == pytest.approx(0.75)


def test_a_question_that_failed_leaves_a_gap_and_no_crossing() -> None:
    truth = np.arange(ROWS) % 2.0
    sure, worse = {"y": right_in(0.9, truth)}, {"y": right_in(0.5, truth)}
    common = {"": sure, "missing|a||1": sure, "missing|b||1": sure, "swapped|b||0": worse}
    levels = {f"spoilt|a|noise|{level}": worse for level in ("0.33", "0.67", "1")}
    short = {name: given for name, given in levels.items() if not name.endswith("0.67")}
    answers = {"mix": common | short, "a_only": common | levels}
    runs: dict[str, tuple[ArmKind, np.ndarray]] = {
        "mix": ("fusion", sure["y"]), "a_only": ("single", sure["y"]),
    }  # fmt: skip
    view = study(truth, runs, probes=Probes(np.arange(ROWS), ROWS, answers))
    noise = {one.arm: one for one in robustness(view) if one.what == "noise"}
    assert noise["mix"].levels == (0.0, 0.33, 1.0)
    assert noise["a_only"].levels == (0.0, 0.33, 0.67, 1.0)
    assert noise["mix"].below is None
    assert contributions(view) == []
    assert [set(need.lost) for need in needs(view, "mix")] == [{"b"}, {"b"}]


# -------------------------------------------------------------------------- what the data is like

Bits = tuple[np.ndarray, np.ndarray, np.ndarray]


def ideal(truth: np.ndarray, *seen: np.ndarray) -> np.ndarray:
    """The chance of "yes" given what is seen, from counts: the best that any model can say."""
    code = sum(bits.astype(int) << place for place, bits in enumerate(seen))
    codes = range(1 << len(seen))
    chances = [truth[code == value].mean() if (code == value).any() else 0.5 for value in codes]
    return np.array(chances)[code][:, None]


def worlds(name: str, seed: int) -> Bits:
    """Labels and two modalities of one bit each."""
    source = np.random.default_rng(seed)

    def flipped(bits: np.ndarray, chance: float) -> np.ndarray:
        return np.where(source.random(ROWS) < chance, 1 - bits, bits)

    a, b = source.integers(0, 2, (2, ROWS)).astype(float)
    if name == "synergistic":
        return flipped((a != b).astype(float), 0.05), a, b
    truth = a
    if name == "redundant":
        seen = flipped(truth, 0.1)
        return truth, seen, seen
    if name == "unique":
        return truth, flipped(truth, 0.1), b
    if name == "complementary":
        third = source.integers(0, 3, ROWS)
        # a third of the labels stands in a, another one in b, the rest nowhere
        left = np.where(third == 0, truth, 0)
        right = np.where(third == 1, truth, 0)
        return truth, left, right
    return source.integers(0, 2, ROWS).astype(float), a, b


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("name", ["synergistic", "redundant", "unique", "complementary", "nothing"])
def test_the_profile_names_the_world_that_the_data_is_from(name: str, seed: int) -> None:
    truth, a, b = worlds(name, seed)
    source = np.random.default_rng(seed + 100)
    runs: dict[str, tuple[ArmKind, np.ndarray]] = {
        "mix": ("fusion", ideal(truth, a, b)),
        "a_only": ("single", ideal(truth, a)),
        "b_only": ("single", ideal(truth, b)),
    }
    if name == "nothing":  # the counts of so many rows know a little of these very rows
        runs = {n: (kind, source.random((ROWS, 1))) for n, (kind, _) in runs.items()}
    found = profile(study(truth, runs, metric="auroc"))
    assert found is not None
    assert found.kind == name
    if name == "unique":
        assert found.informative == ("a",)
        assert "Only a beats guessing" in found.text


def test_a_profile_needs_two_modalities_and_a_fusion() -> None:
    truth = np.arange(50) % 2.0
    one = right_in(0.8, truth)
    assert profile(study(truth, {"mix": ("fusion", one), "a_only": ("single", one)})) is None
    assert profile(study(truth, {"b_only": ("single", one), "a_only": ("single", one)})) is None


def test_guessing_is_what_the_answers_are_worth_without_their_rows() -> None:
    source = np.random.default_rng(0)
    truth = (source.random(400) < 0.3).astype(float)
    yes = np.full((400, 1), 0.9)
    assert guessing("accuracy", SPEC, truth, [yes]) == pytest.approx(truth.mean())
    assert guessing("auroc", SPEC, truth, [source.random((400, 1))]) == pytest.approx(0.5, abs=0.02)
    number = TargetSpec("n", "regression")
    given = source.normal(size=(400, 1))
    assert guessing("rmse", number, source.normal(size=400), [given]) == pytest.approx(
        np.sqrt(2), abs=0.06
    )


@pytest.mark.slow
@pytest.mark.parametrize("metric", ["average_precision", "f1", "recall", "auroc"])
def test_noise_does_not_beat_guessing_on_several_labels(metric: str) -> None:
    spec = TargetSpec("y", "multilabel", ("a", "b", "c", "d"))
    task = TaskView("t", {"a": "tabular", "b": "tabular"}, {"y": spec}, "y", metric)
    arms = [
        ArmView(name, kind, name, "early", name)
        for name, kind in (("mix", "fusion"), ("a_only", "single"), ("b_only", "single"))
    ]  # type: ignore[arg-type]
    claims = 0
    for seed in range(12):
        source = np.random.default_rng(seed)
        labels = {s: {"y": (source.random((150, 4)) < 0.25) * 1.0} for s in ("valid", "test")}
        runs = [
            ConfirmationView(arm.name, place, 0, {}, 0.5, (), {}, {"y": source.random((150, 4))})
            for arm in arms
            for place in range(2)
        ]
        groups = {"valid": None, "test": None}
        found = compare(task, arms, (), runs, labels, groups, ceiling={})
        view = StudyView(
            "s", task, {}, "", {}, arms, (), runs, labels, groups, {}, {}, {}, (), found
        )
        kind = profile(view)
        assert kind is not None
        claims += kind.kind != "nothing"
    assert claims <= 3  # three arms that may each be lucky once in forty studies
