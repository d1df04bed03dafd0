"""What was measured once and need not be measured again, beside the feature cache."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from filelock import FileLock


class Memory:
    """A small JSON file of values by name, shared by processes."""

    def __init__(self, file: Path):
        self.file = file

    def get(self, key: str) -> Any:
        """What stands under ``key``; None where nothing does."""
        return self._read().get(key)

    def put(self, key: str, pick: Callable[[Any], Any]) -> Any:
        """Remember what ``pick`` makes of what stands there (None: nothing yet); gives that."""
        kept: dict[str, Any] = {}
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(f"{self.file}.lock"):
                fresh = self.file.with_suffix(".new")
                kept = self._read()
                kept[key] = pick(kept.get(key))
                fresh.write_text(json.dumps(kept, indent=1))
                fresh.replace(self.file)
        except OSError:  # a disk that is full: it is measured again
            pass
        return kept[key] if key in kept else pick(None)

    def _read(self) -> dict[str, Any]:
        try:
            found = json.loads(self.file.read_text())
        except (OSError, ValueError):  # not there yet, or damaged: it can be measured again
            return {}
        return found if isinstance(found, dict) else {}
