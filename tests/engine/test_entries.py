"""The cache on disk: one writer, nothing half-written, damage is a miss, old entries go."""

from __future__ import annotations

import gc
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filelock import FileLock

from mmauto.data.places import cache_limit
from mmauto.engine import cache as caching
from mmauto.engine.cache import ArrayCache, Part
from mmauto.engine.entries import RECENT, entries, remove, trim
from mmauto.engine.patience import patiently
from mmauto.errors import ConfigError, PluginError
from mmauto.store.files import load_arrays, save_arrays

ABOUT = {"encoder": "fake", "params": {"size": [1, 2], "rate": 0.1}}


def samples(*numbers: int) -> np.ndarray:
    """A digest a sample, made of its number."""
    found = np.zeros((len(numbers), 32), dtype=np.uint8)
    found[:, 0] = numbers
    return found


class Fake:
    """Computes ten times the sample's number, and remembers for which rows it was asked."""

    def __init__(self, digests: np.ndarray):
        self.numbers = digests[:, 0].astype(int)
        self.asked: list[int] = []

    def __call__(self, rows: np.ndarray) -> Iterator[Part]:
        for row in rows:
            self.asked.append(int(row))
            yield np.array([row]), {"x": 10 * self.numbers[[row]]}


def get(cache: ArrayCache, *numbers: int, about: object = ABOUT) -> tuple[list[int], list[int]]:
    """What the cache gives for samples, and the rows that had to be computed."""
    fake = Fake(samples(*numbers))
    assert isinstance(about, dict)
    found = cache.get(about, samples(*numbers), fake)["x"].tolist()
    return found, fake.asked


def folders(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.is_dir()]


# ---------------------------------------------------------------------------------- rows


def test_only_unknown_samples_are_computed(tmp_path: Path) -> None:
    cache = ArrayCache(tmp_path)
    assert get(cache, 1, 2, 3) == ([10, 20, 30], [0, 1, 2])
    assert get(cache, 1, 2, 3) == ([10, 20, 30], [])
    assert get(cache, 3, 4, 1) == ([30, 40, 10], [1])
    assert get(cache, 2, 2, 4) == ([20, 20, 40], [])  # from two entries
    assert get(cache, 1, 2) == ([10, 20], [])


@pytest.mark.parametrize(
    "about",
    [
        {**ABOUT, "encoder": "other"},
        {**ABOUT, "params": {"size": [1, 2], "rate": 0.2}},
        {**ABOUT, "params": {"size": [1, 3], "rate": 0.1}},
        {**ABOUT, "more": None},
        {"encoder": "fake"},
    ],
)
def test_rows_made_in_another_way_are_not_reused(tmp_path: Path, about: object) -> None:
    cache = ArrayCache(tmp_path)
    get(cache, 1, 2, 3)
    assert get(cache, 1, 2, 4, about=about)[1] == [0, 1, 2]


def test_names_that_collide_do_not_mix_entries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mmauto.engine.cache.digest", lambda value: "0" * 64)
    cache = ArrayCache(tmp_path)
    get(cache, 1, 2)
    assert get(cache, 3, 4)[0] == [30, 40]
    assert get(cache, 4, 3, about={"encoder": "other"}) == ([40, 30], [0, 1])


def test_any_history_of_edits_gives_the_same_as_no_cache(tmp_path: Path) -> None:
    source, cache = np.random.default_rng(0), ArrayCache(tmp_path)
    seen: set[int] = set()
    numbers = list(range(20))
    for _ in range(40):
        source.shuffle(numbers)
        for place in source.integers(0, len(numbers), 3):
            numbers[place] = int(source.integers(0, 200))
        numbers = [*numbers[: source.integers(5, 25)], int(source.integers(0, 200))]
        found, asked = get(cache, *numbers)
        assert found == [10 * number for number in numbers]
        assert {numbers[row] for row in asked} == set(numbers) - seen
        seen |= set(numbers)


@pytest.mark.parametrize(
    ("odd", "what"),
    [
        ({"x": np.zeros((1, 1))}, r"x of \(2,\) float64 and of \(1,\) float64"),
        ({"x": np.zeros((1, 2), dtype=np.float32)}, "float64 and of .* float32"),
        ({"y": np.zeros((1, 2))}, "fake gave x and y"),
        ({}, "fake gave x and "),
    ],
)
def test_arrays_that_do_not_fit_together_are_refused(
    tmp_path: Path, odd: dict[str, np.ndarray], what: str
) -> None:
    def compute(rows: np.ndarray) -> list[Part]:
        return [(rows[:1], {"x": np.zeros((1, 2))}), (rows[1:], odd)]

    with pytest.raises(PluginError, match=f"of one shape and type a row.*{what}.*mend"):
        ArrayCache(tmp_path).get(ABOUT, samples(1, 2), compute)
    assert not folders(tmp_path)


# ------------------------------------------------------------------------------ writers


def test_a_writer_that_dies_leaves_no_entry(tmp_path: Path) -> None:
    def dies(rows: np.ndarray) -> Iterator[Part]:
        yield rows[:2], {"x": np.arange(2)}
        raise KeyboardInterrupt

    cache = ArrayCache(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        cache.get(ABOUT, samples(1, 2, 3), dies)
    assert not folders(tmp_path)
    assert get(cache, 1, 2, 3) == ([10, 20, 30], [0, 1, 2])


KILLED = """
import sys, time
from pathlib import Path
from typing import Any
import numpy as np
from mmauto.engine.cache import ArrayCache
def compute(rows):
    yield rows[:1], {"x": np.array([999])}
    print("writing", flush=True)
    time.sleep(60)
digests = np.zeros((2, 32), dtype=np.uint8)
digests[:, 0] = 1, 2
ArrayCache(Path(sys.argv[1])).get({"encoder": "fake"}, digests, compute)
"""


@pytest.mark.fault("cache")
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs a signal that Windows lacks")
def test_what_a_killed_writer_left_is_no_entry_and_goes(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "writing\n"
        (part,) = folders(tmp_path)
        trim(tmp_path, 0, keep=tmp_path)
        assert part.exists()  # its writer lives
        writer.kill()
    assert entries(tmp_path) == []
    cache = ArrayCache(tmp_path, limit=10**9)
    assert get(cache, 1, 2, about={"encoder": "fake"}) == ([10, 20], [0, 1])
    assert len(folders(tmp_path)) == 1
    assert not part.exists()


def test_one_builds_while_others_wait(tmp_path: Path) -> None:
    asked: list[int] = []

    def slow(rows: np.ndarray) -> Iterator[Part]:
        asked.extend(rows)
        time.sleep(0.2)
        yield rows, {"x": rows}

    found = []

    def use() -> None:
        found.append(ArrayCache(tmp_path).get(ABOUT, samples(1, 2), slow)["x"].tolist())

    threads = [threading.Thread(target=use) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [[0, 1]] * 4
    assert asked == [0, 1]


def test_threads_read_at_once(tmp_path: Path) -> None:
    """A collection of garbage in the middle of a header lets another thread in."""
    get(ArrayCache(tmp_path), 1, 2)
    save_arrays(tmp_path / "predictions.npz", {"y": np.arange(2)})
    failed: list[BaseException] = []

    def read() -> None:
        try:
            for _ in range(150):
                assert ArrayCache(tmp_path).find(ABOUT, samples(1, 2)) is not None
                assert load_arrays(tmp_path / "predictions.npz")["y"].tolist() == [0, 1]
        except BaseException as error:
            failed.append(error)

    def let_in(*_: object) -> None:
        time.sleep(0)

    often, interval = gc.get_threshold(), sys.getswitchinterval()
    gc.callbacks.append(let_in)
    gc.set_threshold(3)
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=read) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        gc.callbacks.remove(let_in)
        gc.set_threshold(*often)
        sys.setswitchinterval(interval)
    assert not failed


def cut_key(place: Path) -> None:
    (place / "key.json").write_text("{")


def other_key(place: Path) -> None:
    (place / "key.json").write_text(json.dumps({**ABOUT, "encoder": "other"}))


def no_key(place: Path) -> None:
    (place / "key.json").unlink()


def cut_samples(place: Path) -> None:
    file = place / "samples.sha256"
    file.write_bytes(file.read_bytes()[:40])


def other_samples(place: Path) -> None:
    (place / "samples.sha256").write_bytes(samples(7, 8).tobytes())


def cut_array(place: Path) -> None:
    (place / "x.npy").write_bytes((place / "x.npy").read_bytes()[:-4])


def flipped_bit(place: Path) -> None:
    data = bytearray((place / "x.npy").read_bytes())
    data[-3] ^= 1
    (place / "x.npy").write_bytes(bytes(data))


def no_sums(place: Path) -> None:
    (place / "sums.json").unlink()


@pytest.mark.fault("cache")
@pytest.mark.parametrize(
    "damage",
    [cut_key, other_key, no_key, cut_samples, other_samples, cut_array, flipped_bit, no_sums],
)
def test_a_damaged_entry_is_made_again(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    cache = ArrayCache(tmp_path)
    get(cache, 1, 2)
    damage(*folders(tmp_path))
    assert get(cache, 1, 2) == ([10, 20], [0, 1])
    assert get(cache, 1, 2) == ([10, 20], [])


# -------------------------------------------------------------------------------- limit


def aged(place: Path, seconds: float) -> None:
    os.utime(place / "key.json", (time.time() - seconds,) * 2)


def test_the_least_recently_used_go_first(tmp_path: Path) -> None:
    cache = ArrayCache(tmp_path)
    for number in range(3):
        get(cache, number, about={"encoder": str(number)})
    for entry in entries(tmp_path):
        aged(entry.place, RECENT * (5 - int(entry.about["encoder"])))
    get(cache, 0, about={"encoder": "0"})  # used now: no longer the oldest
    size = entries(tmp_path)[0].size
    get(ArrayCache(tmp_path, limit=3 * size + 10), 3, about={"encoder": "3"})
    assert {entry.about["encoder"] for entry in entries(tmp_path)} == {"0", "2", "3"}


def test_the_entry_just_written_and_those_in_use_stay(tmp_path: Path) -> None:
    get(ArrayCache(tmp_path), 1, about={"encoder": "in use"})
    get(ArrayCache(tmp_path), 1, about={"encoder": "old"})
    (old,) = [entry for entry in entries(tmp_path) if entry.about["encoder"] == "old"]
    aged(old.place, 2 * RECENT)
    assert get(ArrayCache(tmp_path, limit=0), 7)[0] == [70]
    assert {entry.about["encoder"] for entry in entries(tmp_path)} == {"in use", "fake"}


@pytest.mark.skipif(os.name == "nt", reason="Windows keeps open files")
def test_arrays_outlive_their_entry(tmp_path: Path) -> None:
    cache = ArrayCache(tmp_path)
    found = cache.get(ABOUT, samples(1, 2), Fake(samples(1, 2)))["x"]
    remove(*folders(tmp_path))
    assert entries(tmp_path) == []
    assert found.tolist() == [10, 20]
    assert get(cache, 1, 2) == ([10, 20], [0, 1])


@pytest.mark.parametrize(
    ("given", "size"),
    [
        ("", 20 * 10**9), ("500MB", 5 * 10**8), (" 1.5 gb ", 15 * 10**8), ("2TB", 2 * 10**12),
        ("123", 123), ("0", 0), ("64kb", 64_000),
    ],
)  # fmt: skip
def test_sizes_are_read(monkeypatch: pytest.MonkeyPatch, given: str, size: int) -> None:
    monkeypatch.setenv("MMAUTO_CACHE_LIMIT", given)
    assert cache_limit() == size


@pytest.mark.parametrize("given", ["-1GB", "20 gigabytes", "GB", "1e9", "nan"])
def test_a_size_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    monkeypatch.setenv("MMAUTO_CACHE_LIMIT", given)
    with pytest.raises(ConfigError, match=r"number with a unit .* write for example 20GB") as found:
        cache_limit()
    assert repr(given) in str(found.value)


def test_one_who_waits_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mmauto.engine.patience.PATIENCE", 0.01)
    other = FileLock(tmp_path / "lock")
    other.acquire()
    words: list[str] = []

    def waiting() -> None:
        words.append("waiting")
        if len(words) == 3:
            other.release()

    with patiently(FileLock(tmp_path / "lock"), waiting):
        assert words == ["waiting"] * 3


def test_an_entry_that_vanishes_while_it_is_copied_is_not_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = np.arange(10 * 32, dtype=np.int64).astype(np.uint8).reshape(10, 32)
    asked: list[int] = []

    def compute(rows: np.ndarray) -> Iterator[Part]:
        asked.extend(rows.tolist())
        yield rows, {"values": rows.astype(np.float32)}

    cache, honest = ArrayCache(tmp_path), caching._arrays
    cache.get({"encoder": "x"}, samples, compute)
    (first,) = (entry.place for entry in entries(tmp_path))
    asked.clear()

    def late(place: Path) -> Any:
        """Another process removes the files after the samples were read."""
        if place == first:
            remove(place)
        return honest(place)

    monkeypatch.setattr(caching, "_arrays", late)
    found = cache.get({"encoder": "x"}, samples[:5], compute)
    assert asked == list(range(5))
    assert found["values"].tolist() == list(range(5))
