"""A line that says how far a long command is, on a terminal only."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_WIDTH = 30


@contextmanager
def progress() -> Iterator[Callable[[int, int, str], None]]:
    """Give a function to call with how many are done, how many there are, and what was done last."""
    shown = False

    def report(done: int, total: int, what: str) -> None:
        nonlocal shown
        if sys.stderr.isatty():
            shown = True
            filled = _WIDTH * done // max(total, 1)
            bar = "#" * filled + "." * (_WIDTH - filled)
            print(f"\r[{bar}] {done:,}/{total:,} {what[:40]:40}", end="", file=sys.stderr, flush=True)

    try:
        yield report
    finally:
        if shown:
            print(file=sys.stderr)
