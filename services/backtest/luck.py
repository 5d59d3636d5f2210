"""Was a run lucky? Its trades in other orders, and beside entries by chance."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
import numpy as np

from libs.core.clock import to_us
from libs.core.errors import Refused
from libs.core.money import value_paise
from libs.dbaccess import DatabaseManager
from libs.trading.significance import (
    HeldTrade,
    OrderRisk,
    Significance,
    random_entry_significance,
    trade_order_risk,
)
from services.backtest import reading
from services.backtest.data import load_data
from services.backtest.request import RunRequest


class Luck(msgspec.Struct, frozen=True, kw_only=True):
    """What chance would have done with a run's trades; None where there are too few to say."""

    run_id: str
    trades: int
    order: OrderRisk | None
    entries: Significance | None


def judge_luck(db: DatabaseManager, run_id: str, *, rounds: int = 1000, seed: int = 0) -> Luck:
    """Judge a run by its own file and the bars it was run on; refuse when those are not the same any more."""
    run = reading.describe(db, run_id)["run"]
    request = msgspec.convert(run["settings"]["request"], RunRequest)
    trades = held_trades(reading.trades(db, run_id))
    data = load_data(db, request, 0)
    if data.bars != run["bars"] and run["state"] == "complete":
        raise Refused(f"{run_id} saw {run['bars']:,} bars, of which there are {data.bars:,} now; run it again")
    chance = np.random.default_rng(seed)
    return Luck(
        run_id=run_id,
        trades=len(trades),
        order=trade_order_risk(
            [trade.profit_paise - trade.fees_paise for trade in trades], request.cash_paise, chance=chance,
            rounds=rounds,
        ),
        entries=random_entry_significance(trades, data.columns, chance=chance, rounds=rounds),
    )  # fmt: skip


def held_trades(fills: Iterable[dict[str, Any]]) -> list[HeldTrade]:
    """Fold a run file's fills into trades from flat to flat. One that turns a position over ends one, fees and all."""
    done: list[HeldTrade] = []
    held: dict[str, _Held] = {}
    for fill in fills:
        name = str(fill["symbol"])
        held.setdefault(name, _Held(name)).add(fill, done)
    return done


class _Held:
    """One symbol's open trade."""

    def __init__(self, symbol: str) -> None:
        self._symbol = symbol
        self._quantity = self._opened_us = 0
        self._value = self._profit = self._fees = 0

    def add(self, fill: dict[str, Any], done: list[HeldTrade]) -> None:
        at_us = to_us(fill["timestamp"])
        signed = int(fill["quantity"]) if fill["side"] == "buy" else -int(fill["quantity"])
        before, after = self._quantity, self._quantity + signed
        if before == 0:
            self._begin(at_us)
        self._fees += int(fill["fees_paise"])
        self._profit += int(fill["profit_paise"] or 0)
        self._quantity = after
        if before == 0 or (before > 0) == (signed > 0):
            self._value += value_paise(float(fill["price"]), abs(signed))
        elif after == 0 or (after > 0) != (before > 0):
            done.append(
                HeldTrade(
                    symbol=self._symbol, is_long=before > 0, opened_us=self._opened_us, closed_us=at_us,
                    value_paise=self._value, profit_paise=self._profit, fees_paise=self._fees,
                )
            )  # fmt: skip
            self._begin(at_us)
            self._value = value_paise(float(fill["price"]), abs(after))

    def _begin(self, at_us: int) -> None:
        self._opened_us = at_us
        self._value = self._profit = self._fees = 0
