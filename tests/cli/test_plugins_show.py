"""``mmauto plugins show`` says what a component is, searches over and fits."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from mmauto.cli import plugins_show
from mmauto.cli.main import main
from mmauto.cli.plugins_find import named_entry
from mmauto.cli.plugins_show import describe, refusals
from mmauto.contracts import Fusion, Section
from mmauto.errors import ConfigError
from mmauto.registry import KINDS, Entry, Registry, load_registry
from mmauto.space import Choice, Float, Int

WIDTH = 80

Run = Callable[..., tuple[int, str, str]]


class Broad(Fusion):
    """Has one dimension of each sort, and likes few data."""

    name, stage, summary, reference = "broad", "late", "votes", "a test"
    licence, default, gives = "MIT", False, frozenset({"weights"})

    def space(self, task):
        return {
            "width": Int(16, 64, 32, log=True),
            "depth": Int(1, 9, 3, step=2),
            "rate": Float(0.001, 0.5, 0.1, log=True, packs=True),
            "model": Choice(("small", "large"), "large", open=True),
        }

    def missing(self):
        return "votes are not there; run: pip install votes"

    def refuses(self, features, targets):
        (target,) = targets.values()
        if len(features) == 1:
            return "one has nothing to vote on"
        if target.kind == "regression":
            return "numbers are not voted on"
        if target.kind == "multilabel" and len(features) > 3:
            return "too many ballots"
        return None

    def build(self, features, heads, params): ...


class Note(Section):
    name, summary, reference, title = "broad", "a note", "a test", "Note"

    def render(self, study):
        return []


def registry(*components: Any) -> Registry:
    found: dict[str, dict[str, Entry]] = {kind: {} for kind in KINDS}
    for component in components:
        kind = next(kind for kind, base in KINDS.items() if isinstance(component, base))
        found[kind][component.name] = Entry(kind, component, "mmauto-votes", "2.5")
    return Registry(found)


@pytest.fixture
def show(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs ``mmauto plugins show`` on 80 columns; exit code, output, errors."""
    monkeypatch.setenv("COLUMNS", str(WIDTH))

    def run(*words: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as stop:
            main(["plugins", "show", *words])
        printed = capsys.readouterr()
        return int(stop.value.code or 0), printed.out, printed.err

    return run


def test_json_says_everything() -> None:
    about = describe(registry(Broad()).entry("fusion", "broad"))
    assert json.loads(json.dumps(about)) == about | {
        "space": json.loads(json.dumps(about["space"]))
    }
    assert {key: about[key] for key in about if key not in ("space", "refuses")} == {
        "kind": "fusion", "name": "broad", "summary": "votes", "reference": "a test",
        "licence": "MIT", "distribution": "mmauto-votes", "version": "2.5",
        "missing": "votes are not there; run: pip install votes", "stage": "late",
        "default": False, "gives": ["weights"],
    }  # fmt: skip
    width, depth, rate, model = about["space"]
    assert width == {
        "name": "width", "type": "int", "low": 16, "high": 64, "default": 32, "log": True, "step": 1
    }  # fmt: skip
    assert (depth["step"], rate["packs"], model["open"]) == (2, True, True)
    assert model["options"] == ("small", "large")


def test_refusals_are_put_together() -> None:
    assert refusals(Broad()) == [
        {"modalities": 1, "target": None, "reason": "one has nothing to vote on"},
        {"modalities": None, "target": "regression", "reason": "numbers are not voted on"},
        {"modalities": 4, "target": "multilabel", "reason": "too many ballots"},
    ]


def test_a_fusion_that_refuses_everything_says_it_once_a_number() -> None:
    class Never(Broad):
        def refuses(self, features, targets):
            return "no"

    assert [(row["modalities"], row["target"]) for row in refusals(Never())] == [
        (number, None) for number in range(1, plugins_show.MOST + 1)
    ]


def test_80_columns_for_people(show: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugins_show, "load_registry", lambda: registry(Broad()))
    code, out, _ = show("broad")
    assert code == 0
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert lines == [
        "fusion broad",
        "votes",
        "stage late",
        "joins a search that names it",
        "gives weights",
        "refuses 1 modality: one has nothing to vote on",
        "refuses regression targets: numbers are not voted on",
        "refuses 4 modalities with multilabel targets: too many ballots",
        "reference a test",
        "weights MIT",
        "from mmauto-votes 2.5",
        "missing votes are not there; run: pip install votes",
        "parameter default range",
        "width 32 16 to 64 (whole, logarithmic)",
        "depth 3 1 to 9 (whole, steps of 2)",
        "rate 0.1 0.001 to 0.5 (logarithmic, packs)",
        "model large small, large, or any other text",
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_every_component_that_is_there_can_be_shown(show: Run, kind: str) -> None:
    for name in list(load_registry().all(kind))[:4]:
        code, out, err = show(f"{kind}:{name}")
        assert (code, err) == (0, "")
        assert out.startswith(f"{kind} {name}")
        assert max(map(len, out.splitlines())) <= WIDTH


def test_a_regulariser_says_what_it_needs(show: Run) -> None:
    assert "any fusion" in show("modality_dropout")[1]
    assert json.loads(show("modality_dropout", "--json")[1])["needs"] == []


# -------------------------------------------------------------------------------------- names


def test_kinds_that_share_a_name() -> None:
    both = registry(Broad(), Note())
    with pytest.raises(ConfigError, match="'broad' is several; write fusion:broad or section:bro"):
        named_entry(both, "broad")
    assert isinstance(named_entry(both, "section:broad").component, Section)


def test_names_that_are_not_there_offer_the_nearest(show: Run) -> None:
    for given, message in (
        ("concat_ml", "unknown component 'concat_ml'; did you mean 'concat_mlp'?"),
        ("fusion:boosting", "unknown fusion 'boosting' (from 'fusion:boosting')"),
        ("fusio:concat_mlp", "unknown kind 'fusio' (from 'fusio:concat_mlp'); did you mean"),
    ):
        code, out, err = show(given)
        assert (code, out) == (2, "")
        assert message in err


def test_plugins_that_failed_are_named_where_a_component_is_missed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MMAUTO_BLOCK_PLUGINS", "mmauto:fusion")
    with pytest.raises(ConfigError, match="not loaded: mmauto:fusion: blocked by MMAUTO_BLOCK"):
        named_entry(load_registry(), "concat_mlp")


def test_flags_of_the_list_stand_behind_a_command(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["plugins", "--json", "show", "boosting"])
    assert stop.value.code == 2
    assert "--kind and --json before 'show' belong behind it" in capsys.readouterr().err
