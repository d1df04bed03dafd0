"""The section of subgroups: what it says, shows and leaves out; and the whole way there."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from mmauto_sections.subgroups import Subgroups

import mmauto
from mmauto.cli.main import cli
from mmauto.errors import ConfigError
from mmauto.plugin import Figure, StudyView, Table, Text, subgroups
from mmauto.report.blocks import render_block
from mmauto.testing.fakes_study import fake_study
from mmauto.values import TargetSpec
from mmauto.views import ConfirmationView

HOSTILE = "<img src=x onerror=alert(1)> & co"


def study(rates: Sequence[float], rows: int = 400, metric: str = "accuracy") -> StudyView:
    """The share of right answers by subgroup, of the winner; the reference is right in 80 %."""
    rng, base = np.random.default_rng(0), fake_study()
    places = rng.integers(0, len(rates), rows)
    truth, draws = rng.integers(0, 2, rows).astype(float), rng.random((2, rows))
    given = {
        base.comparison.winner: draws[0] < np.asarray(rates)[places],
        base.comparison.reference: draws[1] < 0.8,
    }
    spec = TargetSpec("ill", "binary", ("no", "yes"))
    names = np.array(["north", "south", "east"], dtype=object)
    return replace(
        base,
        task=replace(base.task, targets={"ill": spec}, primary="ill", metric=metric),
        confirmations=[
            ConfirmationView(
                str(arm), 0, 0, {}, 0.5,
                test={"ill": np.where(hits, truth, 1 - truth)[:, None] * 0.8 + 0.1},
            )
            for arm, hits in given.items()
        ],
        truth={"valid": {}, "test": {"ill": truth}},
        groups={"test": None},
        subgroups={"ward": names[places]},
    )  # fmt: skip


def render(view: StudyView) -> tuple[list[Text], list[Figure], Table]:
    blocks = list(Subgroups().render(view))
    for block in blocks:
        json.dumps(asdict(block), allow_nan=False)
    (table,) = (block for block in blocks if isinstance(block, Table))
    return (
        [block for block in blocks if isinstance(block, Text)],
        [block for block in blocks if isinstance(block, Figure)],
        table,
    )


# -------------------------------------------------------------------------------------- words


def test_a_gap_is_told_with_its_size_and_how_sure_it_is() -> None:
    (lead,), _, table = render(study((0.9, 0.6)))
    assert lead.text.startswith("ward south is served worse by cross_attention: accuracy 0.")
    assert "(p < 0.001)." in lead.text
    assert "For text alone, its gap of" in lead.text
    assert lead.text.count("served") == 1  # north is better by the same gap
    judged = {(row[0], row[1]): row[-1] for row in table.rows}
    assert judged["ward south", "cross_attention"] == "served worse"
    assert judged["ward south", "text alone"] == "no gap to be told from chance"


def test_a_gap_of_both_arms_is_told_of_both() -> None:
    view = study((0.9, 0.6))
    own = view.confirmations[0]
    both = replace(view, confirmations=[own, replace(own, arm=str(view.comparison.reference))])
    (lead,), _, _ = render(both)
    assert "So it is by text alone, by 0." in lead.text


def test_of_several_subgroups_better_ones_are_told_too() -> None:
    (lead,), _, _ = render(study((0.95, 0.7, 0.7), 900))
    assert "ward north is served better by cross_attention" in lead.text
    assert "allowing for 3 subgroups" in lead.text


def test_without_a_gap_it_says_how_large_one_could_have_been_seen() -> None:
    view = study((0.8, 0.8))
    (lead,), _, _ = render(view)
    assert lead.text.startswith("No gap between subgroups of ward can be told from chance")
    seen = max(one.detectable for one in subgroups(view) if one.arm == view.comparison.winner)
    assert f"Gaps from about {seen:.3f} on would have been found four times out of five" in (
        lead.text
    )


def test_subgroups_that_are_all_small_are_not_judged() -> None:
    (lead,), _, table = render(study((0.9, 0.6), 40))
    assert lead.text.startswith("No subgroup of ward can be judged")
    assert {str(row[-1]).split(" (")[0] for row in table.rows} == {"too small to judge"}


def test_a_column_that_tells_the_label_is_warned_of() -> None:
    view = study([0.9, 0.9])
    truth = view.truth["test"]["ill"]
    told = replace(view, subgroups={"code": np.where(truth > 0, "B", "A").astype(object)})
    warned = [b.text for b in Subgroups().render(told) if getattr(b, "style", "") == "warning"]
    assert len(warned) == 1
    assert "code all but tells ill" in warned[0]
    assert "choose another column" in warned[0]
    assert not [b for b in Subgroups().render(view) if getattr(b, "style", "") == "warning"]


def test_a_metric_that_follows_the_share_of_positives_has_a_warning() -> None:
    texts, _, _ = render(study((0.8, 0.8), metric="f1"))
    assert "compare their shares" in texts[-1].text
    assert texts[-1].style == "note"


# ------------------------------------------------------------------------------------ figures


def test_dots_are_the_values_filled_for_the_winner_and_the_line_is_the_whole() -> None:
    view = study((0.9, 0.6))
    _, (figure,), _ = render(view)
    filled, hollow = figure.data
    found = subgroups(view)
    assert filled["x"] == [o.value.value for o in found if o.arm == view.comparison.winner]
    assert hollow["x"] == [o.value.value for o in found if o.arm == view.comparison.reference]
    assert not filled["marker"]["symbol"].endswith("-open")
    assert hollow["marker"]["symbol"].endswith("-open")
    whole = next(
        s.test.value for s in view.comparison.standings if s.arm.name == view.comparison.winner
    )
    assert figure.layout["shapes"][0]["x0"] == figure.layout["shapes"][0]["x1"] == whole
    assert [round(y) for y in filled["y"]] == [0, 1]
    assert [name.split(" ")[0] for name in figure.layout["yaxis"]["ticktext"]] == ["north", "south"]


def test_a_subgroup_without_a_value_has_no_dot() -> None:
    view = study((0.9, 0.9), metric="auroc")
    labels = view.subgroups["ward"]
    truth = np.where(labels == "north", 1.0, view.truth["test"]["ill"])
    _, (figure,), table = render(replace(view, truth={"valid": {}, "test": {"ill": truth}}))
    assert len(figure.data[0]["x"]) == 1
    assert table.rows[0][4:9] == [None] * 5
    assert table.rows[0][-1] == "too small to judge (one class only)"


def test_the_winner_may_be_the_reference() -> None:
    view = study((0.9, 0.6))
    same = replace(view.comparison, reference=view.comparison.winner)
    (lead,), (figure,), _ = render(replace(view, comparison=same))
    assert len(figure.data) == 1
    assert "hollow" not in figure.caption
    assert lead.text.endswith(").")


def test_several_columns_have_a_figure_each() -> None:
    view = study((0.9, 0.6))
    texts, figures, table = render(
        replace(view, subgroups={"ward": view.subgroups["ward"], "sex": view.subgroups["ward"]})
    )
    assert [figure.layout["title"]["text"] for figure in figures] == ["ward", "sex"]
    assert (len(texts), len(table.rows)) == (2, 8)


def test_hostile_labels_are_inert() -> None:
    view = study((0.9, 0.6))
    labels = np.where(view.subgroups["ward"] == "north", HOSTILE, "south").astype(object)
    blocks = Subgroups().render(replace(view, subgroups={"<b>ward</b>": labels}))
    page = "".join(render_block(block, f"b{place}") for place, block in enumerate(blocks))
    assert "<img" not in page
    assert "<b>" not in page
    (figure,) = (block for block in blocks if isinstance(block, Figure))
    assert "<" not in figure.layout["title"]["text"]
    assert not any("<" in name for name in figure.layout["yaxis"]["ticktext"])


def test_nothing_is_shown_where_no_subgroup_was_named() -> None:
    assert Subgroups().render(fake_study()) == []


# ----------------------------------------------------------------------------- the whole way


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of a table on which the note tells the label in the north only."""
    folder, rng = tmp_path_factory.mktemp("own"), np.random.default_rng(0)
    rows = 600
    label, ward = rng.integers(0, 2, rows), rng.choice(["north", "south"], rows)
    told = np.where(ward == "north", label, rng.integers(0, 2, rows))
    pd.DataFrame(
        {
            "note": [f"{'cough' if t else 'fine'} {w}" for t, w in zip(told, rng.choice(
                ["bed rest", "walk now", "meal time", "book day"], rows), strict=True)],
            "age": rng.integers(20, 90, rows),
            "bp": rng.normal(120, 10, rows).round(1),
            "ward": ward,
            "label": np.where(label, "ill", "well"),
        }
    ).to_csv(folder / "t.csv", index=False)  # fmt: skip
    done = CliRunner().invoke(cli, flags(folder, "--subgroup", "ward,age"))
    assert done.exit_code == 0, done.output
    return folder


def flags(folder: Path, *more: str) -> list[str]:
    return [
        "search", "--data", str(folder / "t.csv"), "--target", "label", "--text", "note",
        "--tabular", "bp", "--fusions", "concat_mlp", "--encoders", "bag_of_words,mlp",
        "--controls", "majority", "--trials", "1", "--epochs", "5", "--confirm-seeds", "1",
        "--probe-rows", "0", "--workers", "1", "--device", "cpu", "--quiet", "--name", "s",
        "--out", str(folder / "studies"), *more,
    ]  # fmt: skip


@pytest.mark.slow
def test_a_search_answers_by_columns_that_are_no_inputs(searched: Path) -> None:
    view = mmauto.open(searched / "studies" / "s").view()
    assert list(view.subgroups) == ["ward", "age"]
    assert all(len(found) == view.rows["test"] for found in view.subgroups.values())
    assert {guess.role for guess in view.roles if guess.column in ("ward", "age")} == {"ignore"}
    found = {one.label: one for one in subgroups(view) if one.column == "ward"}
    assert found["south"].differs
    assert found["south"].gap.value < -0.3
    assert all(" to " in o.label for o in subgroups(view)[4:] if not o.label.startswith("from"))
    assert "--subgroup ward,age" in view.command
    assert "Does it serve all alike?" in (searched / "studies" / "s" / "report.html").read_text()


@pytest.mark.slow
def test_a_finished_study_may_be_asked_for_other_subgroups(searched: Path) -> None:
    before = mmauto.open(searched / "studies" / "s").view()
    done = CliRunner().invoke(cli, flags(searched, "--subgroup", "age", "--subgroup", "bp"))
    assert done.exit_code == 0, done.output
    view = mmauto.open(searched / "studies" / "s").view()
    assert list(view.subgroups) == ["age", "bp"]
    assert [run.trial for run in view.confirmations] == [r.trial for r in before.confirmations]
    assert len(view.trials) == len(before.trials)
    # naming none keeps those that are stored
    kept = mmauto.search(**settings(searched))
    assert list(kept.view().subgroups) == ["age", "bp"]


def settings(folder: Path) -> dict[str, Any]:
    return {
        "data": str(folder / "t.csv"), "target": "label", "text": "note", "tabular": "bp",
        "fusions": "concat_mlp", "encoders": ["bag_of_words", "mlp"], "controls": "majority",
        "trials": 1, "epochs": 5, "confirm_seeds": 1, "probe_rows": 0, "workers": 1,
        "device": "cpu", "name": "s", "out": str(folder / "studies"),
    }  # fmt: skip


@pytest.mark.slow
def test_an_unknown_column_ends_as_one_sentence(searched: Path) -> None:
    done = CliRunner().invoke(cli, flags(searched, "--subgroup", "wrad", "--name", "other"))
    assert isinstance(done.exception, ConfigError)  # the entry point prints it
    assert str(done.exception) == (
        f"unknown column 'wrad' (from subgroup, {searched / 't.csv'}); did you mean 'ward'?; "
        "available: age, bp, label, note, ward; name another one with --subgroup"
    )


@pytest.mark.slow
def test_new_rows_are_not_those_that_were_labelled(searched: Path) -> None:
    view = mmauto.open(searched / "studies" / "s").evaluate(searched / "t.csv")
    assert view.subgroups == {}
