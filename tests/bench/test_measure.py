"""Processes with their time and memory, and two things in turn."""

from __future__ import annotations

import os
import sys

import pytest

from mmauto.bench.measure import alternately, run, tree_memory
from mmauto.errors import MmautoError


def test_a_process_is_timed_from_its_start_and_its_words_are_kept() -> None:
    code = "import os, time; time.sleep(0.3); print('done', os.environ['GIVEN'])"
    ran = run([sys.executable, "-c", code], {"GIVEN": "here"})
    assert ran.output.strip() == "done here"
    assert 0.3 < ran.seconds < 30


@pytest.mark.skipif(not os.path.exists("/proc/self/smaps_rollup"), reason="needs Linux's /proc")
def test_the_peak_holds_the_memory_of_children_too() -> None:
    hold = "import time; data = b'x' * 150_000_000; time.sleep(1)"
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {hold!r}])"
    assert run([sys.executable, "-c", code]).peak > 150_000_000


def test_a_process_that_has_ended_holds_nothing() -> None:
    assert tree_memory(2**30) == 0


def test_a_process_that_fails_is_an_error_with_its_last_words() -> None:
    with pytest.raises(MmautoError, match=r"ended with exit code 3; its last words: no luck"):
        run([sys.executable, "-c", "print('no luck'); raise SystemExit(3)"])


def test_two_things_run_in_turn() -> None:
    order: list[str] = []

    def note(word: str) -> int:
        order.append(word)
        return len(order)

    ours, theirs = alternately(2, lambda: note("ours"), lambda: note("theirs"))
    assert order == ["theirs", "ours", "theirs", "ours"]
    assert (ours, theirs) == ([2, 4], [1, 3])
