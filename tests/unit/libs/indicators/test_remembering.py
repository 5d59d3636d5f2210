"""Columns that keep what was computed of them: once, in bounds, and for several threads."""

from __future__ import annotations

import random
import sys
import threading

import numpy as np

from libs.indicators.columns import Remembering

ROWS = 10


def column_of(value: int):
    return {"value": np.full(ROWS, float(value))}


def test_what_was_computed_is_not_computed_again():
    """Nor of the same rows of it; of others it is."""
    columns, asked = Remembering({"close": np.arange(100.0)}, 1 << 20), []

    def compute():
        asked.append(1)
        return column_of(1)

    for _ in range(3):
        for each in (columns, columns.part(0, 50), columns.part(50, 100), columns.part(50, 100)):
            each.remember("sma", compute)

    assert len(asked) == 3
    assert columns.part(50, 60)["close"].tolist() == list(range(50, 60))


def test_what_was_asked_for_longest_ago_goes_first():
    columns, asked = Remembering({}, 4 * ROWS * 8), []

    def ask(number: int):
        columns.remember(number, lambda: asked.append(number) or column_of(number))

    for number in (0, 1, 2, 3, 0, 4):  # the last is one too many: the newer half stays
        ask(number)
    asked.clear()
    for number in (0, 4, 1):
        ask(number)

    assert asked == [1]


def test_threads_that_let_go_of_what_others_find_do_not_break():
    """A point of a sweep failed when another one's average took the place of the one it had just found."""
    columns, errors = Remembering({}, 4 * ROWS * 8), []

    def ask(seed: int):
        chance = random.Random(seed)
        try:
            for _ in range(4000):
                number = chance.randrange(6)
                found = columns.remember(number, lambda number=number: column_of(number))
                assert found["value"][0] == number
        except (KeyError, AssertionError) as e:
            errors.append(repr(e))

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=ask, args=(seed,)) for seed in range(4)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
    finally:
        sys.setswitchinterval(interval)

    assert not errors
