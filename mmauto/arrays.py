"""numpy's files are read by one thread at a time.

`numpy.load` parses an array's header with `ast`, which fails now and then where threads use it at
once (https://github.com/python/cpython/issues/106905, Python 3.11 to 3.11.7, 3.12.0 and 3.12.1).
"""

from __future__ import annotations

import threading

one_reads = threading.Lock()
"""Held around `numpy.load`, and around reading what it gives of an archive."""
