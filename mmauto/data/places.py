"""Where things that can be made again are kept, and how much room they may take."""

from __future__ import annotations

import os
import re
from pathlib import Path

from mmauto.errors import ConfigError

LOOKS = "looks"
"""The folder, among those of features, that holds what pictures look like."""

LIMIT = "20GB"
UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}


def cache_folder() -> Path:
    """``$MMAUTO_CACHE``, or the user's cache folder."""
    given = os.environ.get("MMAUTO_CACHE")
    if given:
        return Path(given)
    import platformdirs

    return Path(platformdirs.user_cache_dir("mmauto"))


def feature_folder() -> Path:
    """Where encoded features are kept."""
    return cache_folder() / "features"


def check_cache() -> None:
    """Refuse a cache that cannot be written, before every trial fails for it.

    Raises:
        ConfigError: as said.
    """
    folder = feature_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK):
            raise PermissionError(13, "Permission denied")
    except OSError as error:
        raise ConfigError(
            f"encoded features need a folder that can be written, {folder} is none "
            f"({error.strerror}); set MMAUTO_CACHE to another one"
        ) from error
    cache_limit()


def cache_limit() -> int:
    """``$MMAUTO_CACHE_LIMIT``, or `LIMIT`, in bytes.

    Raises:
        ConfigError: it is no size.
    """
    given = os.environ.get("MMAUTO_CACHE_LIMIT") or LIMIT
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?B|)", given.strip().upper())
    if not found:
        raise ConfigError(
            "the size of the cache is a number with a unit (B, KB, MB, GB or TB), "
            f"$MMAUTO_CACHE_LIMIT is {given!r}; write for example 20GB or 500MB"
        )
    return int(float(found[1]) * UNITS[found[2]])
