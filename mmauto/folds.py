"""The studies of a nested cross-validation: one after another, and read as one.

They stand in ``NAME/folds/1`` and so on; each is a whole study of its own, with the same
configuration and seed.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from mmauto.answers.pooled import pooled
from mmauto.answers.view import study_view
from mmauto.config import StudyConfig, difference, from_mapping
from mmauto.engine.metrics import METRICS
from mmauto.errors import ConfigError, StoreError, unknown
from mmauto.findings import Finding, RoleGuess
from mmauto.store.place import is_study, storage_of
from mmauto.store.study import StudyStore
from mmauto.toml import read_toml
from mmauto.tuning.record import kept_settings, write_study_toml
from mmauto.tuning.watch import Watcher
from mmauto.views import ArmView, StudyView, TrialView

STATES = ("searching", "confirming", "finished")
FOUND = ("target", "image", "text", "tabular", "group", "split", "id", "domain", "roles")
"""Settings that reading the data fills in where they are not given."""


def fold_stores(folder: Path) -> Iterator[tuple[int, StudyStore]]:
    """Each fold that has begun and its study, closed when the next one is asked for."""
    if is_study(folder):
        return
    for place in sorted(int(p.name) for p in (folder / "folds").glob("*") if p.name.isdigit()):
        store = StudyStore.open(folder / "folds" / str(place))
        if store is not None:
            with closing(store):
                yield place, store


def fold_states(folder: Path) -> dict[int, str]:
    """Fold -> ``searching``, ``confirming`` or ``finished``, of those that have begun."""
    return {fold: store.state[0] for fold, store in fold_stores(folder)}


def slowest(folder: Path) -> str:
    """The state of the whole: that of the fold that has come least far."""
    states = fold_states(folder)
    begun = len(states) == stored_config(folder).folds
    return min(states.values(), key=STATES.index) if begun else STATES[0]


def stored_config(folder: Path) -> StudyConfig:
    """The configuration of the whole, with what the first fold found in the data."""
    stored, part = next((dict(store.config), store.folder) for _, store in fold_stores(folder))
    kept = kept_settings(part / "study.toml")
    if "time" in kept:
        kept["time"] *= stored["folds"]
    own = {"fold": 0, "name": folder.name, "out": str(folder.parent), "storage": storage_of(part)}
    return from_mapping({**stored, **kept, **own})


def unfinished(config: StudyConfig, watcher: Watcher) -> Iterator[tuple[StudyConfig, Watcher]]:
    """The folds that are left, one after another, and who watches each; a study without has itself.

    Raises:
        ConfigError: what there is of this name has another configuration.
    """
    states = {} if config.fold else fold_states(config.folder)
    if states:
        before = stored_config(config.folder)
        # a fold has the folder of an earlier study that the whole has by name (`StudyConfig.part`)
        if before.warm_start == str(Path(config.out) / (config.warm_start or "")):
            config = replace(config, warm_start=before.warm_start)
        _refuse_change(config, before)
    if config.fold or not config.folds:
        yield config, watcher
        return
    if is_study(config.folder):
        _refuse_change(config, replace(config, folds=0))
    left = [fold for fold in range(1, config.folds + 1) if states.get(fold) != STATES[-1]]
    for fold in left:
        what = f"fold {fold} of {config.folds}"
        watcher.note(what)
        yield config.part(fold), _OneFold(watcher, what, fold == left[0])
    if not left:
        watcher.note("all folds are finished; nothing is left to train")


def _refuse_change(config: StudyConfig, before: StudyConfig) -> None:
    stored, given = before.identity(), config.identity()
    usual = StudyConfig().identity()
    filled = {key for key in FOUND if given.get(key) == usual.get(key)}
    changed = difference(
        {key: value for key, value in stored.items() if key not in filled},
        {key: value for key, value in given.items() if key not in filled},
    )
    if changed:
        raise ConfigError(
            f"folds continue only with their own configuration, {config.folder} differs in: "
            f"{'; '.join(changed)}; use --name for a new study, or --resume {config.name} to "
            "continue as it is"
        )


def pooled_view(folder: Path) -> StudyView:
    """The finished folds as one study; the first fold as far as it is where none is finished."""
    counted = _counted(folder)
    views = [study_view(store) for fold, store in fold_stores(folder) if fold in counted]
    return replace(pooled(views), name=folder.name)


def _counted(folder: Path) -> set[int]:
    states = fold_states(folder)
    return {fold for fold, state in states.items() if state == STATES[-1]} or {min(states)}


def best_model(folder: Path, arm: str | None) -> tuple[int, str]:
    """The fold in which an arm (None: the fold's winner) validated best, and that arm.

    Raises:
        StoreError: no fold has a result of it.
    """
    runs: dict[tuple[int, str], list[float]] = {}
    maximise, counted = True, _counted(folder)
    for fold, store in fold_stores(folder):
        maximise = METRICS[store.task.metric].maximise
        for row in store.rows("confirm") if fold in counted else ():
            if row.value is not None:
                runs.setdefault((fold, row.arm), []).append(row.value)
    values = {key: statistics.fmean(own) for key, own in runs.items() if arm in (None, key[1])}
    if not values:
        known = dict.fromkeys(name for _, name in runs)
        raise StoreError(unknown("confirmed arm", str(arm), known, source=str(folder)))
    return (max if maximise else min)(values, key=values.__getitem__)


def write_whole(folder: Path) -> None:
    """Write ``study.toml`` of the whole: a study file that `mmauto search` reads."""
    first, about = next((fold, dict(one.environment)) for fold, one in fold_stores(folder))
    # unlike the database, the first fold's file also has what may change when a study continues
    part = from_mapping(read_toml(folder / "folds" / str(first) / "study.toml"))
    time = None if part.time is None else part.time * part.folds
    write_study_toml(folder / "study.toml", replace(part.whole, time=time), about, "")


class _OneFold(Watcher):
    """Tells another watcher which fold it is about; what folds share is told once."""

    def __init__(self, watcher: Watcher, what: str, first: bool):
        self.watcher, self.what, self.first = watcher, what, first

    def started(
        self, arms: Sequence[ArmView], totals: Mapping[str, int], seeds: int, maximise: bool
    ) -> None:
        """Passed on."""
        self.watcher.started(arms, totals, seeds, maximise)

    def data(self, roles: Sequence[RoleGuess], findings: Sequence[Finding]) -> None:
        """Of the first of them."""
        if self.first:
            self.watcher.data(roles, findings)

    def note(self, text: str) -> None:
        """Passed on."""
        self.watcher.note(text)

    def saying(self, text: str) -> None:
        """With the fold."""
        self.watcher.saying(f"{text} ({self.what})")

    def ended(self, trial: TrialView) -> None:
        """Passed on."""
        self.watcher.ended(trial)

    def confirmed(self, arm: str, seed: int, value: float | None) -> None:
        """Passed on."""
        self.watcher.confirmed(arm, seed, value)
