"""Where things that can be made again are kept."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """``$MMAUTO_CACHE``, or the user's cache folder."""
    given = os.environ.get("MMAUTO_CACHE")
    if given:
        return Path(given)
    import platformdirs

    return Path(platformdirs.user_cache_dir("mmauto"))
