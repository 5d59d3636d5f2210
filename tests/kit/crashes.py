"""Crashes inside a test's process: a crash point raises instead of killing, and nobody catches it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from libs.core import faults


class Crash(BaseException):
    """The process is dead. Not an `Exception`: nothing in the product may catch it."""


@contextmanager
def crashing_at(point: str = "", hit: int = 1) -> Iterator[Counter[str]]:
    """Raise `Crash` at the n-th hit of a point; give the count of every point that was hit."""
    hits: Counter[str] = Counter()
    note, armed = faults._note, faults._armed

    def strike(name: str) -> None:
        note(name)
        hits[name] += 1
        if name == point and hits[name] == hit:
            raise Crash(name)

    # Armed with a name no point has: every point is noted, none kills.
    faults._note, faults._armed = strike, "no point"
    try:
        yield hits
    finally:
        faults._note, faults._armed = note, armed
