"""mmauto: does fusion help on your data, which one, how sure is that, and at what cost?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mmauto.version import __version__

if TYPE_CHECKING:
    from mmauto.predictor import load_bundle
    from mmauto.run import search
    from mmauto.study import Study, open

__all__ = ["Study", "__version__", "load_bundle", "open", "search"]


def __getattr__(name: str) -> Any:
    # `import mmauto` stays cheap: pandas, torch and optuna load with the first search
    if name not in __all__:
        raise AttributeError(f"module 'mmauto' has no attribute {name!r}")
    import importlib

    module = {"load_bundle": "predictor", "search": "run"}.get(name, "study")
    return getattr(importlib.import_module(f"mmauto.{module}"), name)
