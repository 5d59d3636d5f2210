"""What an account did, as columns: every fill, and every order it sent, filled or not."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from libs.indicators.columns import Floats, Integers
from libs.strategies.wishes import Flags


class Filled(NamedTuple):
    """Fills as columns. Symbols are places in the list of grounds, rows those of the symbol's own bars.

    `signed` is bought above 0. The fills of one symbol open and close by turns.
    """

    symbol: Integers
    rows: Integers
    at_us: Integers
    signed: Integers
    prices: Floats
    is_square: Flags

    def picked(self, places: Any) -> Filled:
        """Give some of them."""
        return Filled(*picked(self, places))


class Asked(NamedTuple):
    """Orders as columns, filled or not. `units`: the last price when one was sent, in ten-thousandths."""

    symbol: Integers
    at_us: Integers
    quantity: Integers
    units: Integers
    is_entry: Flags

    def picked(self, places: Any) -> Asked:
        """Give some of them."""
        return Asked(*picked(self, places))


class Book(NamedTuple):
    """What an account did, in the loop's order."""

    filled: Filled
    asked: Asked


def picked(columns: Iterable[Any], places: Any) -> list[Any]:
    """Give some rows of every column."""
    return [column[places] for column in columns]


def joined(parts: Iterable[Iterable[Any]]) -> list[Any]:
    """Put columns of the same kind behind each other."""
    return [np.concatenate(columns) for columns in zip(*parts, strict=True)]
