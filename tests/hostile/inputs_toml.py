"""Study files: generated settings, and a good file with damage."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tomli_w
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from mmauto.config import StudyConfig, from_mapping
from mmauto.toml import read_toml

GOOD = """
task = "medical"
name = "mine"
time = 600
trials = 4
fusions = ["concat_mlp"]
[roles]
age = "numeric"
[space]
"train/lr" = { low = 1e-4, high = 1e-2, log = true }
[arms.own]
fusion = "concat_mlp"
modalities = ["image"]
space = { "fusion/depth" = [1, 2] }
"""
TOKENS = (
    *("=", "[", "]", "{", "}", '"', "'", '"""', "#", "\n", ".", ",", "\0", "\\", "nan", "-inf"),
    *("[" * 3000, "9" * 400, "9" * 5000, "1e999", "1_0", "0x", "2020-13-45", "true", "../..", "/"),
    *("a" * 300, "é", "\u202e", "{a=" * 900),
)
TEXTS = (
    *(
        "",
        ".",
        "..",
        "../../x",
        "/etc/x",
        "a\0b",
        "a\n",
        "auto",
        "top3",
        "top0",
        "cuda:1",
        "a" * 300,
    ),
    *("concat_mlp", "\u202e", "é", "medical", "none", "CON", "\\\\host\\share"),
)
NUMBERS = (0, -1, 1, 2**31, 2**63, 10**400, -(10**400), 10**18)

text: SearchStrategy[Any] = st.sampled_from(TEXTS) | st.text(max_size=6)
leaf = text | st.sampled_from(NUMBERS) | st.integers() | st.floats() | st.booleans() | st.dates()
value: SearchStrategy[Any] = st.recursive(
    leaf, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=6,
)  # fmt: skip
dimension = st.dictionaries(st.sampled_from(("low", "high", "log", "default", "x")), leaf)
arm = st.dictionaries(st.sampled_from(("fusion", "modalities", "space", "x")), value | dimension)


@st.composite
def generated(draw: DrawFn) -> bytes:
    names = st.sampled_from(sorted(StudyConfig.__dataclass_fields__)) | text
    settings = draw(st.dictionaries(names, value, max_size=5))
    settings["space"] = draw(st.dictionaries(text, dimension | value, max_size=2))
    settings["arms"] = draw(st.dictionaries(text, arm, max_size=2))
    try:
        return tomli_w.dumps(settings).encode("utf-8", "replace")
    except ValueError:  # numbers that Python does not write
        return b"trials = " + b"9" * 6000


@st.composite
def damaged(draw: DrawFn) -> bytes:
    content = GOOD
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(content)))
        fill = draw(st.sampled_from(TOKENS) | st.text(max_size=4))
        content = content[:start] + fill + content[start + draw(st.integers(0, 6)) :]
    return content.encode("utf-8", "surrogatepass")


def make(folder: Path) -> tuple[SearchStrategy[Any], Any]:
    def use(place: Path, content: bytes) -> None:
        file = place / "study.toml"
        file.write_bytes(content)
        config = from_mapping({"task": "medical", **read_toml(file)}, str(file))
        assert config.folder.parent == Path(config.out)
        assert config.folder.resolve().parent == Path(config.out).resolve()
        config.identity()

    return generated() | damaged() | st.binary(max_size=40), use
