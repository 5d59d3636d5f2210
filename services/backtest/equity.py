"""The account after every bar, worked out at once from the fills and the closes: exact to the paisa, as the desk's."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

from libs.contracts.orders import Side
from libs.core.money import UNITS_PER_PAISA, UNITS_PER_RUPEE
from libs.indicators.columns import Floats, Integers
from libs.orders.model import Fill
from libs.trading.columns import Columns


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

    def falls(self, cash_paise: int) -> Integers:
        """Give what was lost since the best moment so far, the start among them."""
        peak = np.maximum(self.equity, cash_paise)
        return np.asarray(np.maximum.accumulate(peak, out=peak) - self.equity, dtype=np.int64)

    def rows(self, picked: Integers) -> EquityCurve:
        """Give some of the rows."""
        return EquityCurve(self.timestamps[picked], self.cash[picked], self.equity[picked], self.exposure[picked])


class Deals(msgspec.Struct, frozen=True):
    """Fills as columns, in the order the account had them. `signed` is bought above 0, `paid` what left the cash."""

    symbols: tuple[str, ...]
    #: The place of each deal's symbol in `symbols`.
    which: Integers
    at_us: Integers
    signed: Integers
    prices: Floats
    fees: Integers

    @classmethod
    def of(cls, fills: Sequence[Fill]) -> Deals:
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

    @property
    def paid(self) -> Integers:
        """Give what each took from the cash, or brought where it is below 0, fees and all."""
        return paise_of(units_of(self.prices), self.signed) + self.fees


class Valuation:
    """What bars are worth, made once for all accounts that trade on them."""

    def __init__(self, columns: Sequence[Columns]) -> None:
        self.timestamps = _union([each.timestamps for each in columns])
        #: By symbol: the last price at every time in ten-thousandths, and how many times came before its first.
        self._units = {each.symbol: self._last_units(each) for each in columns}

    def curve(self, deals: Deals, cash_paise: int) -> EquityCurve:
        """Value an account at the close of every bar.

        A fill counts from the bar it happened in; a symbol without a bar keeps its last close, and is worth nothing
        before its first.
        """
        rows = len(self.timestamps)
        at = np.searchsorted(self.timestamps, deals.at_us, side="right") - 1
        cash = cash_paise - _steps(at, deals.paid, rows)
        value, exposure = np.zeros(rows, dtype=np.int64), np.zeros(rows, dtype=np.int64)
        for place, symbol in enumerate(deals.symbols):
            own = deals.which == place
            units, before = self._units[symbol]
            worth = paise_of(units, _steps(at[own], deals.signed[own], rows))
            worth[:before] = 0
            if len(deals.symbols) == 1:
                value, exposure = worth, np.abs(worth)
            else:
                value += worth
                exposure += np.abs(worth)
        return EquityCurve(self.timestamps, cash, cash + value, exposure)

    def _last_units(self, columns: Columns) -> tuple[Integers, int]:
        units = units_of(columns.close)
        if len(columns) == len(self.timestamps):
            return units, 0
        last = np.searchsorted(columns.timestamps, self.timestamps, side="right") - 1
        return units[np.maximum(last, 0)], int(np.searchsorted(last, 0))


def equity_curve(columns: Sequence[Columns], fills: Sequence[Fill], cash_paise: int) -> EquityCurve:
    """Value the account at the close of every bar, as `Valuation.curve` does."""
    return Valuation(columns).curve(Deals.of(fills), cash_paise)


def day_rows(timestamps: Integers, days: Integers) -> Integers:
    """Name the last row of every day."""
    if not len(timestamps):
        return np.empty(0, np.int64)
    return np.append(np.flatnonzero(np.diff(days)), len(timestamps) - 1).astype(np.int64)


def units_of(prices: Floats) -> Integers:
    """Give prices in ten-thousandths of a rupee."""
    return np.rint(prices * UNITS_PER_RUPEE).astype(np.int64)


def paise_of(units: Integers, quantity: Integers) -> Integers:
    """Multiply prices and quantities, rounded to the paisa as `value_paise` does: a half away from zero."""
    doubled = units * quantity
    doubled *= 2
    paise = (np.abs(doubled) + UNITS_PER_PAISA) // (2 * UNITS_PER_PAISA)
    return np.asarray(paise * np.sign(doubled), dtype=np.int64)


def _union(stamps: Sequence[Integers]) -> Integers:
    if len(stamps) == 1 and bool(np.all(stamps[0][1:] > stamps[0][:-1])):
        return stamps[0]
    return np.unique(np.concatenate(stamps)) if stamps else np.empty(0, np.int64)


def _steps(at: Integers, amounts: Integers, rows: int) -> Integers:
    """Add amounts up from the rows they happened in; rows come in order."""
    totals = np.concatenate([[0], np.cumsum(amounts)])
    return np.repeat(totals, np.diff(np.concatenate([[0], at, [rows]])))
