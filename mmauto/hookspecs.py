"""The six hooks. Each takes nothing, returns components and imports nothing heavy.

A plugin package marks functions of these names with ``mmauto.plugin.hookimpl`` and names its
module under the entry-point group ``mmauto``.
"""

from __future__ import annotations

from collections.abc import Sequence

import pluggy

from mmauto.contracts import Control, Encoder, Fusion, Regulariser, Section, Task

hookspec = pluggy.HookspecMarker("mmauto")
hookimpl = pluggy.HookimplMarker("mmauto")


@hookspec
def mmauto_encoders() -> Sequence[Encoder]:  # type: ignore[empty-body]
    """Encoders: one modality in, tokens out."""


@hookspec
def mmauto_fusions() -> Sequence[Fusion]:  # type: ignore[empty-body]
    """Fusion strategies: tokens of several modalities in, outputs out."""


@hookspec
def mmauto_regularisers() -> Sequence[Regulariser]:  # type: ignore[empty-body]
    """Training terms that combine with any fusion that offers what they need."""


@hookspec
def mmauto_controls() -> Sequence[Control]:  # type: ignore[empty-body]
    """Contenders that fusion must beat."""


@hookspec
def mmauto_tasks() -> Sequence[Task]:  # type: ignore[empty-body]
    """Named data with targets."""


@hookspec
def mmauto_sections() -> Sequence[Section]:  # type: ignore[empty-body]
    """Sections of the report."""
