"""Optuna's view of a study: its own tables in the same database, for its own tools.

``optuna.load_study(study_name="NAME/ARM", storage="sqlite:///study.db")`` and optuna-dashboard work
on them; in a shared database the name is ``mmauto/NAME/ARM``. They are a copy: nothing is ever read
back from them.

Optuna makes its tables and studies itself. The rows of trials are written in bulk: its
``study.add_trial`` takes 10-30 ms a trial, minutes for a large study.
"""

from __future__ import annotations

import datetime
import json
import math
import warnings
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, MetaData, insert, select

from mmauto.store.database import alone
from mmauto.store.lasting import lasting, unusable
from mmauto.store.place import HOME
from mmauto.store.study import StudyStore
from mmauto.tuning.arms import Arm
from mmauto.tuning.optuna_words import STATES, distributions, told
from mmauto.views import TrialView

if TYPE_CHECKING:
    from optuna.storages import RDBStorage

MARK = "mmauto_trial"
"""The user attribute that holds a trial's id in our own tables."""
TABLES = (
    "trials", "trial_params", "trial_values", "trial_intermediate_values", "trial_user_attributes",
)  # fmt: skip


def mirror(store: StudyStore, arms: Sequence[Arm], maximise: bool) -> None:
    """Add the finished trials that are not there yet."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    trials = store.trials()
    with warnings.catch_warnings():
        # creating many studies in one file is what is meant here
        warnings.simplefilter("ignore", UserWarning)
        storage = _storage(store)
    tables = MetaData()
    try:
        lasting(store.engine, lambda connection: tables.reflect(connection, only=TABLES))
        for arm in arms:
            name = f"{'mmauto/' if HOME in store.facts else ''}{store.name}/{arm.name}"
            optuna.create_study(
                study_name=name,
                storage=storage,
                direction="maximize" if maximise else "minimize",
                load_if_exists=True,
            )
            study = storage.get_study_id_from_name(name)
            own = [t for t in trials if t.arm == arm.name and t.state in STATES]
            add = partial(_add, tables=tables, study=study, arm=arm, trials=own)
            lasting(store.engine, add, store.fence, "written to")
    except optuna.exceptions.StorageInternalError as error:
        raise unusable(store.engine, error) from error
    finally:
        storage.remove_session()
        storage.engine.dispose()


def _storage(store: StudyStore) -> RDBStorage:
    """Optuna's door to the store's database, where it makes its tables if need be."""
    import optuna

    url = store.engine.url.render_as_string(hide_password=False)

    def make(connection: Connection) -> RDBStorage:
        if connection.dialect.name == "postgresql":  # studies that end together make tables once
            alone(connection)
        return optuna.storages.RDBStorage(url)

    return lasting(store.engine, make, store.fence, "written to")


def _add(
    connection: Connection, tables: MetaData, study: int, arm: Arm, trials: Sequence[TrialView]
) -> None:
    """Write the rows of one arm's trials that are not there yet."""
    table, marks = tables.tables["trials"], tables.tables["trial_user_attributes"]
    query = (
        select(marks.c.value_json)
        .join(table)
        .where((table.c.study_id == study) & (marks.c.key == MARK))
    )
    there = {json.loads(text) for (text,) in connection.execute(query)}
    fresh = [trial for trial in trials if trial.id not in there]
    if not fresh:
        return
    spread = distributions(arm.space)
    parts = [_rows(arm, trial, spread) for trial in fresh]
    parents = [
        {**rows["trials"][0], "number": len(there) + place, "study_id": study}
        for place, rows in enumerate(parts)
    ]
    ids = insert(table).returning(table.c.trial_id, sort_by_parameter_order=True)
    given = [row.trial_id for row in connection.execute(ids, parents)]
    for name in TABLES[1:]:
        rows = [
            {"trial_id": identity, **row}
            for identity, own in zip(given, parts, strict=True)
            for row in own[name]
        ]
        if rows:
            connection.execute(insert(tables.tables[name]), rows)


def _rows(arm: Arm, trial: TrialView, spread: Mapping[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Table -> what a trial puts in it, but for the ids."""
    from optuna.distributions import distribution_to_json

    started = datetime.datetime.fromtimestamp(trial.started)
    ended = started + datetime.timedelta(seconds=trial.seconds)
    value = trial.value if trial.state != "failed" else None
    return {
        "trials": [
            {"state": STATES[trial.state], "datetime_start": started, "datetime_complete": ended}
        ],
        "trial_params": [
            {"param_name": name, "param_value": spread[name].to_internal_repr(given),
             "distribution_json": distribution_to_json(spread[name])}
            for name, given in told(arm, trial, spread).items()
        ],
        "trial_values": [{"objective": 0, "value": value, "value_type": "FINITE"}]
        if value is not None and math.isfinite(value)
        else [],
        "trial_intermediate_values": [
            {"step": epoch, "intermediate_value": value, "intermediate_value_type": "FINITE"}
            for epoch, value in enumerate(trial.curve)
            if math.isfinite(value)
        ],
        "trial_user_attributes": [{"key": MARK, "value_json": json.dumps(trial.id)}],
    }  # fmt: skip
