"""`make faults`: every fault that tests inject, at full length, and what became of it."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[2]
COLUMNS = ("suite", "faults injected", "survived", "results lost", "inputs tried", "seconds")


def main() -> int:
    """Run the tests that are marked ``fault`` and print the table; pytest's exit status."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "faults.xml"
        words = ["-m", "pytest", "-m", "fault", "-q", "-n", "2", "--dist", "worksteal"]
        environment = {**os.environ, "MMAUTO_FAULTS": "full", "OMP_NUM_THREADS": "1"}
        start = time.monotonic()
        done = subprocess.run(
            [sys.executable, *words, f"--junitxml={file}", *sys.argv[1:]],
            cwd=ROOT,
            env=environment,
            check=False,
        )
        if file.exists():
            sys.stdout.write(f"{table(file)}\n")
        sys.stdout.write(f"\n{time.monotonic() - start:.0f} s in all\n")
    return done.returncode


def table(file: Path) -> str:
    """Markdown from JUnit's XML.

    A test is one fault unless it says ``injected``; one that fails has lost what it looked after.
    """
    totals: dict[str, list[float]] = defaultdict(lambda: [0, 0, 0, 0, 0.0])
    skipped = []
    for case in ElementTree.parse(file).getroot().iter("testcase"):
        said = {p.get("name", ""): p.get("value", "") for p in case.iter("property")}
        if case.find("skipped") is not None:
            skipped.append(f"- {case.get('name')}: {case.find('skipped').get('message')}")  # type: ignore[union-attr]
            continue
        bad = case.find("failure") is not None or case.find("error") is not None
        injected = int(said.get("injected", 1))
        row = totals[said.get("suite", "other")]
        changes = (injected, 0 if bad else injected, injected if bad else 0,
                   int(said.get("tried", 0)), float(case.get("time", 0)))  # fmt: skip
        for place, change in enumerate(changes):
            row[place] += change
    lines = ["| " + " | ".join(COLUMNS) + " |", "| --- |" + " ---: |" * (len(COLUMNS) - 1)]
    lines += [
        f"| {name} | " + " | ".join(f"{value:,.0f}" for value in row) + " |"
        for name, row in sorted(totals.items())
    ]
    return "\n".join(["", *lines, *(["", "Not run:", *skipped] if skipped else [])])


if __name__ == "__main__":
    raise SystemExit(main())
