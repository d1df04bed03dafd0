"""Folders on their way between machines that share no folder."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from mmauto.engine.jobs import ExplainJob, ProbeJob, TrialJob

Parcel: TypeAlias = Mapping[str, np.ndarray]
"""A folder's files: path in it -> ``(bytes,)`` uint8, which Ray moves without copies."""


def packed(folder: Path) -> Parcel:
    """The files of a folder; none where it is not there."""
    return {
        file.relative_to(folder).as_posix(): np.fromfile(file, np.uint8)
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


def unpacked(parcel: Parcel, folder: Path) -> None:
    """Write them to a folder; an older one is replaced."""
    shutil.rmtree(folder, ignore_errors=True)
    for name, content in parcel.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        content.tofile(file)


def folders_read(work: Any) -> list[str]:
    """The bundles that some work begins with."""
    if isinstance(work, ProbeJob):
        return list(work.folders.values())
    return [work.folder] if isinstance(work, ExplainJob) else []


def folders_written(work: Any) -> dict[int, str]:
    """The bundles that some work leaves, by the job's id."""
    jobs = work if isinstance(work, Sequence) else ()
    return {job.id: job.bundle for job in jobs if job.bundle is not None}


def moved(work: Any, place: Callable[[str], str]) -> Any:
    """The same work with every bundle's folder elsewhere, and no checkpoints: they would stay."""
    if isinstance(work, ProbeJob):
        return replace(work, folders={arm: place(own) for arm, own in work.folders.items()})
    if isinstance(work, ExplainJob):
        return replace(work, folder=place(work.folder))
    if not isinstance(work, Sequence):
        return work

    def one(job: TrialJob) -> TrialJob:
        bundle = None if job.bundle is None else place(job.bundle)
        return replace(job, bundle=bundle, checkpoints="")

    return [one(job) for job in work]
