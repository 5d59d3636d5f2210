"""The account after every bar, worked out at once from the fills and the closes: exact to the paisa, as the desk's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property, reduce
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from libs.contracts.orders import Side
from libs.core.money import UNITS_PER_PAISA
from libs.indicators.columns import Floats, Integers
from libs.orders.direct import KeptTrade
from libs.trading.columns import ROWS_AT_A_TIME, Columns, units_of


class Block(NamedTuple):
    """Some rows of a curve, from a row on."""

    start: int
    cash: Integers
    equity: Integers
    exposure: Integers


class EquityCurve(msgspec.Struct, frozen=True):
    """One row a bar time: cash, equity, and the sum of the absolute values of the positions, in paise."""

    timestamps: Integers
    cash: Integers
    equity: Integers
    exposure: Integers

    @property
    def drawdown(self) -> Integers:
        """Give what was lost since the best moment so far."""
        return np.asarray(np.maximum.accumulate(self.equity) - self.equity, dtype=np.int64)

    def blocks(self) -> Iterator[Block]:
        """Give the curve piece by piece."""
        for start in range(0, len(self.equity), ROWS_AT_A_TIME):
            rows = slice(start, start + ROWS_AT_A_TIME)
            yield Block(start, self.cash[rows], self.equity[rows], self.exposure[rows])

    def rows(self, picked: Integers) -> EquityCurve:
        """Give some of the rows."""
        return EquityCurve(self.timestamps[picked], self.cash[picked], self.equity[picked], self.exposure[picked])


class Deals(msgspec.Struct, frozen=True, dict=True):
    """Fills as columns, in the order the account had them. `signed` is bought above 0, `paid` what left the cash."""

    symbols: tuple[str, ...]
    #: The place of each deal's symbol in `symbols`.
    which: Integers
    at_us: Integers
    signed: Integers
    prices: Floats
    fees: Integers
    #: The rows of a `Valuation` they fall on, where those are known.
    rows: Integers | None = None

    @classmethod
    def of(cls, fills: Sequence[KeptTrade]) -> Deals:
        """Take fills one by one."""
        places: dict[str, int] = {}
        return cls(
            which=np.array([places.setdefault(fill.symbol, len(places)) for fill in fills], dtype=np.int64),
            at_us=np.array([fill.timestamp_us for fill in fills], dtype=np.int64),
            signed=np.array([f.quantity if f.side is Side.BUY else -f.quantity for f in fills], dtype=np.int64),
            prices=np.array([fill.price for fill in fills], dtype=np.float64),
            fees=np.array([fill.fees_paise for fill in fills], dtype=np.int64),
            symbols=tuple(places),
        )

    def __len__(self) -> int:
        return len(self.at_us)

    @cached_property
    def paid(self) -> Integers:
        """Give what each took from the cash, or brought where it is below 0, fees and all."""
        return paise_of(units_of(self.prices), self.signed) + self.fees


class Valuation:
    """What bars are worth, made once for all accounts that trade on them."""

    def __init__(self, columns: Sequence[Columns]) -> None:
        self.timestamps = _union([each.timestamps for each in columns])
        #: By symbol: the last price at every time in ten-thousandths, and how many times came before its first.
        self._units = {each.symbol: self._last_units(each) for each in columns}
        self._rows = {
            each.symbol: None
            if len(each) == len(self.timestamps)
            else np.searchsorted(self.timestamps, each.timestamps)
            for each in columns
        }
        #: By symbol: a quantity, and what it is worth at every time.
        self._whole: dict[str, tuple[int, Integers]] = {}

    def curve(self, deals: Deals, cash_paise: int) -> EquityCurve:
        """Value an account at the close of every bar.

        A fill counts from the bar it happened in; a symbol without a bar keeps its last close, and is worth nothing
        before its first.
        """
        blocks = list(self.blocks(deals, cash_paise))
        columns = (np.concatenate(column) for column in zip(*(block[1:] for block in blocks), strict=True))
        return EquityCurve(self.timestamps, *(columns if blocks else [np.empty(0, np.int64)] * 3))

    def blocks(self, deals: Deals, cash_paise: int) -> Iterator[Block]:
        """Give the curve piece by piece, which is all that its figures need."""
        at = np.searchsorted(self.timestamps, deals.at_us, side="right") - 1 if deals.rows is None else deals.rows
        cash_after = Steps.of(at, -deals.paid, cash_paise)
        held = [
            (symbol, Steps.of(at[own], deals.signed[own]))
            for symbol, own in ((symbol, deals.which == place) for place, symbol in enumerate(deals.symbols))
        ]
        for start in range(0, len(self.timestamps), ROWS_AT_A_TIME):
            end = min(start + ROWS_AT_A_TIME, len(self.timestamps))
            cash = cash_after.between(start, end)
            worths = [self._worth(symbol, steps, start, end) for symbol, steps in held]
            exposures = [np.abs(worth) for worth in worths] or [np.zeros(end - start, np.int64)]
            yield Block(start, cash, sum(worths, cash), reduce(np.add, exposures))

    @property
    def units_alone(self) -> Integers | None:
        """Give the price at every time where there is one symbol alone, with a bar at each."""
        found = list(self._units.values())
        return found[0][0] if len(found) == 1 and self._rows[next(iter(self._units))] is None else None

    def rows_among_all(self, symbols: Sequence[str], which: Integers, rows: Integers) -> Integers:
        """Give the rows at which bars begin, from their rows among those of their own symbols."""
        if self.units_alone is not None:
            return rows
        found = np.empty(len(rows), dtype=np.int64)
        for place, symbol in enumerate(symbols):
            of_symbol, own = self._rows[symbol], which == place
            found[own] = rows[own] if of_symbol is None else of_symbol[rows[own]]
        return found

    def _worth(self, symbol: str, held: Steps, start: int, end: int) -> Integers:
        """Give what is held in paise."""
        units, before = self._units[symbol]
        if held.size_only:  # of one size: what that is worth is the same for many
            kept = self._whole.get(symbol)
            if kept is None or kept[0] != held.size_only:
                kept = self._whole[symbol] = (held.size_only, paise_of(units, np.int64(held.size_only)))
            worth: Integers = kept[1][start:end] * held.sides.between(start, end)
        else:
            worth = paise_of(units[start:end], held.between(start, end))
        if start < before:
            worth[: before - start] = 0
        return worth

    def _last_units(self, columns: Columns) -> tuple[Integers, int]:
        units = units_of(columns.close)
        if len(columns) == len(self.timestamps):
            return units, 0
        last = np.searchsorted(columns.timestamps, self.timestamps, side="right") - 1
        return units[np.maximum(last, 0)], int(np.searchsorted(last, 0))


def equity_curve(columns: Sequence[Columns], deals: Deals, cash_paise: int) -> EquityCurve:
    """Value the account at the close of every bar, as `Valuation.curve` does."""
    return Valuation(columns).curve(deals, cash_paise)


def paise_of(units: Integers, quantity: Integers | np.int64) -> Integers:
    """Multiply prices and quantities, rounded to the paisa as `value_paise` does: a half away from zero."""
    doubled = units * quantity
    doubled *= 2
    if doubled.min(initial=0) < 0:
        paise = (np.abs(doubled) + UNITS_PER_PAISA) // (2 * UNITS_PER_PAISA)
        return np.asarray(paise * np.sign(doubled), dtype=np.int64)
    doubled += UNITS_PER_PAISA
    doubled //= 2 * UNITS_PER_PAISA
    return np.asarray(doubled, dtype=np.int64)


def distinct(columns: Sequence[Integers]) -> Integers:
    """Give every value of the columns once, in order; `np.unique` brings numpy's masked arrays, a tenth of a start."""
    values = np.sort(np.concatenate(columns)) if columns else np.empty(0, np.int64)
    return values[np.append(True, np.diff(values) != 0)] if len(values) else values


def _union(stamps: Sequence[Integers]) -> Integers:
    if len(stamps) == 1 and bool(np.all(stamps[0][1:] > stamps[0][:-1])):
        return stamps[0]
    return distinct(stamps)


class Steps:
    """Totals that hold from a row on, the first from the beginning; rows come in order."""

    def __init__(self, at: Integers, totals: NDArray[Any]) -> None:
        self._at = at
        self._totals = totals

    @classmethod
    def of(cls, at: Integers, amounts: Integers, first: int = 0) -> Steps:
        """Add amounts up from the rows they happened in."""
        return cls(at, np.cumsum(np.concatenate([[first], amounts])))

    def between(self, start: int, end: int) -> NDArray[Any]:
        """Give the totals of some rows."""
        first, last = self._at.searchsorted((start, end)).tolist()
        edges = np.empty(last - first + 2, dtype=np.int64)
        edges[0], edges[1:-1], edges[-1] = start, self._at[first:last], end
        return np.repeat(self._totals[first : last + 1], edges[1:] - edges[:-1])

    @cached_property
    def size_only(self) -> int:
        """Give the one size there ever is, either way; 0 where there are several, or none."""
        sizes = np.abs(self._totals)
        size = int(sizes.max())
        return size if np.all((sizes == 0) | (sizes == size)) else 0

    @cached_property
    def sides(self) -> Steps:
        """Give the directions of the totals."""
        return Steps(self._at, np.sign(self._totals))
