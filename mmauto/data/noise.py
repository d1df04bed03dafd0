"""Rows whose label is probably wrong: confident learning with a cheap model out of fold.

A class's threshold is the mean probability that the model gives it on rows that carry it; a row is
a candidate where another class passes its threshold and the given class is very unlikely (Northcutt
et al. 2021, Confident Learning, JAIR 70). Words, numbers and tiny thumbnails feed a logistic
regression, so only labels that contradict plain evidence are found.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from mmauto.data.dataset import Dataset
from mmauto.data.leaks import classes_of
from mmauto.data.looks import THUMB, Look

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix


MOST_ROWS = 20_000
LEAST_A_CLASS = 10
FOLDS = 5
UNLIKELY = 0.05
SURE = 0.95
MOST_ODD = 0.05
"""Share of the confident rows that may be odd for the model to be believed."""

COMPONENTS = 64
LEAST_FEATURES = 3
WORDS = 20_000


def suspicious_labels(data: Dataset, seed: int = 0) -> np.ndarray:
    """Row numbers, the most suspicious first; empty where the cheap model tells nothing.

    Only the primary target is looked at, and only where it is binary or multiclass.
    """
    target = next(iter(data.targets.values()))
    if target.kind not in ("binary", "multiclass"):
        return np.array([], dtype=int)
    rows, classes = classes_of(target)
    chosen = np.random.default_rng(seed).permutation(len(rows))[:MOST_ROWS]
    counts = np.bincount(classes[chosen])
    chosen = chosen[counts[classes[chosen]] >= LEAST_A_CLASS]
    rows, classes = rows[chosen], np.unique(classes[chosen], return_inverse=True)[1]
    if not len(rows) or classes.max() < 1:
        return np.array([], dtype=int)
    features = _features(data, rows)
    if features.shape[1] < LEAST_FEATURES:
        return np.array([], dtype=int)
    given = _out_of_fold(features, classes)
    own = given[np.arange(len(rows)), classes]
    thresholds = np.array([given[classes == k, k].mean() for k in range(given.shape[1])])
    others = np.where(np.eye(given.shape[1], dtype=bool)[classes], 0.0, given)
    rival = others.argmax(1)
    height = others.max(1)
    odd = (height >= np.maximum(thresholds[rival], SURE)) & (own <= UNLIKELY)
    # a model that is often sure and wrong knows nothing about labels
    if odd.sum() > MOST_ODD * (given.max(1) >= SURE).sum():
        return np.array([], dtype=int)
    return np.asarray(rows[odd][np.argsort(own[odd], kind="stable")])


def _out_of_fold(features: csr_matrix, classes: np.ndarray) -> np.ndarray:
    """``(M, classes)`` probabilities of models that did not see the row."""
    from sklearn.decomposition import TruncatedSVD
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import MaxAbsScaler, StandardScaler
    from threadpoolctl import threadpool_limits

    # few components: a model of every word would be sure of all it has seen once
    few = TruncatedSVD(min(COMPONENTS, features.shape[1] - 1), random_state=0)
    logistic = LogisticRegression(C=0.1, max_iter=1000)
    model = make_pipeline(MaxAbsScaler(), few, StandardScaler(), logistic)
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=0)
    # two threads on busy cores wait for each other longer than they compute
    with threadpool_limits(1):
        found = cross_val_predict(model, features, classes, cv=folds, method="predict_proba")
    return np.asarray(found)


def _features(data: Dataset, rows: np.ndarray) -> csr_matrix:
    """``(M, D)`` sparse: TF-IDF of texts, one-hot categories, numbers, thumbnails."""
    from scipy.sparse import csr_matrix, hstack
    from sklearn.feature_extraction import DictVectorizer
    from sklearn.feature_extraction.text import TfidfVectorizer

    parts = []
    for key, column in data.columns.items():
        samples = column.take(rows)
        if column.modality == "text" and any(re.search(r"\w", text or "") for text in samples):
            words = TfidfVectorizer(max_features=WORDS, token_pattern=r"(?u)\b\w+\b")
            parts.append(words.fit_transform([text or "" for text in samples]))
        elif column.modality == "tabular":
            kept = [
                {name: value for name, value in (row or {}).items() if value is not None}
                for row in samples
            ]
            parts.append(DictVectorizer().fit_transform(kept))
        elif column.modality == "image":
            looks = data.looks.get(key)
            thumbs = map(_thumbnail, samples) if looks is None else [_seen(looks[r]) for r in rows]
            parts.append(csr_matrix(np.stack(list(thumbs))))
    return csr_matrix(hstack(parts)) if parts else csr_matrix((len(rows), 1))


def _seen(look: Look | None) -> np.ndarray:
    """A picture in little, from -1 to 1; zeros where there is none."""
    thumb = None if look is None else look.thumb
    return np.zeros(THUMB * THUMB * 3) if thumb is None else thumb / 127.5 - 1


def _thumbnail(image: object) -> np.ndarray:
    from PIL.Image import Image, Resampling

    if not isinstance(image, Image):
        return _seen(None)
    small = image.resize((THUMB, THUMB), Resampling.BOX)
    return _seen(Look(thumb=np.asarray(small).ravel()))
