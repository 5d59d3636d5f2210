"""Garbage collection, which a run has no use for."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def without_collection() -> Iterator[None]:
    """Let no garbage collection walk over the run's records: there are many, they stay, and none is in a circle.

    Nor does the first one afterwards: what there is then counts as old.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.freeze()
            gc.unfreeze()
            gc.enable()


@contextmanager
def without_walks() -> Iterator[Callable[[], None]]:
    """Collect nothing until what is given is called, and then walk over nothing of what there was: imports stay."""
    was_on = gc.isenabled()
    gc.disable()

    def collect_what_comes() -> None:
        gc.freeze()
        if was_on:
            gc.enable()

    try:
        yield collect_what_comes
    finally:
        if was_on:
            gc.enable()
        gc.unfreeze()
