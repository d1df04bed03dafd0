"""Long tables: pictures are decoded once into a memory map, a part at a time."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

SCRIPT = """
import sys
import numpy as np
from pathlib import Path
from mmauto.data.table import read_table
from mmauto.config import from_mapping
from mmauto.engine.features import Features
from mmauto.registry import load_registry
from mmauto.tuning.prepare import prepare

def anonymous():
    # pages of the memory map belong to the file: they can be dropped and are not counted
    for line in open("/proc/self/status"):
        if line.startswith("RssAnon"):
            return int(line.split()[1]) / 1024

settings = dict(data=sys.argv[1], target="label", image=["image"], text=["text"], name="long")
registry = load_registry()
setup = prepare(from_mapping(settings), registry, "cpu").setup
features = Features(setup, registry, lambda text: None)
before = anonymous()
made = features.inputs("image", "small_cnn", {p: d.default for p, d in
    registry.encoder("small_cnn").space(None).items()})
pixels = made.arrays["pixels"]
print(len(setup.dataset), pixels.numel() * pixels.element_size() / 2**20, anonymous() - before)
"""


def grown(folder: Path, rows: int) -> tuple[int, float, float]:
    """Rows, MiB of the prepared pictures, and MiB by which the process grew to prepare them."""
    (folder / "images").mkdir(exist_ok=True)
    for place in range(50):
        Image.new("RGB", (64, 64), (place, 0, 0)).save(folder / f"images/{place}.png")
    lines = ["image,text,label,split"]
    for row in range(rows):
        side = ("train", "train", "valid", "test")[row % 4]
        lines.append(f"images/{row % 50}.png,word {row},{'ab'[row // 4 % 2]},{side}")
    (folder / "long.csv").write_text("\n".join(lines))
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(folder / "long.csv")], capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    count, size, growth = done.stdout.split()[-3:]
    return int(count), float(size), float(growth)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc")
def test_memory_does_not_grow_with_the_table(tmp_path: Path) -> None:
    rows, size, growth = grown(tmp_path, 20_000)
    assert rows == 20_000
    assert size > 200  # MiB on disk
    assert growth < 60
