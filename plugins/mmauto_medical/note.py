"""Clinical notes: sentences that state a note code, deny others, and say much that is beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from mmauto_medical.findings import CODES
from mmauto_medical.patients import People

LENGTH = (40, 80)
"""Words of a note, at least and at most."""

PRESENT: Mapping[str, Sequence[str]] = {
    "unspecific": (
        "Attends for a routine check before elective surgery.",
        "Feels generally well at present.",
        "Tired for some weeks, otherwise no particular complaint.",
        "Sent for imaging as part of a work medical.",
        "Here for follow-up, nothing new to report.",
        "Some loss of appetite, symptoms otherwise vague.",
    ),
    "infective": (
        "Fever and productive cough for three days.",
        "Febrile at home to 39.2 with rigors.",
        "Brings up green sputum, feels hot and shivery.",
        "Since Monday cough with yellow sputum, chills overnight.",
        "High temp for two days, purulent sputum.",
        "Cough, fever and sweats, worse despite paracetamol.",
    ),
    "cardiac": (
        "Sleeps on three pillows and has swollen ankles.",
        "Known heart failure (EF 30 %), orthopnoea worse this week.",
        "Wakes at night gasping (PND), leg oedema to the knees.",
        "Hx of CCF, stopped furosemide last month, weight up 4 kg.",
        "Cannot lie flat, ankle swelling for ten days.",
        "Orthopnoea and PND, previous admission with HF.",
    ),
    "pleuritic": (
        "Sudden sharp chest pain on one side, worse on breathing in.",
        "Abrupt stabbing pain in the chest while lifting a box.",
        "Pleuritic CP since this morning, came on within seconds.",
        "One-sided chest pain, sudden onset at rest.",
        "Pain catches on deep breaths, started suddenly last night.",
        "Acute pleuritic pain below the shoulder blade.",
    ),
    "breathless": (
        "Short of breath on the stairs since the weekend.",
        "SOB on exertion, cause unclear.",
        "Dyspnoea increasing over two days.",
        "Out of breath when walking to the shop.",
        "Needs to stop for air after fifty metres.",
        "Dyspnoea at rest today, SOBOE before.",
    ),
}
"""code -> sentences that state it; a note takes two."""

ABSENT: Mapping[str, Sequence[str]] = {
    "infective": (
        "No fever, chills or rigors.",
        "Denies productive cough, no green or yellow sputum.",
        "Not febrile at home, no sweats.",
        "Nil sputum, no cough, not hot or shivery.",
        "No cough or fever since Monday.",
    ),
    "cardiac": (
        "No orthopnoea, no PND.",
        "Denies ankle swelling or leg oedema.",
        "No hx of HF or CCF, weight steady.",
        "Can lie flat, no swollen ankles.",
        "Does not wake gasping, sleeps without extra pillows.",
    ),
    "pleuritic": (
        "No chest pain, sudden or otherwise.",
        "Denies sharp or stabbing chest pain.",
        "Nil pleuritic CP, no pain on breathing in.",
        "No pain on deep breaths, nothing of sudden onset.",
        "Without one-sided pain in the chest.",
    ),
    "breathless": (
        "Not short of breath on the stairs.",
        "Denies dyspnoea or SOB.",
        "No SOBOE, no dyspnoea at rest.",
        "Never out of breath when walking.",
        "Does not need to stop for air.",
    ),
}
"""code -> sentences that deny it; a note takes one each of three codes that it does not state."""

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

_PLACES = ("the emergency department", "the clinic", "the admissions unit", "a GP surgery")
_CLOSINGS = ("CXR and bloods requested.", "Plan: chest film, then review.", "For X-ray today.")


def write(codes: np.ndarray, people: People, rng: np.random.Generator) -> list[str]:
    """One note a visit, of the text codes ``(N,)``."""
    names = CODES["text"]
    return [
        _note(names[code], int(age), str(sex), rng)
        for code, age, sex in zip(codes, people.age, people.sex, strict=True)
    ]


def _note(code: str, age: int, sex: str, rng: np.random.Generator) -> str:
    others = _some([name for name in ABSENT if name != code], 3, rng)
    body = [
        *_some(PRESENT[code], 2, rng),
        *(sentence for name in others for sentence in _some(ABSENT[name], 1, rng)),
    ]
    opening = f"{_person(age, sex, rng)} seen in {_some(_PLACES, 1, rng)[0]}."
    closing = _some(_CLOSINGS, 1, rng)[0]
    words = len(" ".join([opening, *body, closing]).split())
    wanted = rng.integers(LENGTH[0], LENGTH[1] - 12)
    for sentence in _some(BESIDE, len(BESIDE), rng):
        if words >= wanted:
            break
        body.append(sentence)
        words += len(sentence.split())
    return " ".join([opening, *_some(body, len(body), rng), closing])


def _person(age: int, sex: str, rng: np.random.Generator) -> str:
    noun, letter = ("woman", "F") if sex == "female" else ("man", "M")
    return f"{age}-year-old {noun}" if rng.random() < 0.5 else f"{age}{letter}"


def _some(items: Sequence[str], count: int, rng: np.random.Generator) -> list[str]:
    return [items[index] for index in rng.permutation(len(items))[:count]]
