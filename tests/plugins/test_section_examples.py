"""Examples in the report: what a card shows is what was stored, whatever a file held."""

from __future__ import annotations

import base64
import json
import math
from dataclasses import asdict, replace

import numpy as np
import pytest
from mmauto_sections.examples import ATTENDED, MOST_FIELDS
from mmauto_sections.examples import Examples as Section

from mmauto.answered import Example, Examples, Shown
from mmauto.answers.examples import picks
from mmauto.blocks import Bars, Card, Gallery, Picture, Text, Words
from mmauto.report.page import render_page
from mmauto.testing.fakes_study import fake_study
from mmauto.views import StudyView

HOSTILE = "</script><script>alert(1)</script>\"'&<img src=x onerror=alert(2)>"

PARTS = {
    "image": Shown("image", picture=b"\xff\xd8jpeg", effects=(0.1, -0.2, 0.0, 0.4), whole=0.5),
    "text": Shown("text", words=("no", "fever"), effects=(0.02, math.nan), whole=-0.1, weight=0.25),
    "tabular": Shown(
        "tabular", fields={"age": 64.0, "sex": "f", "crp": None}, effects=(0.1, -0.4, math.nan)
    ),
}


def made(seed: int = 0) -> StudyView:
    """The fake study with two seeds an arm: the mean of all of them is nearly always right."""
    study = fake_study(seed)
    return replace(study, confirmations=[r for r in study.confirmations if r.seed < 2])


def with_examples(study: StudyView, parts: dict[str, Shown] = PARTS) -> StudyView:
    rows = tuple(Example(pick.row, pick.why, parts) for pick in picks(study))
    return replace(study, examples=Examples(str(study.comparison.winner), rows, ("a note",)))


def cards(study: StudyView) -> list[Card]:
    blocks = Section().render(study)
    return [card for block in blocks if isinstance(block, Gallery) for card in block.cards]


def part(card: Card, label: str):
    (found,) = (one for one in card.parts if one.label.startswith(label))
    return found


def test_it_keeps_what_every_section_keeps() -> None:
    study = with_examples(made())
    blocks = Section().render(study)
    json.dumps([asdict(block) for block in blocks], allow_nan=False)
    assert blocks == Section().render(study)
    assert Section().render(made()) == []


def test_mistakes_and_disagreements_have_a_gallery_each() -> None:
    study = with_examples(made())
    found = cards(study)
    assert [card.title for card in found] == [study.ids["test"][p.row] for p in picks(study)]
    leads = [b.text for b in Section().render(study) if isinstance(b, Text) and b.style == "lead"]
    assert len(leads) == 2
    notes = [b.text for b in Section().render(study) if isinstance(b, Text) and b.style == "note"]
    assert notes[-1] == "a note"


def test_a_card_names_the_truth_and_what_arms_say() -> None:
    study = with_examples(made())
    card = cards(study)[0]
    row, winner = picks(study)[0].row, study.comparison.winner
    spec = study.task.targets["diagnosis"]
    given = np.mean(
        [run.test["diagnosis"][row] for run in study.confirmations if run.arm == winner], axis=0
    )
    truth = spec.classes[study.truth["test"]["diagnosis"][row]]
    said = spec.classes[given.argmax()]
    assert card.text.startswith(f"Truth: {truth}. {winner} says: {said} ({said} {given.max():.2f}")
    arms = part(card, "arms say").lines
    assert arms[0][0] == winner
    assert study.comparison.reference in [name for name, _, _ in arms]


def test_effects_are_scaled_to_the_strongest_piece() -> None:
    card = cards(with_examples(made()))[0]
    picture = part(card, "image")
    assert isinstance(picture, Picture)
    assert picture.heat == [[0.25, -0.5], [0.0, 1.0]]
    assert base64.b64decode(picture.data) == b"\xff\xd8jpeg"
    words = part(card, "text")
    assert isinstance(words, Words)
    # an effect of 0.02 is faint, since it hardly matters; a word that was not hidden has no colour
    assert words.words == [("no", 0.4), ("fever", 0.0)]
    fields = part(card, "tabular")
    assert isinstance(fields, Bars)
    assert fields.lines == [
        ("sex f", "-0.400", -1.0), ("age 64", "+0.100", 0.25), ("crp missing", "–", 0.0),
    ]  # fmt: skip
    whole = part(card, "by hiding")
    assert whole.lines == [("image", "+0.500", 1.0), ("text, weight 0.25", "-0.100", -0.2)]


def test_attention_stands_beside_the_effects_and_is_called_no_explanation() -> None:
    seen = {
        "image": replace(PARTS["image"], attention=(0.1, 0.2, 0.0, 0.1), over="patches"),
        "text": replace(PARTS["text"], attention=(0.3, 0.1), over="words"),
        "tabular": replace(
            PARTS["tabular"], attention=(0.01, 0.05, 0.02, 0.03, 0.04), over="tokens"
        ),
    }
    study = with_examples(made(), seen)
    card = cards(study)[0]
    plain = [one for one in card.parts if "attention" not in one.label]
    assert plain == list(cards(with_examples(made()))[0].parts)
    picture, words, bars = (part(card, f"{key}: attention over") for key in PARTS)
    assert picture.heat == [[0.0, 1.0], [0.0, 0.0]]  # twice as much as an even share
    assert base64.b64decode(picture.data) == b"\xff\xd8jpeg"
    assert words.words == [("no", 0.5), ("fever", 0.0)]
    assert bars.label == "tabular: attention over tokens (5 in all)"
    assert bars.lines == [
        ("token 2", "0.050", 1.0), ("token 5", "0.040", 0.8), ("token 4", "0.030", 0.6),
        ("token 3", "0.020", 0.4),
    ]  # fmt: skip
    assert picture.hue == words.hue == bars.hue == ATTENDED
    notes = [b.text for b in Section().render(study) if isinstance(b, Text)]
    (reading,) = [note for note in notes if "Attention is not explanation" in note]
    assert "Jain and Wallace 2019" in reading
    assert reading.index("a picture's tokens") < reading.index("a text's") < reading.index("others")


def test_even_attention_hides_nothing_of_the_sample() -> None:
    even = {
        "image": replace(PARTS["image"], attention=(0.1,) * 4, over="patches"),
        "text": replace(PARTS["text"], attention=(0.2, math.nan), over="words"),
    }
    card = cards(with_examples(made(), even))[0]
    assert part(card, "image: attention").heat == [[0.0, 0.0], [0.0, 0.0]]
    assert part(card, "text: attention").words == [("no", 0.0), ("fever", 0.0)]


def test_where_nothing_is_attended_to_nothing_is_said_of_it() -> None:
    told = str(Section().render(with_examples(made())))
    assert "attention over" not in told
    assert "Attention is" not in told


def test_of_many_fields_those_that_matter_are_shown() -> None:
    fields = {f"f{place}": float(place) for place in range(30)}
    many = Shown("tabular", fields=fields, effects=tuple(place / 30 for place in range(30)))
    found = part(cards(with_examples(made(), {"tabular": many}))[0], "tabular")
    assert found.label == f"tabular ({30 - MOST_FIELDS} more fields that matter less)"
    assert [name for name, _, _ in found.lines][:2] == ["f29 29", "f28 28"]


def test_rows_that_were_not_explained_are_shown_all_the_same() -> None:
    plain = {key: replace(p, effects=(), whole=math.nan) for key, p in PARTS.items()}
    card = cards(with_examples(made(), plain))[0]
    assert part(card, "image").heat == []
    assert part(card, "text").words == [("no", 0.0), ("fever", 0.0)]
    assert [name for name, _, _ in part(card, "tabular").lines] == [
        "age 64",
        "sex f",
        "crp missing",
    ]


def test_numbers_have_no_classes() -> None:
    study = made(3)
    study = replace(study, task=replace(study.task, primary="stay_days", metric="rmse"))
    card = cards(with_examples(study))[0]
    assert "(" not in card.text
    assert "predicted number" in next(
        b.text for b in Section().render(with_examples(study)) if getattr(b, "style", "") == "note"
    )


@pytest.mark.parametrize("where", ["words", "fields", "ids", "classes"])
def test_hostile_data_is_inert_on_the_page(where: str) -> None:
    study, parts = made(), dict(PARTS)
    if where == "words":
        parts["text"] = Shown("text", words=(HOSTILE,), effects=(1.0,))
    elif where == "fields":
        parts["tabular"] = Shown("tabular", fields={HOSTILE: HOSTILE}, effects=(1.0,))
    elif where == "ids":
        odd = np.array([f"{HOSTILE}{place}" for place in range(len(study.ids["test"]))])
        study = replace(study, ids={**study.ids, "test": odd})
    else:
        spec = replace(study.task.targets["diagnosis"], classes=tuple(HOSTILE + c for c in "abc"))
        targets = {**study.task.targets, "diagnosis": spec}
        study = replace(study, task=replace(study.task, targets=targets))
    page = render_page(with_examples(study, parts), [Section()])
    assert 'class="broken"' not in page
    assert "alert(1)" in page
    assert "<script>alert" not in page
    assert "<img src=x" not in page
