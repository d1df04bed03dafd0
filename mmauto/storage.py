"""Database URLs as users give them; a password goes no further than this process's memory.

`without_password` is applied where settings are read, so that no configuration, study file, report,
log or message can hold one. Without a password in the URL, the driver finds it where it always does
(for PostgreSQL in ``PGPASSWORD`` or ``~/.pgpass``).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mmauto.errors import ConfigError

if TYPE_CHECKING:
    from sqlalchemy.engine import URL

_passwords: dict[str, str] = {}


def without_password(text: str, where: str) -> str:
    """The URL as it may be written down; its password is remembered for `complete`.

    Args:
        text: e.g. ``postgresql+psycopg://user:password@host/database``.
        where: it came from, for messages.

    Raises:
        ConfigError: it is no database URL, or one of a database in memory.
    """
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        url = make_url(text)
    except (ArgumentError, ValueError):  # their texts quote what may hold a password
        raise ConfigError(
            f"{where} must be a database URL, what was given is none; write it like "
            "postgresql+psycopg://user@host/database, percent-encode odd characters in it"
        ) from None
    if url.get_backend_name() == "sqlite":
        if url.database in (None, "", ":memory:"):
            raise ConfigError(
                f"{where} must be a database that outlives a search, {text!r} is in memory; name a "
                "file as in sqlite:////folder/studies.db"
            )
        return url.set(database=str(Path(str(url.database)).absolute())).render_as_string()
    if "@" in str(url.host):  # what stands before it may be the end of a password
        raise ConfigError(
            f"the password in {where} must have its odd characters percent-encoded, an @ as %40"
        )
    secret = url.password or url.query.get("password")
    secrets = [name for name in url.query if "pass" in name.lower()]
    clean = url.difference_update_query(secrets)._replace(password=None).render_as_string()
    if secret:
        _passwords[clean] = str(secret)
    return clean


def complete(clean: str) -> URL:
    """The URL with the password that this process was given, if it was."""
    from sqlalchemy.engine import make_url

    return make_url(clean).set(password=_passwords.get(clean))
