"""A point of a sweep without its minutes, and the proof that it may be done so.

`libs.trading.outright` says what plain orders do where no limit holds them back. Here that is made into fills, fees
and the account's curve, and then it is looked whether a limit could have held one back: if so, the loop must run.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np

from libs.calendar import Calendar
from libs.contracts.market import TIMEFRAMES
from libs.contracts.orders import Side
from libs.core.clock import US_PER_MINUTE, US_PER_SECOND, trading_date
from libs.core.money import UNITS_PER_PAISA, UNITS_PER_RUPEE, value_paise
from libs.indicators.columns import session_days
from libs.orders.charges import ChargeBook
from libs.orders.instrument import Instrument
from libs.orders.model import Fill
from libs.risk.limits import Limits, LimitTree
from libs.settings.charges import read_charges
from libs.settings.risk import Risk
from libs.trading.loop import TradingLoop
from libs.trading.outright import Asked, Book, Deal, NotOutright, Terms, trade_outright
from libs.trading.plan import Plan
from libs.trading.vector_host import VectorHost
from services.backtest.account import make_desk
from services.backtest.data import RunData, instrument_of
from services.backtest.equity import EquityCurve, equity_curve
from services.backtest.form import EVENT, make_host, run_form, sample_of
from services.backtest.recorder import RunRecorder
from services.backtest.request import RunRequest


class Outright:
    """Runs the points of one sweep over its bars: instruments and charges are the same in all of them."""

    def __init__(self, request: RunRequest, data: RunData, risk: Risk, calendar: Calendar) -> None:
        self._risk, self._calendar = risk, calendar
        self._instruments = {each.symbol: instrument_of(request, each) for each in data.columns}
        self._charges = ChargeBook.from_documents(read_charges()) if request.costs else None

    def run(self, request: RunRequest, data: RunData) -> tuple[list[Fill], EquityCurve]:
        """Give the fills and the curve the loop would come to; raise `NotOutright` where it might come to others."""
        host = make_host(request, self._calendar, VectorHost)
        assert isinstance(host, VectorHost)
        if not host.prepare(data.columns, data.warm_up):
            raise NotOutright(f"{request.strategy} has no vectorised form")
        plan = Plan(strategy_id=request.strategy, sizing=request.sizing, exits=request.exits, product=request.product)
        terms = Terms(
            plan, request.fills, self._risk, self._instruments, self._calendar.session,
            TIMEFRAMES[request.timeframe] * US_PER_MINUTE,
        )  # fmt: skip
        book = trade_outright(data.columns, host, terms)
        fills = self._fills(request, book.deals)
        curve = equity_curve(data.columns, fills, request.cash_paise)
        check_limits(book, curve, data, LimitTree(self._risk).resolve("", ""), self._risk, request.cash_paise)
        for instrument in self._instruments.values():
            _check_freeze(instrument, book.asked, self._risk.slices_max)
        return fills, curve

    def prove(self, request: RunRequest, data: RunData) -> str:
        """Say on what it was equal to the loop; raise `NotOutright` when it was not."""
        sample = sample_of(data)
        fills, curve = self.run(request, sample)
        desk = make_desk(request, sample, self._risk)
        recorder = RunRecorder(desk)
        loop = TradingLoop(desk, request.fills, self._calendar.session)
        run_form(EVENT, request, sample, loop, recorder, self._calendar)
        if [_told(fill) for fill in fills] != [_told(fill) for fill in recorder.fills]:
            raise NotOutright("fills worked out were not the loop's on a sample of these bars")
        if int(curve.equity[-1]) != int(equity_curve(sample.columns, recorder.fills, request.cash_paise).equity[-1]):
            raise NotOutright("the account worked out was not the loop's on a sample of these bars")
        return f"equal on {sample.bars} bars: {len(fills)} fills"

    def _fills(self, request: RunRequest, deals: list[Deal]) -> list[Fill]:
        fees = self._fee_of(request)
        return [
            Fill(
                exchange=request.exchange, broker_order_id="", trade_id="", symbol=deal.symbol,
                side=Side.BUY if deal.signed > 0 else Side.SELL, quantity=abs(deal.signed), price=deal.price,
                timestamp_us=deal.minute_us, product=request.product, strategy_id=request.strategy,
                fees_paise=fees(deal),
            )
            for deal in deals
        ]  # fmt: skip

    def _fee_of(self, request: RunRequest) -> Callable[[Deal], int]:
        """Charge as the desk does; each order fills at once, and the first sale of a day and symbol pays for both."""
        charges, debited = self._charges, set()
        if charges is None:
            return lambda _: 0

        def fee(deal: Deal) -> int:
            day, side = trading_date(deal.minute_us), Side.BUY if deal.signed > 0 else Side.SELL
            table = charges.table(self._instruments[deal.symbol].segment(request.product), day)
            turnover = value_paise(deal.price, abs(deal.signed))
            paise = table.fill_fees_paise(request.exchange, side, before_paise=0, after_paise=turnover)
            if table.depository_paise and side is Side.SELL and (day, deal.symbol) not in debited:
                debited.add((day, deal.symbol))
                paise += table.depository_fees().total
            return paise

        return fee


def check_limits(
    book: Book, curve: EquityCurve, data: RunData, limits: Limits, risk: Risk, cash_paise: int
) -> None:  # fmt: skip
    """Raise `NotOutright` unless it is certain that the gate would have approved every order."""
    entries = [order for order in book.asked if order.is_entry]
    if not entries:
        return
    _check_sizes(entries, curve, data, limits)
    days = Counter((trading_date(order.at_us), order.symbol) for order in entries)
    whole = Counter(trading_date(order.at_us) for order in entries)
    if max(days.values()) > limits.symbol_trades_max:
        raise NotOutright("the limit on a symbol's trades of a day is reached")
    if max(whole.values()) > min(limits.strategy_trades_max, limits.account_trades_max):
        raise NotOutright("the limit on trades of a day is reached")
    asked = np.array([order.at_us for order in book.asked], dtype=np.int64)
    for seconds, most in zip(risk.order_rate_window_s, risk.order_rate_max, strict=True):
        room = max(1, most * risk.order_rate_entries_max_percent // 100)
        if np.any(asked[room:] - asked[:-room] < seconds * US_PER_SECOND):
            raise NotOutright(f"the limit on orders in {seconds} s is reached")
    _check_worth(curve, limits, cash_paise)


def _check_sizes(entries: list[Asked], curve: EquityCurve, data: RunData, limits: Limits) -> None:
    """Hold every symbol's largest entry, at the highest price of the run, against what bounds orders and exposures."""
    largest: dict[str, int] = {}
    for order in entries:
        largest[order.symbol] = max(largest.get(order.symbol, 0), order.quantity)
        if order.units * order.quantity // UNITS_PER_PAISA > limits.order_value_max:
            raise NotOutright("the limit on an order's value is reached")
    if max(largest.values()) > min(limits.order_quantity_max, limits.position_quantity_max):
        raise NotOutright("a limit on quantity is reached")
    exposures = [
        largest[each.symbol] * (round(float(each.close.max()) * UNITS_PER_RUPEE) + 1)
        for each in data.columns
        if each.symbol in largest
    ]
    of_account = min(
        limits.strategy_exposure_max, limits.account_exposure_max,
        int(curve.equity.min()) * limits.account_exposure_percent_max,
    )  # fmt: skip
    if max(exposures) > limits.symbol_exposure_max or sum(exposures) > of_account:
        raise NotOutright("a limit on exposure might be reached")


def _check_worth(curve: EquityCurve, limits: Limits, cash_paise: int) -> None:
    """Look for the day's loss and the drawdown that lock entries, where the loop marks the account."""
    equity = curve.equity
    if int(equity.min()) <= 0:
        raise NotOutright("the account lost everything")
    edges = np.flatnonzero(np.diff(session_days(curve.timestamps))) + 1
    starts = np.concatenate([[cash_paise], equity[edges - 1]])
    lows = np.minimum.reduceat(equity, np.concatenate([[0], edges]))
    if int(np.max(starts - lows)) >= min(limits.account_loss_max, limits.strategy_loss_max):
        raise NotOutright("the limit on a day's loss is reached")
    peak = np.maximum.accumulate(np.maximum(equity, cash_paise))
    if np.any((peak - equity) * 100 >= limits.drawdown_percent_max * peak):
        raise NotOutright("the limit on the drawdown is reached")


def _check_freeze(instrument: Instrument, asked: list[Asked], slices_max: int) -> None:
    most = instrument.freeze_quantity * slices_max
    if most and any(order.symbol == instrument.symbol and order.quantity > most for order in asked):
        raise NotOutright(f"an order of {instrument.symbol} would have to be sliced")


def _told(fill: Fill) -> tuple[object, ...]:
    return (fill.timestamp_us, fill.symbol, fill.side, fill.quantity, fill.price, fill.fees_paise)
