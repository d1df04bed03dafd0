"""From a configuration to a finished study: what `mmauto search` and the Python API call."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from mmauto import folds
from mmauto.conduct import conduct
from mmauto.config import StudyConfig, from_mapping, plain
from mmauto.data.frames import keep_frame
from mmauto.registry import Registry, load_registry
from mmauto.store.place import is_study
from mmauto.study import Study, stored
from mmauto.tuning.record import kept_settings
from mmauto.tuning.watch import Watcher


def search(watcher: Watcher | None = None, **settings: Any) -> Study:
    """Search, confirm and report; continues where a study of the same name stands.

    Args:
        watcher: is told what happens.
        settings: the fields of `mmauto.config.StudyConfig`, e.g. ``task="medical"``,
            ``data="table.csv"``, ``target="label"``, ``trials=20``. ``data`` may be a pandas data
            frame: it is kept in the study's folder, and its image paths start at the current one.

    Raises:
        MmautoError: the settings or the data cannot be used, or the study of that name has
            another configuration.
    """
    if hasattr(settings.get("data"), "columns"):
        settings = {**settings, **_kept_frame(settings)}
    return run(from_mapping(settings), watcher or Watcher())


def _kept_frame(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a search on a data frame, once it stands beside the study."""
    config = from_mapping({**settings, "data": "frame", "name": settings.get("name", "frame")})
    path = keep_frame(settings["data"], config.folder)
    folder = settings.get("image_folder", str(Path.cwd()))
    return {"data": str(path), "name": config.name, "image_folder": folder}


def resume(folder: Path, watcher: Watcher | None = None, **changes: Any) -> Study:
    """Continue a stored study to its own totals, as it was configured.

    Args:
        changes: other values of what may change when a study continues, e.g. ``workers=4``.

    Raises:
        MmautoError: there is no such study, or a change cannot be used.
    """
    if folds.fold_states(folder):
        settings = plain(folds.stored_config(folder))
    else:
        with closing(stored(folder)) as store:
            settings = {**store.config, **kept_settings(folder / "study.toml")}
        settings |= {"name": folder.name, "out": str(folder.parent)}
    return run(from_mapping({**settings, **changes}), watcher or Watcher())


def run(config: StudyConfig, watcher: Watcher) -> Study:
    """Everything from the configuration to the report.

    A KeyboardInterrupt is passed on after what there is has been stored and reported.
    """
    registry = load_registry()
    try:
        for part, heard in folds.unfinished(config, watcher):
            conduct(part, heard, registry)
            if part is not config:
                _report(part, registry)
    except KeyboardInterrupt:
        if is_study(config.folder) or folds.fold_states(config.folder):
            _report(config, registry)
        raise
    return _report(config, registry)


def _report(config: StudyConfig, registry: Registry) -> Study:
    study = Study(config.folder)
    if study.trials():
        study.report(registry=registry)
    return study
