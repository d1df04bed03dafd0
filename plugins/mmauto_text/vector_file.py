"""Word vectors in text form, as word2vec and GloVe write them."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

import numpy as np

from mmauto.plugin import DataError


def read_vectors(path: Path, wanted: Collection[str]) -> dict[str, np.ndarray]:
    """The vectors ``(D,)`` of the wanted words, which are in lower case.

    A line is a word and its numbers; word2vec puts "count dim" before them. The file is read line
    by line and only wanted lines are kept, so its size does not matter. A word that stands there
    in several cases takes the vector of its lower case.

    Raises:
        DataError: the file cannot be read, or a line is not a word and its numbers.
    """
    found: dict[str, np.ndarray] = {}
    lower: set[str] = set()
    dim = 0
    for number, line in _lines(path):
        if number == 1 and _is_header(line):
            dim = int(line.split()[1])
            continue
        dim = dim or len(line.split(" ")) - 1
        if dim < 1:
            raise _bad(path, number, "there is a word without numbers")
        # from the right: a few words of the published files hold blanks themselves
        word, *numbers = line.rsplit(" ", dim)
        if len(numbers) != dim:
            raise _bad(path, number, f"there are {len(numbers)} numbers where {dim} were expected")
        key = word.lower()
        if key in wanted and key not in lower and (word == key or key not in found):
            found[key] = _vector(path, number, numbers)
            lower |= {key} if word == key else set()
    if not dim:
        raise DataError(
            f"a file of word vectors holds a word and its numbers a line, {path} holds none; "
            "give another file"
        )
    return found


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    try:
        with path.open(encoding="utf-8", newline="\n") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    yield number, line.strip()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"word vectors are read from a text file (word2vec or GloVe text format), {path} "
            f"cannot be read as one ({error}); give the path of such a file as the encoder's "
            "parameter `file` or in MMAUTO_WORD_VECTORS"
        ) from error


def _is_header(line: str) -> bool:
    parts = line.split()
    return len(parts) == 2 and all(part.isdecimal() and len(part) < 10 for part in parts)


def _vector(path: Path, number: int, numbers: list[str]) -> np.ndarray:
    try:
        vector = np.array(numbers, dtype=np.float32)
    except ValueError as error:
        raise _bad(path, number, str(error)) from error
    if not np.isfinite(vector).all():
        raise _bad(path, number, "a number is not finite")
    return vector


def _bad(path: Path, number: int, seen: str) -> DataError:
    return DataError(
        f"each line of a file of word vectors is a word and its numbers, in line {number} of "
        f"{path} {seen}; mend the line or give another file"
    )
