"""Drivers that feed generated and mutated inputs to the program, and judge what comes back.

An input has survived where it gave a result or one `MmautoError` in time, wrote to no other folder,
started no program, opened no connection and unpickled nothing. ``run(kind, seconds, seed)`` is what
the tests call; the inputs of a kind stand in ``inputs_KIND.py`` beside this file.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as drawn_from
from hypothesis.strategies import SearchStrategy

from mmauto.errors import MmautoError

KINDS = ("table", "toml", "bundle", "report")
DEADLINE, MOST_WAITING = 5.0, 60.0
"""Seconds of work for one input, and seconds on the clock, should it wait for something."""

BATCH = 50
FORBIDDEN = ("pickle.find_class", "subprocess.Popen", "os.system", "os.exec", "socket.connect")
WRITES = ("os.mkdir", "os.remove", "os.rmdir", "os.rename", "os.link", "os.symlink", "os.truncate")


@dataclass
class Kind:
    """What ``inputs_KIND.make(folder)`` gives.

    Attributes:
        inputs: hypothesis' strategy.
        use: given a fresh folder and an input, does what a user would; asserts about the result.
    """

    inputs: SearchStrategy[Any]
    use: Callable[[Path, Any], None]


@dataclass
class Result:
    """How many inputs were tried, how many ended in an error's sentence, and what went wrong."""

    tried: int = 0
    refused: int = 0
    failures: list[str] = field(default_factory=list)


class _Guard:
    """Hears of every file that is opened while it is on; there is one, as hooks stay for ever."""

    def __init__(self) -> None:
        self.inside: tuple[str, ...] = ()
        self.seen: list[str] = []
        self.on = False
        sys.addaudithook(self)

    def __call__(self, event: str, args: tuple[Any, ...]) -> None:
        if not self.on:
            return
        if event.startswith(FORBIDDEN):
            self.seen.append(f"{event} {args!r}"[:200])
        elif event == "open" and isinstance(args[2], int):
            if args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC):
                self._place(event, args[0])
        elif event in WRITES:
            self._place(event, args[0])

    def _place(self, event: str, given: Any) -> None:
        if not isinstance(given, str | bytes | os.PathLike):
            return
        path = os.path.realpath(os.fsdecode(given))
        if (
            "__pycache__" not in path
            and path != os.devnull
            and not f"{path}{os.sep}".startswith(self.inside)
        ):
            self.seen.append(f"{event} {path!r}")

    @contextmanager
    def watching(self, *inside: str) -> Iterator[list[str]]:
        self.inside, self.seen, self.on = (
            tuple(f"{os.path.realpath(place)}{os.sep}" for place in inside),
            [],
            True,
        )
        try:
            yield self.seen
        finally:
            self.on = False


_guard: _Guard | None = None


class HangError(BaseException):
    """Not an `Exception`, so that nobody who catches everything swallows it."""


@contextmanager
def _in_time() -> Iterator[None]:
    """Interrupts what is inside; a library's own loop only once it comes back to Python."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise HangError

    # what the machine does beside it does not count as work
    timers = {signal.SIGPROF: (signal.ITIMER_PROF, DEADLINE)}
    timers[signal.SIGALRM] = signal.ITIMER_REAL, MOST_WAITING
    before = {number: signal.signal(number, stop) for number in timers}
    for timer, seconds in timers.values():
        signal.setitimer(timer, seconds)
    try:
        yield
    finally:
        for number, (timer, _) in timers.items():
            signal.setitimer(timer, 0)
            signal.signal(number, before[number])


def make(kind: str, folder: Path) -> Kind:
    """The inputs of a kind, with what they need prepared in ``folder``."""
    path = Path(__file__).with_name(f"inputs_{kind}.py")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return Kind(*module.make(folder))


def run(kind: str, seconds: float, seed: int = 0, most: int = 10**9) -> tuple[int, list[str]]:
    """Try inputs for so many seconds, or so many of them: how many there were, and failures.

    Args:
        seed: the same one gives the same inputs.
    """
    result = Result()
    with tempfile.TemporaryDirectory(prefix="hostile-") as folder:
        base, place = Path(folder) / "base", Path(folder) / "place"
        base.mkdir()
        chosen = make(kind, base)
        end = time.monotonic() + seconds
        turn = 0
        while time.monotonic() < end and result.tried < most:
            wanted = min(BATCH, most - result.tried)
            _batch(chosen, place, result, seed * 1_000_003 + turn, wanted, end)
            turn += 1
    return result.tried, result.failures


def _batch(kind: Kind, place: Path, result: Result, number: int, most: int, end: float) -> None:
    @drawn_from(number)
    @settings(
        max_examples=most, deadline=None, database=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(kind.inputs)
    def one(item: Any) -> None:
        if time.monotonic() < end:
            _try(kind, place, item, result)

    one()


def _try(kind: Kind, place: Path, item: Any, result: Result) -> None:
    global _guard
    _guard = _guard or _Guard()
    own = place / str(result.tried)
    own.mkdir(parents=True)
    result.tried += 1
    why = ""
    with _guard.watching(str(own), os.environ.get("MMAUTO_CACHE", str(own))) as seen:
        try:
            with _in_time(), warnings.catch_warnings():
                warnings.simplefilter("ignore")  # a warning is no traceback
                kind.use(own, item)
        except MmautoError as error:
            result.refused += 1
            why = "" if str(error).strip() else "an error without a word"
        except HangError:
            why = f"no answer within {DEADLINE:g} seconds"
        except Exception as error:
            last = traceback.extract_tb(error.__traceback__)[-1]
            why = f"{type(error).__name__}: {error} ({last.filename}:{last.lineno})"
    if seen:
        why = f"{why} touched: {'; '.join(seen[:3])}".strip()
    if why:
        result.failures.append(f"{why} <- {item!r}"[:6000])
    shutil.rmtree(own, ignore_errors=True)
