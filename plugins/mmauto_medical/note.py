"""Clinical notes: sentences that state a note code, deny others, and say much that is beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from mmauto_medical.findings import CODES
from mmauto_medical.patients import People

LENGTH = (40, 80)
"""Words of a note, at least and at most."""

SYMPTOMS: Mapping[str, Sequence[str]] = {
    "infective": ("fever", "chills", "rigors", "productive cough", "purulent sputum", "sweats"),
    "cardiac": (
        "orthopnoea",
        "PND",
        "ankle swelling",
        "leg oedema",
        "rapid weight gain",
        "worsening HF",
    ),
    "pleuritic": (
        "sudden chest pain",
        "pleuritic CP",
        "stabbing pain",
        "pain on deep breaths",
        "sharp one-sided pain",
    ),
    "breathless": (
        "shortness of breath",
        "SOB",
        "dyspnoea",
        "SOBOE",
        "breathlessness on the stairs",
    ),
}
"""code -> symptoms, named where the code is stated and where it is denied: only the rest of the
sentence tells which. The code ``unspecific`` states none of them."""

STORIES: Mapping[str, Sequence[str]] = {
    "unspecific": (
        "Attends for a routine check before elective surgery.",
        "Tired for some weeks, otherwise well.",
        "Sent for imaging as part of a work medical.",
        "Here for follow-up, nothing new to report.",
        "Some loss of appetite, complaints otherwise vague.",
    ),
    "infective": (
        "Febrile at home to 39.2 despite paracetamol.",
        "Brings up green phlegm, feels hot and shivery.",
        "High temp for two days, started like a cold.",
        "Antibiotics from the GP have not helped so far.",
    ),
    "cardiac": (
        "Sleeps on three pillows, cannot lie flat.",
        "Hx of CCF with EF 30 %.",
        "Wakes at night gasping and sits at the window.",
        "Stopped furosemide last month, shoes too tight.",
    ),
    "pleuritic": (
        "Came on within seconds while lifting a box.",
        "It catches below the shoulder blade on breathing in.",
        "Like a knife between the ribs, from one moment to the next.",
        "Holds one side of the chest and breathes shallowly.",
    ),
    "breathless": (
        "Stops for air after fifty metres.",
        "Cannot finish a sentence when walking.",
        "Needs the lift now, used to climb four floors.",
        "Pauses halfway up the hill, cause unclear.",
    ),
}
"""code -> sentences that state it without naming a symptom, in many but not in all notes."""

STATING = (
    "Reports {}.",
    "C/o {}.",
    "Presents with {}.",
    "Has had {} since Monday.",
    "Increasing {} over three days.",
    "Now {} again.",
)
DENYING = (
    "No {}.",
    "Denies {}.",
    "Nil {}.",
    "Not troubled by {}.",
    "Has not had {} since Monday.",
    "Never had {} before or now.",
)

BESIDE: Sequence[str] = (
    "PMH: hypertension on amlodipine.",
    "Type 2 diabetes, diet controlled.",
    "Appendicectomy in 1998.",
    "Mother had heart failure in old age.",
    "Brother treated for fever and cough last winter.",
    "Father was short of breath for years from coal dust.",
    "Partner seen here last week with chest pain.",
    "Allergic to penicillin (rash).",
    "Lives with family, second floor, no lift.",
    "Office work, mostly seated.",
    "Flu vaccine up to date.",
    "Drinks alcohol on weekends.",
    "Osteoarthritis of both knees.",
    "Bowels regular, sleeping pattern unchanged.",
    "Keeps two cats and a parrot.",
    "Takes levothyroxine for an underactive thyroid.",
    "No recent travel.",
    "Wears glasses, hearing good.",
)
"""Sentences that every note may hold, whatever its code."""

PLACES = ("the emergency department", "the clinic", "the admissions unit", "a GP surgery")
CLOSINGS = ("CXR and bloods requested.", "Plan: chest film, then review.", "For X-ray today.")

# so often that single words tell most notes, so seldom that the rest needs the negations
_STORY = 0.8


def write(codes: np.ndarray, people: People, rng: np.random.Generator) -> list[str]:
    """One note a visit, of the text codes ``(N,)``."""
    names = CODES["text"]
    return [
        _note(names[code], int(age), str(sex), rng)
        for code, age, sex in zip(codes, people.age, people.sex, strict=True)
    ]


def _note(code: str, age: int, sex: str, rng: np.random.Generator) -> str:
    others = _some([name for name in SYMPTOMS if name != code], 3, rng)
    body = [*_stated(code, rng), *(_denied(name, rng) for name in others)]
    opening = f"{_person(age, sex, rng)} seen in {_one(PLACES, rng)}."
    closing = _one(CLOSINGS, rng)
    words = len(" ".join([opening, *body, closing]).split())
    wanted = rng.integers(LENGTH[0], LENGTH[1] - 12)
    for sentence in _some(BESIDE, len(BESIDE), rng):
        if words >= wanted:
            break
        body.append(sentence)
        words += len(sentence.split())
    return " ".join([opening, *_some(body, len(body), rng), closing])


def _stated(code: str, rng: np.random.Generator) -> list[str]:
    story = [_one(STORIES[code], rng)] if rng.random() < _STORY else []
    if code not in SYMPTOMS:
        return story
    named = _some(SYMPTOMS[code], 2 - len(story), rng)
    return [*story, *(_one(STATING, rng).format(symptom) for symptom in named)]


def _denied(code: str, rng: np.random.Generator) -> str:
    named = _some(SYMPTOMS[code], int(rng.integers(1, 3)), rng)
    return _one(DENYING, rng).format(" or ".join(named))


def _one(items: Sequence[str], rng: np.random.Generator) -> str:
    return items[int(rng.integers(len(items)))]


def _person(age: int, sex: str, rng: np.random.Generator) -> str:
    noun, letter = ("woman", "F") if sex == "female" else ("man", "M")
    return f"{age}-year-old {noun}" if rng.random() < 0.5 else f"{age}{letter}"


def _some(items: Sequence[str], count: int, rng: np.random.Generator) -> list[str]:
    return [items[index] for index in rng.permutation(len(items))[:count]]
