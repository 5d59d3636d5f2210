"""The account after every bar, worked out at once from the fills and the closes: exact to the paisa, as the desk's."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

from libs.contracts.orders import Side
from libs.core.money import UNITS_PER_PAISA, UNITS_PER_RUPEE, value_paise
from libs.indicators.columns import Integers
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

    def rows(self, picked: Integers) -> EquityCurve:
        """Give some of the rows."""
        return EquityCurve(self.timestamps[picked], self.cash[picked], self.equity[picked], self.exposure[picked])


def equity_curve(columns: Sequence[Columns], fills: Sequence[Fill], cash_paise: int) -> EquityCurve:
    """Value the account at the close of every bar.

    A fill counts from the bar it happened in; a symbol without a bar keeps its last close, and has the price of its
    own fills before its first.
    """
    timestamps = np.unique(np.concatenate([each.timestamps for each in columns])) if columns else np.empty(0, np.int64)
    rows = len(timestamps)
    cash = np.full(rows, cash_paise, dtype=np.int64)
    value = np.zeros(rows, dtype=np.int64)
    exposure = np.zeros(rows, dtype=np.int64)
    by_symbol: dict[str, list[Fill]] = {}
    for fill in fills:
        by_symbol.setdefault(fill.symbol, []).append(fill)
    for each in columns:
        own = by_symbol.get(each.symbol)
        if not own:
            continue
        at = np.searchsorted(timestamps, np.array([fill.timestamp_us for fill in own]), side="right") - 1
        signed = np.array([fill.quantity if fill.side is Side.BUY else -fill.quantity for fill in own], dtype=np.int64)
        paid = np.array(
            [value_paise(f.price, f.quantity if f.side is Side.BUY else -f.quantity) + f.fees_paise for f in own],
            dtype=np.int64,
        )
        quantity = _steps(at, signed, rows)
        cash -= _steps(at, paid, rows)
        worth = _worth(each, timestamps, quantity)
        value += worth
        exposure += np.abs(worth)
    return EquityCurve(timestamps, cash, cash + value, exposure)


def day_rows(timestamps: Integers, days: Integers) -> Integers:
    """Name the last row of every day."""
    if not len(timestamps):
        return np.empty(0, np.int64)
    return np.append(np.flatnonzero(np.diff(days)), len(timestamps) - 1).astype(np.int64)


def _steps(at: Integers, amounts: Integers, rows: int) -> Integers:
    """Add amounts up from the rows they happened in."""
    changes = np.zeros(rows, dtype=np.int64)
    np.add.at(changes, at, amounts)
    return np.cumsum(changes)


def _worth(columns: Columns, timestamps: Integers, quantity: Integers) -> Integers:
    """Give quantity times last close, rounded to the paisa as `value_paise` does: a half away from zero."""
    last = np.searchsorted(columns.timestamps, timestamps, side="right") - 1
    units = np.rint(columns.close * UNITS_PER_RUPEE).astype(np.int64)[np.maximum(last, 0)]
    numerator = units * quantity
    magnitude = (2 * np.abs(numerator) + UNITS_PER_PAISA) // (2 * UNITS_PER_PAISA)
    worth = np.where(last >= 0, np.sign(numerator) * magnitude, 0)
    return np.asarray(worth, dtype=np.int64)
