"""``python -m mmauto``: the command line without the console script."""

from __future__ import annotations

from mmauto.cli.main import main

if __name__ == "__main__":
    main()
