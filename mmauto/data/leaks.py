"""Columns, file names and single words that give the label away.

A legitimate predictor is rarely almost perfect on its own. What is (a diagnosis written after the
label was known, a folder named like the class, an order of rows sorted by class) makes every score
on such data worthless, since the column will not be there when it matters.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from mmauto.data.cells import numbers
from mmauto.data.dataset import TargetColumn
from mmauto.data.labels import observed
from mmauto.findings import Finding

MOST_ROWS = 20_000
"""More rows are sampled: a leak shows in any sample."""

FOLDS = 5
PERFECT = 0.97
STRONG = 0.85
"""AUROC from which one column is almost perfect, and from which it deserves a question."""

WORD = re.compile(r"\w+")
PART = re.compile(r"[^\W\d_]+|\d+")
"""``sick_012`` and ``sick12`` are two parts each: names are joined from them."""

TOKEN = 0.95
TOKEN_ROWS = 5
AFTERWARDS = frozenset(
    {"diagnosis", "diagnostic", "interpretation", "outcome", "result", "results", "verdict"}
    | {"conclusion", "impression", "label", "class", "target", "category", "decision", "birads"}
    | {"pathology", "histology", "prediction", "predicted", "score", "grade", "answer", "status"}
)
"""Words in the name of a column that is often written when the label is known already."""


def classes_of(target: TargetColumn) -> tuple[np.ndarray, np.ndarray]:
    """Rows with a label, and their class as 0, 1, ...; numbers are cut at their quartiles.

    Returns:
        ``(M,)`` row numbers and ``(M,)`` class indices; a multilabel target counts by its
        commonest label.
    """
    rows = np.flatnonzero(observed(target))
    values = target.values[rows]
    if target.kind == "regression":
        edges = np.unique(np.quantile(values.astype(float), [0.25, 0.5, 0.75]))
        return rows, np.searchsorted(edges, values.astype(float))
    if target.kind == "multilabel":
        return rows, values[:, int(np.argmax(values.sum(0)))].astype(int)
    return rows, np.unique(values.astype(str), return_inverse=True)[1]


def column_strength(cells: Sequence[Any], target: TargetColumn, seed: int = 0) -> float:
    """How well one column alone predicts the label: AUROC out of fold, mean over classes.

    A cell's class frequencies in the other folds are its prediction; numbers go through a small
    tree. 0.5 where the column repeats too little to tell.

    Args:
        cells: ``(N,)`` texts or None.
    """
    rows, classes = classes_of(target)
    generator = np.random.default_rng(seed)
    order = generator.permutation(len(rows))[:MOST_ROWS]
    rows, classes = rows[order], classes[order]
    chosen = [cells[row] for row in rows]
    values = numbers([None if cell is None else str(cell).strip() for cell in chosen])
    known = sum(cell is not None for cell in chosen)
    if known < 4 * FOLDS or len(np.unique(classes)) < 2:
        return 0.5
    fold = np.arange(len(rows)) % FOLDS
    numeric = np.isfinite(values).sum() >= 0.95 * known and len(set(chosen)) > 2
    predict = _by_tree if numeric else _by_value
    column = np.where(np.isfinite(values), values, np.nan) if numeric else np.array(chosen, object)
    given = np.zeros((len(rows), int(classes.max()) + 1))
    for number in range(FOLDS):
        there, here = fold != number, fold == number
        given[here] = predict(column[there], classes[there], column[here], given.shape[1])
    return _auroc(classes, given)


def _by_value(column: np.ndarray, classes: np.ndarray, asked: np.ndarray, width: int) -> np.ndarray:
    prior = np.bincount(classes, minlength=width) / len(classes)
    seen: dict[Any, np.ndarray] = {}
    for cell, place in zip(column, classes, strict=True):
        seen.setdefault(cell, np.zeros(width))[place] += 1
    none = np.zeros(width)
    counts = np.array([seen.get(cell, none) for cell in asked])
    return np.asarray((counts + 0.5 * prior) / (counts.sum(1, keepdims=True) + 0.5))


def _by_tree(column: np.ndarray, classes: np.ndarray, asked: np.ndarray, width: int) -> np.ndarray:
    from sklearn.tree import DecisionTreeClassifier

    tree = DecisionTreeClassifier(max_leaf_nodes=4 * width, min_samples_leaf=5, random_state=0)
    tree.fit(column[:, None], classes)
    given = np.zeros((len(asked), width))
    given[:, tree.classes_] = tree.predict_proba(asked[:, None])
    return given


def _auroc(classes: np.ndarray, given: np.ndarray) -> float:
    from sklearn.metrics import roc_auc_score

    each = [
        float(roc_auc_score(classes == place, given[:, place]))
        for place in np.unique(classes)
    ]  # fmt: skip
    return float(np.mean(each))


def column_leak(name: str, cells: Sequence[Any], target: TargetColumn) -> tuple[float, str] | None:
    """Why a column looks like a leak, with its strength; None where it does not."""
    strength = column_strength(cells, target)
    if strength >= PERFECT:
        return strength, f"column {name!r} alone predicts {target.name!r} almost perfectly"
    words = set(re.findall(r"[a-z]+", name.lower()))
    if strength >= STRONG and words & AFTERWARDS:
        return strength, (
            f"column {name!r} alone predicts {target.name!r} suspiciously well, and its name "
            "sounds like something that is written once the label is known"
        )
    return None


def token_leak(
    key: str, texts: Iterable[str | None], target: TargetColumn, what: str = "text"
) -> Finding | None:
    """A single word (or part of a path) that says almost exactly who belongs to a class.

    Args:
        texts: ``(N,)``.
        what: how the message calls them.
    """
    if target.kind == "regression":
        return None
    rows, classes = classes_of(target)
    every = list(texts)
    pattern = WORD if what == "text" else PART
    names = _class_names(target, rows, classes)
    carried: dict[str, Counter[int]] = {}
    for row, place in zip(rows[:MOST_ROWS], classes[:MOST_ROWS], strict=True):
        for token in set(pattern.findall((every[row] or "").lower())):
            carried.setdefault(token, Counter())[int(place)] += 1
    sizes = Counter(classes[:MOST_ROWS].tolist())
    found = []
    for token, counts in carried.items():
        place, hits = counts.most_common(1)[0]
        sure = min(hits / counts.total(), hits / sizes[place])
        if sure >= TOKEN and hits >= TOKEN_ROWS and len(sizes) > 1:
            found.append((sure, token, names[place]))
    if not found:
        return None
    sure, token, name = max(found)
    given = f"{len(found)} words" if len(found) > 1 else "a single word"
    return Finding(
        "leak",
        f"{what} {key!r}: {given} of it almost {'give' if len(found) > 1 else 'gives'} the label "
        f"away (e.g. {token!r} stands in {sure:.0%} of class {name!r} and hardly elsewhere)",
        "make sure that it is known before the label is; scores are worthless otherwise",
        warning=True,
    )


def _class_names(target: TargetColumn, rows: np.ndarray, classes: np.ndarray) -> Mapping[int, str]:
    if target.kind == "multilabel":
        return {0: "without", 1: target.classes[int(np.argmax(target.values[rows].sum(0)))]}
    return {
        int(place): str(target.values[row]) for row, place in zip(rows, classes, strict=True)
    }  # fmt: skip
