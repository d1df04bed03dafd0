"""A new plugin package: one component that works, its tests, and how to publish it."""

from __future__ import annotations

from mmauto.scaffold.package import Plan, plan, write

__all__ = ["Plan", "plan", "write"]
