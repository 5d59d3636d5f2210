"""A point of a sweep without its minutes, and the proof that it may be done so.

`libs.trading.outright` says what plain orders do where no limit holds them back. Here that is made into fills, fees
and the account's curve, and then it is looked whether a limit could have held one back: if so, the loop must run.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import NamedTuple

import numpy as np

from libs.calendar import Calendar
from libs.contracts.market import TIMEFRAMES
from libs.contracts.orders import Side
from libs.core.clock import US_PER_MINUTE, US_PER_SECOND, trading_date
from libs.core.money import UNITS_PER_PAISA
from libs.indicators.columns import Integers, session_days
from libs.orders.charges import ChargeBook, ChargeTable
from libs.orders.instrument import Instrument
from libs.risk.limits import Limits, LimitTree
from libs.settings.charges import read_charges
from libs.settings.risk import Risk
from libs.trading.book import Asked, Book, Filled
from libs.trading.columns import Columns, units_of
from libs.trading.ground import Ground, NotOutright, Terms
from libs.trading.loop import TradingLoop
from libs.trading.outright import trade_outright
from libs.trading.plan import Plan
from libs.trading.vector_host import VectorHost
from libs.trading.views import Views
from services.backtest.account import make_desk
from services.backtest.data import RunData, instrument_of
from services.backtest.equity import Deals, EquityCurve, Valuation, equity_curve, paise_of
from services.backtest.form import EVENT, make_host, run_form, sample_of
from services.backtest.metrics import Timeline, Trips, Worth, worth_of
from services.backtest.recorder import RunRecorder
from services.backtest.request import RunRequest
from services.backtest.stretches import Stretched

#: So much of what was computed of a symbol's bars is kept for the next points.
_COMPUTED_BYTES_MAX = 128 << 20


class Account(NamedTuple):
    """What the loop would come to."""

    deals: Deals
    trips: Trips
    worth: Worth


class Stage:
    """Bars, and what follows from them alone: made once for all points over them."""

    def __init__(self, data: RunData, terms: Terms) -> None:
        columns = data.columns
        with ThreadPoolExecutor(1, thread_name_prefix="stage") as beside:
            valued = beside.submit(_valued, columns)
            self.grounds = [Ground(each, terms) for each in columns]
            self.valuation, self.timeline, self._stretched = valued.result()
        self.units_max = [int(ground.units.max()) for ground in self.grounds]
        self.views = Views(columns, data.warm_up, _COMPUTED_BYTES_MAX)

    def worth(self, deals: Deals, cash_paise: int) -> Worth:
        """Give what the account of these deals was worth."""
        found = self._stretched.worth(deals, cash_paise)
        return found or worth_of(self.valuation.blocks(deals, cash_paise), self.timeline, cash_paise)


def _valued(columns: Sequence[Columns]) -> tuple[Valuation, Timeline, Stretched]:
    valuation = Valuation(columns)
    timeline = Timeline(valuation.timestamps)
    return valuation, timeline, Stretched(valuation, timeline)


class Outright:
    """Runs the points of one sweep over its bars: instruments and charges are the same in all of them."""

    def __init__(self, request: RunRequest, data: RunData, risk: Risk, calendar: Calendar) -> None:
        self._risk, self._calendar = risk, calendar
        self._limits = LimitTree(risk).resolve("", "")
        self._terms = Terms(
            Plan(strategy_id=request.strategy, sizing=request.sizing, exits=request.exits, product=request.product),
            request.fills, risk, {each.symbol: instrument_of(request, each) for each in data.columns},
            calendar.session, TIMEFRAMES[request.timeframe] * US_PER_MINUTE,
        )  # fmt: skip
        self._fees = _Fees(request, self._terms.instruments) if request.costs else None
        self._columns = data.columns
        beside = ThreadPoolExecutor(1, thread_name_prefix="bars")
        self._staging = beside.submit(Stage, data, self._terms)
        beside.shutdown(wait=False)

    @cached_property
    def stage(self) -> Stage:
        """Give what is known of the bars, which is worked out beside the proof."""
        return self._staging.result()

    def run(self, request: RunRequest, data: RunData) -> Account:
        """Give what the loop would come to; raise `NotOutright` where it might come to something else."""
        host = make_host(request, self._calendar, VectorHost)
        assert isinstance(host, VectorHost)
        stage = self.stage if data.columns is self._columns else Stage(data, self._terms)
        if not host.prepare(data.columns, data.warm_up, stage.views):
            raise NotOutright(f"{request.strategy} has no vectorised form")
        book = trade_outright(stage.grounds, host, self._terms)
        symbols, filled = tuple(each.symbol for each in data.columns), book.filled
        fees = np.zeros(len(filled.rows), dtype=np.int64) if self._fees is None else self._fees.of(symbols, filled)
        rows = stage.valuation.rows_among_all(symbols, filled.symbol, filled.rows)
        deals = Deals(symbols, filled.symbol, filled.at_us, filled.signed, filled.prices, fees, rows)
        worth = stage.worth(deals, request.cash_paise)
        limits = self._limits
        check_limits(book, worth, stage, limits, self._risk)
        if worth.fall_max >= min(limits.account_loss_max, limits.strategy_loss_max):
            check_losses(stage.valuation.curve(deals, request.cash_paise), stage.timeline, limits, request.cash_paise)
        for place, ground in enumerate(stage.grounds):
            _check_freeze(ground.instrument, book.asked, place, self._risk.slices_max)
        return Account(deals, _trips(deals, rows), worth)

    def prove(self, request: RunRequest, data: RunData) -> str:
        """Say on what it was equal to the loop; raise `NotOutright` when it was not."""
        sample = sample_of(data)
        account = self.run(request, sample)
        desk = make_desk(request, sample, self._risk)
        recorder = RunRecorder(desk)
        loop = TradingLoop(desk, request.fills, self._calendar.session)
        run_form(EVENT, request, sample, loop, recorder, self._calendar)
        deals = Deals.of(recorder.traded)
        if told(account.deals) != told(deals):
            raise NotOutright("fills worked out were not the loop's on a sample of these bars")
        expected = equity_curve(sample.columns, deals, request.cash_paise)
        if int(account.worth.evenings[-1]) != int(expected.equity[-1]):
            raise NotOutright("the account worked out was not the loop's on a sample of these bars")
        self._staging.result()  # nothing is wrong with all of the bars either
        return f"equal on {sample.bars} bars: {len(account.deals)} fills"


class _Fees:
    """Charges as the desk takes them: each order fills at once, and the first sale of a day and symbol pays for both.

    What a turnover costs is kept: the points of a sweep trade at the same prices over and over.
    """

    def __init__(self, request: RunRequest, instruments: dict[str, Instrument]) -> None:
        self._exchange, self._product = request.exchange, request.product
        self._instruments = instruments
        self._charges = ChargeBook.from_documents(read_charges())
        self._tables: dict[tuple[str, int], ChargeTable] = {}
        self._known: dict[tuple[int, bool, int], int] = {}

    def of(self, symbols: tuple[str, ...], filled: Filled) -> Integers:
        """Charge every fill, in their order."""
        turnovers = np.abs(paise_of(units_of(filled.prices), filled.signed)).tolist()
        days, debited, fees = session_days(filled.at_us).tolist(), set(), []
        for place, day, at_us, signed, turnover in zip(
            filled.symbol.tolist(), days, filled.at_us.tolist(), filled.signed.tolist(), turnovers, strict=True
        ):
            table = self._tables.get((symbols[place], day)) or self._table(symbols[place], day, at_us)
            sells = signed < 0
            paise = self._known.get((id(table), sells, turnover))
            if paise is None:
                side = Side.SELL if sells else Side.BUY
                paise = table.fill_fees_paise(self._exchange, side, before_paise=0, after_paise=turnover)
                self._known[id(table), sells, turnover] = paise
            if sells and table.depository_paise and (day, place) not in debited:
                debited.add((day, place))
                paise += table.depository_fees().total
            fees.append(paise)
        return np.array(fees, dtype=np.int64)

    def _table(self, symbol: str, day: int, at_us: int) -> ChargeTable:
        segment = self._instruments[symbol].segment(self._product)
        table = self._tables[symbol, day] = self._charges.table(segment, trading_date(at_us))
        return table


def _trips(deals: Deals, rows: Integers) -> Trips:
    """Pair the fills of each symbol: they open and close by turns, whole each time."""
    paid, net, bars = deals.paid, [], []
    for place in range(len(deals.symbols)):
        own = np.flatnonzero(deals.which == place) if len(deals.symbols) > 1 else np.arange(len(deals))
        opened, closed = own[0 : len(own) // 2 * 2 : 2], own[1::2]
        net.append(-(paid[opened] + paid[closed]))
        bars.append(rows[closed] - rows[opened])
    return Trips(np.concatenate(net).astype(np.float64), np.concatenate(bars))


def check_limits(book: Book, worth: Worth, stage: Stage, limits: Limits, risk: Risk) -> None:
    """Raise `NotOutright` unless it is certain that the gate would have approved every order, whatever was lost."""
    asked = book.asked
    picked = np.flatnonzero(asked.is_entry)
    if not len(picked):
        return
    entries = asked.picked(picked)
    _check_sizes(entries, worth, stage, limits)
    days = session_days(entries.at_us)
    days -= days[0]  # orders stand in the order of time
    if int(np.bincount(days * len(stage.grounds) + entries.symbol).max()) > limits.symbol_trades_max:
        raise NotOutright("the limit on a symbol's trades of a day is reached")
    if int(np.bincount(days).max()) > min(limits.strategy_trades_max, limits.account_trades_max):
        raise NotOutright("the limit on trades of a day is reached")
    sent_us = asked.at_us
    for seconds, most in zip(risk.order_rate_window_s, risk.order_rate_max, strict=True):
        room = max(1, most * risk.order_rate_entries_max_percent // 100)
        if np.any(sent_us[room:] - sent_us[:-room] < seconds * US_PER_SECOND):
            raise NotOutright(f"the limit on orders in {seconds} s is reached")
    if worth.least <= 0:
        raise NotOutright("the account lost everything")
    # A last bit's doubt is the loop's.
    if worth.fall_max_ratio * 100 >= limits.drawdown_percent_max * (1 - 1e-12):
        raise NotOutright("the limit on the drawdown is reached")


def _check_sizes(entries: Asked, worth: Worth, stage: Stage, limits: Limits) -> None:
    """Hold every symbol's largest entry, at the highest price of the run, against what bounds orders and exposures."""
    if int(np.max(entries.units * entries.quantity)) // UNITS_PER_PAISA > limits.order_value_max:
        raise NotOutright("the limit on an order's value is reached")
    if int(entries.quantity.max()) > min(limits.order_quantity_max, limits.position_quantity_max):
        raise NotOutright("a limit on quantity is reached")
    exposures = [
        int(entries.quantity.max(where=entries.symbol == place, initial=0)) * (stage.units_max[place] + 1)
        for place in range(len(stage.grounds))
    ]
    of_account = min(
        limits.strategy_exposure_max, limits.account_exposure_max,
        worth.least * limits.account_exposure_percent_max,
    )  # fmt: skip
    if max(exposures) > limits.symbol_exposure_max or sum(exposures) > of_account:
        raise NotOutright("a limit on exposure might be reached")


def check_losses(curve: EquityCurve, timeline: Timeline, limits: Limits, cash_paise: int) -> None:
    """Look for the day's loss that locks entries, where the loop marks the account."""
    equity, last_rows = curve.equity, timeline.last_rows
    starts = np.concatenate([[cash_paise], equity[last_rows[:-1]]])
    lows = np.minimum.reduceat(equity, np.concatenate([[0], last_rows[:-1] + 1]))
    if int(np.max(starts - lows)) >= min(limits.account_loss_max, limits.strategy_loss_max):
        raise NotOutright("the limit on a day's loss is reached")


def _check_freeze(instrument: Instrument, asked: Asked, place: int, slices_max: int) -> None:
    most = instrument.freeze_quantity * slices_max
    if most and np.any(asked.quantity[asked.symbol == place] > most):
        raise NotOutright(f"an order of {instrument.symbol} would have to be sliced")


def told(deals: Deals) -> list[tuple[object, ...]]:
    """Say what happened, fill by fill, to be compared."""
    names = [deals.symbols[place] for place in deals.which.tolist()]
    columns = (deals.at_us, deals.signed, deals.prices, deals.fees)
    return list(zip(names, *(column.tolist() for column in columns), strict=True))
