"""One symbol's bars, and what a day's hours allow on each: worked out once for all runs over the same bars."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from itertools import zip_longest
from typing import NamedTuple

import numpy as np

from libs.contracts.orders import OrderType, Side
from libs.contracts.sessions import Session
from libs.core.clock import US_PER_MINUTE, trading_date
from libs.core.errors import Refused
from libs.core.money import UNITS_PER_RUPEE
from libs.indicators.columns import Floats, Integers, day_starts
from libs.orders.fills import FillSettings, Resting, slipped
from libs.orders.instrument import Instrument
from libs.settings.risk import Risk
from libs.strategies.wishes import Flags
from libs.trading.columns import ROWS_AT_A_TIME, Columns, units_of
from libs.trading.exits import NEVER_US
from libs.trading.plan import Plan


class NotOutright(Refused):
    """The run asks for more than plain orders; the loop can do it."""


class Terms(NamedTuple):
    """What a run is traded on."""

    plan: Plan
    fills: FillSettings
    risk: Risk
    instruments: dict[str, Instrument]
    session_of: Callable[[date], Session | None]
    bar_us: int


class Closing(NamedTuple):
    """When a strategy is out because the session ends: the first such bar of every day, and all of them."""

    rows: Integers
    flags: Flags


class Ground:
    """Flags and prices by row of one symbol's bars. Orders are sent at a bar's close, and fill at the next open."""

    def __init__(self, bars: Columns, terms: Terms) -> None:
        stamps = bars.timestamps
        if len(bars) > 1 and int(np.diff(stamps).min()) < terms.bar_us:
            raise NotOutright(f"bars of {bars.symbol} overlap")
        self.bars = bars
        self.instrument = terms.instruments[bars.symbol]
        self.units = units_of(bars.close)
        #: The first row of every day, and behind them the number of rows.
        self.day_rows = np.append(day_starts(stamps), len(stamps))
        self._bar_us = terms.bar_us
        self._sessions = [terms.session_of(trading_date(stamps.item(row))) for row in self.day_rows[:-1].tolist()]
        self._spans = [each.spans if each else () for each in self._sessions]
        #: Whether the market takes orders as the bar begins, and as it ends; whether entries are still made then.
        self.opens = self._is_open(0)
        self.takes = self._is_open(terms.bar_us)
        last_us = self._before_close(terms.risk.last_entry_before_close_min, without=0)
        self.enters = self.takes & self._between([0] * len(last_us), last_us - terms.bar_us)
        #: Whether a bar of the same day follows.
        self.goes_on = np.ones(len(stamps), dtype=np.bool_)
        self.goes_on[self.day_rows[1:] - 1] = False
        #: The bars at whose open every position goes.
        self.squares = Closing(np.empty(0, np.int64), np.zeros(len(stamps), dtype=np.bool_))
        if terms.plan.exits.square_off:
            squares = self._closing(self._before_close(terms.risk.square_off_before_close_min, without=NEVER_US))
            self.squares = Closing(np.union1d(squares.rows, self._mornings_after(squares.flags)), squares.flags)
        # What is looked up of a row lies side by side: it comes from far away, and so comes once.
        self._told = np.empty((len(stamps), 2), dtype=np.int64)
        self._told[:, 0], self._told[:, 1] = stamps, self.units
        self._fills = terms.fills
        #: What sales fill at, and behind that what purchases do.
        self._prices = self._plain_prices()
        self._closings: dict[int, Closing] = {}

    def closing(self, minutes: int) -> Closing:
        """Give the bars so near to the close that a strategy stays out; 0 minutes: none."""
        if minutes not in self._closings:
            last_us = np.full(len(self._sessions), NEVER_US)
            if minutes:
                last_us = self._before_close(minutes, without=NEVER_US) - self._bar_us
            self._closings[minutes] = self._closing(last_us)
        return self._closings[minutes]

    def at(self, rows: Integers) -> tuple[Integers, Integers]:
        """Give the instants at which rows begin, and their closes in ten-thousandths."""
        found = self._told.take(rows, axis=0)
        return found[:, 0], found[:, 1]

    def prices(self, rows: Integers, buys: Flags) -> Floats:
        """Give what market orders to buy and to sell fill at, at the open of rows, as `slipped` says."""
        places = rows + len(self.bars) * buys
        found = self._prices.take(places)
        for at in np.flatnonzero(np.isnan(found)).tolist():
            row, side = int(rows[at]), Side.BUY if buys[at] else Side.SELL
            resting = Resting(
                order_id="", symbol="", side=side, order_type=OrderType.MARKET, quantity=1,
                tick_size=self.instrument.tick_size,
            )  # fmt: skip
            found[at] = self._prices[places[at]] = slipped(resting, self.bars.open.item(row), self._fills)
        return found

    def _plain_prices(self) -> Floats:
        """Give the opens that are prices to fill at as they are, and NaN for the others: most are, and cost nothing."""
        opens, rows = self.bars.open, len(self.bars)
        tick_units = round(self.instrument.tick_size * UNITS_PER_RUPEE)
        found = np.full(2 * rows, np.nan)
        if self._fills.slippage_ticks or self._fills.slippage_basis_points or tick_units < 1:
            return found
        for start in range(0, rows, ROWS_AT_A_TIME):
            some = opens[start : start + ROWS_AT_A_TIME]
            units = np.rint(some * UNITS_PER_RUPEE)
            is_whole = units == np.rint(units / tick_units) * tick_units  # `%` takes five times as long
            is_plain = (units / UNITS_PER_RUPEE == some) & is_whole & (units > 0)
            np.copyto(found[start : start + len(some)], some, where=is_plain)
        found[rows:] = found[:rows]
        return found

    def _is_open(self, later_us: int) -> Flags:
        """Tell of every row whether its session is open so much later."""
        flags = np.zeros(len(self.bars), dtype=np.bool_)
        for spans in zip_longest(*self._spans, fillvalue=(0, 0)):
            start, end = (np.array(edge, dtype=np.int64) - later_us for edge in zip(*spans, strict=True))
            flags |= self._between(start, end)
        return flags

    def _between(self, from_us: Sequence[int] | Integers, until_us: Integers) -> Flags:
        """Tell of every row whether it is at or behind one instant of its day, and before another."""
        first, last = self._rows_at(np.asarray(from_us)), self._rows_at(until_us)
        edges = np.concatenate([[0], np.column_stack([first, np.maximum(first, last)]).reshape(-1), [len(self.bars)]])
        return np.repeat(np.append(np.tile([False, True], len(first)), False), np.diff(edges))

    def _rows_at(self, of_days: Integers) -> Integers:
        """Give the first row of each day at or behind an instant; the next day's first where there is none."""
        rows = self.bars.timestamps.searchsorted(of_days)
        return np.asarray(np.clip(rows, self.day_rows[:-1], self.day_rows[1:]))

    def _before_close(self, minutes: int, *, without: int) -> Integers:
        """Give of every day the instant so long before its session's close; `without` where there is no session."""
        closes = [each.close_us - minutes * US_PER_MINUTE if each else without for each in self._sessions]
        return np.array(closes, dtype=np.int64)

    def _mornings_after(self, flags: Flags) -> Integers:
        """Give the first bars behind days that had no bar any more by their square-off."""
        ends = self.day_rows[1:-1]
        mornings: Integers = ends[~flags[ends - 1]]
        return mornings

    def _closing(self, from_us: Integers) -> Closing:
        firsts = self._rows_at(from_us)
        flags = self._between(from_us, np.full(len(from_us), NEVER_US))
        return Closing(firsts[firsts < self.day_rows[1:]], flags)
