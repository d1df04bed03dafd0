"""The tables of a study. Those named ``mmauto_*`` are the truth; Optuna's stand beside them."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import (
    JSON,
    Column,
    Dialect,
    Float,
    ForeignKey,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
)

VERSION = 1
"""Raised by each migration in `MIGRATIONS`."""


class _JsonText(TypeDecorator[Any]):
    """JSON as Python writes it: the types of servers refuse NaN."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str:
        return json.dumps(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        return None if value is None else json.loads(value)


Json = _JsonText().with_variant(JSON(), "sqlite")

metadata = MetaData()

schema = Table(
    "mmauto_schema",
    metadata,
    Column("version", Integer, primary_key=True),
    Column("written_by", String(50), nullable=False),
)

studies = Table(
    "mmauto_studies",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String(100), nullable=False, unique=True),
    Column("created", Float, nullable=False),  # Unix seconds
    Column("config", Json, nullable=False),
    Column("task", Json, nullable=False),
    Column("facts", Json, nullable=False),  # rows, ceiling, notes, fingerprint
    Column("environment", Json, nullable=False),
    Column("command", Text, nullable=False),
    Column("state", String(20), nullable=False),  # searching, confirming, finished
    Column("seconds", Float, nullable=False, default=0.0),  # spent by all runs so far
)

arms = Table(
    "mmauto_arms",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("study_id", ForeignKey("mmauto_studies.id", ondelete="CASCADE"), nullable=False),
    Column("name", String(100), nullable=False),
    Column("position", Integer, nullable=False),
    Column("kind", String(20), nullable=False),
    Column("component", String(100), nullable=False),
    Column("stage", String(30), nullable=False),
    Column("summary", Text, nullable=False),
    Column("importances", Json, nullable=False),
    Column("parked", Integer, nullable=False, default=0),
    UniqueConstraint("study_id", "name"),
)

trials = Table(
    "mmauto_trials",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("study_id", ForeignKey("mmauto_studies.id", ondelete="CASCADE"), nullable=False),
    Column("arm", String(100), nullable=False, index=True),
    Column("purpose", String(10), nullable=False),  # search, confirm
    Column("generation", Integer, nullable=False),
    Column("number", Integer, nullable=False),  # within the arm; the seed's place when confirming
    Column("seed", Integer, nullable=False),
    Column("source", Integer),  # the search trial that a confirmation repeats
    Column("state", String(10), nullable=False),  # running, complete, pruned, failed
    Column("params", Json, nullable=False),
    Column("value", Float),
    Column("best_epoch", Integer),
    Column("started", Float, nullable=False, default=0.0),
    Column("seconds", Float, nullable=False, default=0.0),
    Column("costs", Json, nullable=False),
    Column("predictions", String(200)),  # a file beside the database
    Column("failure_kind", String(10)),
    Column("failure_message", Text),
    Column("failure_traceback", Text),
    UniqueConstraint("study_id", "arm", "purpose", "number"),
)

epochs = Table(
    "mmauto_epochs",
    metadata,
    Column("trial_id", ForeignKey("mmauto_trials.id", ondelete="CASCADE"), primary_key=True),
    Column("epoch", Integer, primary_key=True),
    Column("value", Float, nullable=False),
    Column("loss", Float),
)
