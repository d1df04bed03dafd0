"""Whether a study is one, or several folds in one."""

from __future__ import annotations

from mmauto.plugin import StudyView


def is_pooled(study: StudyView) -> bool:
    """The folds of a nested cross-validation, each row tested in one of them, are shown as one."""
    return bool(study.config.get("folds")) and "fold" not in study.config
