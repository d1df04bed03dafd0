"""What runs on a node of a Ray cluster: one executor, spoken to in the words of `child.serve`."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import threading
import traceback
import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from mmauto.data.places import feature_folder
from mmauto.engine.child import serve
from mmauto.engine.jobs import Setup
from mmauto.engine.parcels import Parcel, folders_written, moved, packed, unpacked
from mmauto.version import __version__

LOG_TAIL = 12


class Host:
    """A Ray actor's class: `tell` it work and answers, `hear` what it says, one word at a time.

    The executor works in a thread of its own, so that the actor hears answers while it trains.

    Args:
        home: the coordinator's node; on another one, bundles travel in the words.
    """

    def __init__(self, home: str):
        import ray

        warnings.simplefilter("ignore")  # an actor's standard error is nobody's
        context = ray.get_runtime_context()
        self.away = context.get_node_id() != home
        self.folder = Path(tempfile.gettempdir()) / f"mmauto-{context.get_actor_id()}"
        self.inbox: SimpleQueue[Any] = SimpleQueue()
        self.outbox: SimpleQueue[tuple[str, Any]] = SimpleQueue()
        self.bundles: dict[int, str] = {}
        threading.Thread(target=self._serve, daemon=True).start()

    def ready(self) -> tuple[bool, str]:
        """Whether this is another node than the coordinator's, and the version of mmauto here."""
        return self.away, __version__

    def tell(self, message: Any, parcels: Mapping[str, Parcel]) -> None:
        """Pass on a setup, work or an answer.

        Args:
            parcels: the bundles that the work reads, by their folder at the coordinator's.
        """
        if isinstance(message, Setup):
            message = settled(message)
        elif self.away:
            for folder, parcel in parcels.items():
                unpacked(parcel, Path(self._here(folder)))
            self.bundles |= folders_written(message)
            message = moved(message, self._here)
        self.inbox.put(message)

    def hear(self) -> tuple[str, Any]:
        """The next word, as soon as there is one."""
        return self.outbox.get()

    def recv(self) -> Any:
        """For `serve`: what the coordinator said."""
        return self.inbox.get()

    def send(self, message: tuple[str, Any]) -> None:
        """For `serve`: say something; what a trial has saved goes before its outcome."""
        word, content = message
        if word == "outcome" and content.id in self.bundles:
            there = self.bundles.pop(content.id)
            self.outbox.put(("bundle", (there, packed(Path(self._here(there))))))
        if word == "end":
            shutil.rmtree(self.folder, ignore_errors=True)
        self.outbox.put(message)

    def _serve(self) -> None:
        line: Any = self  # as good as a connection
        try:
            serve(line)
        except BaseException:
            tail = traceback.format_exc().splitlines()[-LOG_TAIL:]
            self.outbox.put(("broken", "\n".join(tail)))

    def _here(self, folder: str) -> str:
        return str(self.folder / hashlib.sha256(folder.encode()).hexdigest()[:24])


def settled(setup: Setup) -> Setup:
    """The setup with a cache that is there: the coordinator's own where folders are shared."""
    if setup.shelf is None or setup.shelf.sign.exists():
        return replace(setup, shelf=None)
    return replace(setup, cache=str(feature_folder()))
