"""torchvision beside a torch of another build.

torchvision registers ``torchvision::nms`` from its own compiled library. Where that library was
built for another torch (a CUDA build beside a CPU torch, a common mismatch) it does not load, and
``import torchvision`` then fails with "operator torchvision::nms does not exist", although nothing
that mmauto uses needs the operator. Declaring the two operators is enough for transforms v2 and all
classification models; calling them still fails, with torch's own message.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
from functools import cache
from pathlib import Path
from typing import Any

_SCHEMA = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"


@cache
def mend_torchvision() -> bool:
    """Make ``import torchvision`` work; call it before any plugin builds.

    Returns:
        True where the operators had to be declared here.
    """
    import torch

    spec = importlib.util.find_spec("torchvision")
    if spec is None or spec.origin is None or _loads(Path(spec.origin).parent):
        return False
    library: Any = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
    for operator in ("nms", "qnms"):
        library.define(operator + _SCHEMA)
    _kept.append(library)  # a Library that is collected takes its operators along
    return True


_kept: list[object] = []


def _loads(folder: Path) -> bool:
    import torch

    names = [folder / f"_C{suffix}" for suffix in importlib.machinery.EXTENSION_SUFFIXES]
    for library in (name for name in names if name.exists()):
        try:
            torch.ops.load_library(str(library))  # type: ignore[no-untyped-call]
        except OSError:
            continue
        return True
    return False
