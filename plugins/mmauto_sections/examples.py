"""Single test rows: the winner's surest mistakes, and where arms disagree most."""

from __future__ import annotations

import base64
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from mmauto.plugin import (
    Bars,
    Block,
    Card,
    Gallery,
    Picture,
    Section,
    Shown,
    StudyView,
    Text,
    Words,
    answered,
)
from mmauto_sections.colours import HUES

FAINT = 0.05
"""Effects below this probability, or share of the target's deviation, are never drawn in full."""
MOST_FIELDS = 6
MOST_TOKENS = 4
ATTENDED = HUES[2]
"""Neither colour of an effect: attention speaks neither for an answer nor against it."""

TITLES = {
    "mistake": "The surest mistakes of {arm} on the test rows, the surest one first.",
    "disagreement": "The test rows on which the best arms and the reference disagree most.",
}


class Examples(Section):
    """Pictures, texts and fields of test rows, with what the winner looks at."""

    name = "examples"
    summary = "the surest mistakes and the largest disagreements, with what the model looks at"
    reference = "Zeiler and Fergus 2014 (occlusion); Li, Monroe and Jurafsky 2016 (erasure)"
    title = "Examples"
    order = 85

    def render(self, study: StudyView) -> Sequence[Block]:
        """A gallery of mistakes and one of disagreements; nothing where no rows were kept."""
        found = study.examples
        if found is None or not found.rows:
            return []
        told = answered(study, [example.row for example in found.rows])
        blocks: list[Block] = []
        for why, title in TITLES.items():
            pairs = [(e, t) for e, t in zip(found.rows, told, strict=True) if e.why == why]
            if pairs:
                blocks.append(Text(title.format(arm=found.arm), "lead"))
                blocks.append(Gallery([_card(study, *pair) for pair in pairs]))
        notes = [_reading(study), *_weighing(found.rows), *found.notes]
        return [*blocks, *(Text(note, "note") for note in notes)]


def _reading(study: StudyView) -> str:
    of = _unit(study)
    return (
        "Colours say what a piece of the sample did to the answer of the winner's kept model when "
        "it was hidden (a patch painted over, a word left out, a field set to its typical value): "
        f"orange spoke for the answer, blue against it. Numbers are what {of} loses by it. "
        "Colours compare pieces of one modality of one row. Point at a picture to see it alone. "
        "Effects show what the model used, which need not be what causes the label. This section "
        "holds rows of the data; a search with --probe-rows 0 leaves it out."
    )


def _weighing(rows: Sequence[Any]) -> list[str]:
    """How to read attention, where some is shown."""
    over = {part.over for row in rows for part in row.parts.values() if part.over}
    if not over:
        return []
    laid = {
        "patches": "a picture's tokens, where their number is a square, lie over it row by row",
        "words": "a text's tokens are summed up word by word",
        "tokens": f"of others the {MOST_TOKENS} tokens with the largest shares are listed",
    }
    told = [text for name, text in laid.items() if name in over]
    return [
        "Green is what the fusion itself attends to more than evenly, the more the fuller: "
        f"{'; '.join(told)}. Attention is not explanation: other weights can give the same answer "
        "(Jain and Wallace 2019), so trust what hiding a piece did over it."
    ]


def _unit(study: StudyView) -> str:
    kind = study.task.targets[study.task.primary].kind
    return "the predicted number" if kind == "regression" else "the answer's probability"


def _card(study: StudyView, example: Any, told: Any) -> Card:
    first = told.answers[0]
    chances = ", ".join(f"{name} {chance:.2f}" for name, chance in first.chances.items())
    text = f"Truth: {told.truth}. {first.arm} says: {first.says}"
    name = str(study.ids["test"][example.row])
    faint = _faint(study)
    parts: list[Any] = [
        block
        for key, part in example.parts.items()
        for block in (
            *_part(key, part, f"{key} of {name}", faint),
            *_attention(key, part, f"attention over {key} of {name}"),
        )
    ]
    return Card(
        name,
        f"{text} ({chances})." if chances else f"{text}.",
        [*parts, *_wholes(example.parts, faint), _arms(study, told)],
    )


def _faint(study: StudyView) -> float:
    """The smallest effect that is drawn in full colour."""
    spec = study.task.targets[study.task.primary]
    if spec.kind != "regression":
        return FAINT
    return FAINT * float(np.nanstd(study.truth["test"][spec.name])) or 1.0


def _part(key: str, part: Shown, alt: str, faint: float) -> list[Any]:
    weights = _scaled(part.effects, faint)
    if part.picture:
        return [Picture(key, base64.b64encode(part.picture).decode(), alt, _grid(weights))]
    if part.words:
        weights = weights or [0.0] * len(part.words)
        return [Words(key, list(zip(part.words, weights, strict=True)))]
    if part.fields:
        return [_fields(key, part, weights, faint)]
    return []


def _attention(key: str, part: Shown, alt: str) -> list[Any]:
    """What the fusion's attention weighs, over what it could be laid."""
    if not part.over:
        return []
    shares = np.array(part.attention)
    even = float(np.nanmean(shares))
    # what is attended to evenly stays bare: a colour over all of it would hide the sample
    weights = _scaled(np.maximum(shares - even, 0.0), even)
    label = f"{key}: attention over {part.over}"
    if part.over == "patches":
        data = base64.b64encode(part.picture).decode()
        return [Picture(label, data, alt, _grid(weights), ATTENDED)]
    if part.over == "words":
        return [Words(label, list(zip(part.words, weights, strict=True)), ATTENDED)]
    bars, order = _scaled(shares, 0.0), np.argsort(-shares, kind="stable")[:MOST_TOKENS]
    lines = [(f"token {at + 1}", f"{shares[at]:.3f}", bars[at]) for at in order.tolist()]
    return [Bars(f"{label} ({len(shares)} in all)", lines, ATTENDED)]


def _grid(weights: Sequence[float]) -> list[Sequence[float]]:
    """Rows of a square."""
    side = math.isqrt(len(weights))
    return [weights[start : start + side] for start in range(0, side**2, side or 1)]


def _fields(key: str, part: Shown, weights: Sequence[float], faint: float) -> Bars:
    """The fields that matter most; in their own order where none is known to."""
    weights = weights or [0.0] * len(part.fields)
    effects = part.effects or (math.nan,) * len(part.fields)
    lines = sorted(
        zip(part.fields.items(), weights, effects, strict=True), key=lambda line: -abs(line[1])
    )
    left = len(lines) - MOST_FIELDS
    label = f"{key} ({left} more fields that matter less)" if left > 0 else key
    return Bars(
        label,
        [
            (f"{name} {_value(value)}", _signed(effect, faint), weight)
            for (name, value), weight, effect in lines[:MOST_FIELDS]
        ],
    )


def _wholes(parts: Any, faint: float) -> list[Bars]:
    """What hiding each modality costs, where there are several."""
    known = {key: part for key, part in parts.items() if not math.isnan(part.whole)}
    if len(known) < 2:
        return []
    weights = _scaled([part.whole for part in known.values()], faint)
    lines = [
        (key + _share(part.weight), _signed(part.whole, faint), weight)
        for (key, part), weight in zip(known.items(), weights, strict=True)
    ]
    return [Bars("by hiding all of it", lines)]


def _share(weight: float) -> str:
    return "" if math.isnan(weight) else f", weight {weight:.2f}"


def _arms(study: StudyView, told: Any) -> Bars:
    if study.task.targets[study.task.primary].kind == "regression":
        return Bars("arms say", [(one.arm, one.says, 0.0) for one in told.answers])
    lines = [(one.arm, f"{one.says} (truth {one.right:.2f})", 0.0) for one in told.answers]
    return Bars("arms say (and give the truth)", lines)


def _scaled(effects: Sequence[float] | np.ndarray, faint: float) -> list[float]:
    """Effects from -1 to 1; 0 where a piece was not hidden."""
    known = np.nan_to_num(np.array(effects, dtype=float))
    most = max(faint, float(np.abs(known).max(initial=0.0)))
    return [float(value) for value in (known / most).round(3)]


def _value(value: float | str | None) -> str:
    if value is None:
        return "missing"
    return value if isinstance(value, str) else f"{value:.4g}"


def _signed(effect: float, faint: float) -> str:
    """With decimals that an effect worth a colour needs."""
    decimals = max(0, 1 - math.floor(math.log10(faint)))
    return "–" if math.isnan(effect) else f"{effect:+.{decimals}f}"
