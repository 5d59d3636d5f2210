"""How often threads take turns at the interpreter."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

_SHORT_S = 0.0002


@contextmanager
def short_turns() -> Iterator[None]:
    """Let nobody wait long for the interpreter while another computes.

    DuckDB asks for it once a column of every 2,048 rows it is given, and would have it 5 ms later each time.
    """
    before = sys.getswitchinterval()
    sys.setswitchinterval(_SHORT_S)
    try:
        yield
    finally:
        sys.setswitchinterval(before)
