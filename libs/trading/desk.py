"""The desk: orders, positions, money and risk as one state, and the decisions on signals. Live and backtest share it.

It sends nothing. It turns a signal into an intent the gate approved, takes in evidence of what became of it, and says
what happened. Who calls it (the engine with its journal, the backtest's loop) brings time, prices and evidence.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

from msgspec.structs import replace

from libs.contracts.orders import OrderType, Side
from libs.contracts.sessions import Session
from libs.contracts.signals import SignalEvent, SignalType
from libs.core.clock import US_PER_MINUTE
from libs.core.ids import content_id
from libs.orders import evidence as ev
from libs.orders.book import OrderBook
from libs.orders.charges import ChargeBook
from libs.orders.direct import PlainOrder, filled_whole, is_plain, news_of_fill
from libs.orders.model import Fill, Order, Product, Purpose, order_id
from libs.orders.news import AnyNews, FillRecorded, FillReversed
from libs.orders.positions import Position, PositionBook, PositionKey
from libs.orders.profit import Valuation, opening_equity
from libs.risk.gate import Gate
from libs.risk.holding import Holding, SymbolState
from libs.risk.request import OrderRequest
from libs.risk.verdict import Approved
from libs.settings.risk import Risk
from libs.trading.decisions import CancelWanted, Decision, Ignored, Placed, Refusal
from libs.trading.exits import NEVER_US, ExitReason, Protection
from libs.trading.fees import Fees
from libs.trading.guarding import guard_of, squared_off_by
from libs.trading.marking import looks_at_account
from libs.trading.plan import Plan
from libs.trading.sizing import size

#: Looking a member up on its enum costs as much as a step of what is done with it.
_EXIT_LONG, _EXIT_SHORT, _ENTER_LONG = SignalType.EXIT_LONG, SignalType.EXIT_SHORT, SignalType.ENTER_LONG
_BUY, _SELL = Side.BUY, Side.SELL
NOTHING_LEFT = "nothing is left to close"


class Desk:
    """Everything that is known and held, moved by evidence, prices and days."""

    def __init__(
        self, *, gate: Gate, plans: Iterable[Plan], cash_paise: int, charges: ChargeBook | None = None,
        risk: Risk | None = None, default_plan: Plan | None = None,
    ) -> None:  # fmt: skip
        self.gate = gate
        self.orders = OrderBook()
        self.positions = PositionBook()
        self.guards: dict[PositionKey, Protection] = {}
        self._plans = {plan.strategy_id: plan for plan in plans}
        self._default_plan = default_plan or Plan(strategy_id="")
        self._fees = Fees(charges) if charges is not None else None
        self._risk = risk or Risk()
        self._valuation = Valuation(cash_paise)
        self._profits_day_start: dict[str, int] = {}
        self._entries: dict[PositionKey, SignalEvent] = {}
        self._square_off_us = NEVER_US
        gate.state.equity = opening_equity(gate.state.day, cash_paise)

    @property
    def equity_paise(self) -> int:
        """Give what the account is worth at the prices seen."""
        return self._valuation.equity_paise

    def restore(self, orders: Iterable[Order], fills: Iterable[Fill], carried: Iterable[Position] = ()) -> None:
        """Take in what a store remembers of an earlier run: fills, with their fees, upon what was `carried`."""
        for position in carried:
            self.positions.carry(position)
            self._moved(position, None)
        for order in orders:
            self.orders.add(order)
            self.gate.state.on_order(order)
        for fill in fills:
            if self._fees is not None:
                self._fees.restore(fill)
            self._moved(self.positions.apply(fill), fill)

    # -- time and prices ----------------------------------------------------------------------------------------------

    def on_day(self, day: date, session: Session | None) -> None:
        """Begin a trading day."""
        self.gate.state.on_day(day)
        self._profits_day_start = self._valuation.profits_paise()
        self.on_hours(session)

    def on_hours(self, hours: Session | None) -> None:
        """Take the day's hours: as it begins, and again when the calendar learned better."""
        state, risk = self.gate.state, self._risk
        state.on_session(hours, last_entry_before_close_us=risk.last_entry_before_close_min * US_PER_MINUTE)
        self._square_off_us = hours.close_us - risk.square_off_before_close_min * US_PER_MINUTE if hours else NEVER_US
        for key, guard in self.guards.items():
            if self.plan(key.strategy_id).exits.square_off:
                self.guards[key] = squared_off_by(guard, self.positions.get(key).opened_us, hours, self._square_off_us)

    def on_price(self, exchange: str, symbol: str, price: float, at_us: int) -> None:
        """Take in a last price."""
        self.price(self.gate.state.symbol(exchange, symbol), symbol, price, at_us)

    def price(self, state: SymbolState, symbol: str, price: float, at_us: int) -> None:
        """Take in a last price of a symbol whose state is at hand."""
        self.gate.state.price(state, price, at_us)
        self._valuation.on_price(symbol, price)

    def mark(self) -> None:
        """Value the account; losses beyond a limit lock entries from here on."""
        state = self.gate.state
        equity = state.equity.marked(state.day, self._valuation.equity_paise)
        state.on_equity(equity, self.gate.limits.resolve("", ""))
        for name, paise in self._valuation.profits_paise().items():
            state.strategy_loss[name] = max(0, self._profits_day_start.get(name, 0) - paise)

    @property
    def watches_account(self) -> bool:
        """Whether anything that is decided depends on what the account is worth."""
        return looks_at_account(self.gate.limits.resolve("", ""), (plan.sizing for plan in self._plans.values()))

    # -- decisions ----------------------------------------------------------------------------------------------------

    def on_signal(self, signal: SignalEvent, now_us: int, *, known_us: int) -> list[Decision]:
        """Decide on one signal; `known_us` is the end of its bar. Entries against a position close it as well."""
        product = self.plan(signal.strategy_id).product
        key = self.positions.key(signal.strategy_id, signal.symbol, signal.exchange, product)
        held, kind = self.positions.get(key).quantity, signal.signal_type
        if kind is _EXIT_LONG or kind is _EXIT_SHORT:
            return self._exit_signal(signal, key, held, now_us)
        if held and (held > 0) == (kind is _ENTER_LONG):
            return [Ignored(signal.signal_id, f"the position is {held} already")]
        if held:
            closed = self.leave(key, ExitReason.OPPOSING_SIGNAL, now_us, signal_id=signal.signal_id)
            return [closed, self._enter(signal, key, now_us, known_us)]
        return [self._enter(signal, key, now_us, known_us)]

    def leave(
        self, key: PositionKey, reason: ExitReason, now_us: int, *, signal_id: str = "",
        purpose: Purpose = Purpose.EXIT, price: float | None = None,
    ) -> Decision:  # fmt: skip
        """Ask to close what is left of a position, exits already working taken off; `price`: where a bar reached it."""
        position = self.positions.get(key)
        holding = self.gate.state.holding(key.strategy_id, key.exchange, key.symbol, key.product)[1]
        left = abs(position.quantity) - holding.exiting
        if left <= 0:
            return Ignored(signal_id, NOTHING_LEFT)
        cause = signal_id or content_id("exit", key.strategy_id, key.exchange, key.symbol, reason.value, now_us)
        return self.ask(
            OrderRequest(
                order_id=order_id(signal_id=cause, purpose=purpose), strategy_id=key.strategy_id,
                symbol=key.symbol, exchange=key.exchange, product=key.product, purpose=purpose,
                side=_SELL if position.quantity > 0 else _BUY, quantity=left, signal_id=signal_id,
                price_simulated=price,
            ),
            now_us,
            reason.value,
        )  # fmt: skip

    # -- evidence -----------------------------------------------------------------------------------------------------

    def take(self, name: str, evidence: ev.AnyEvidence) -> list[AnyNews]:
        """Merge evidence about an order and let positions, money, guards and risk follow; fills come back with fees."""
        news: list[AnyNews] = []
        for item in self.orders.apply(name, evidence):
            if isinstance(item, FillRecorded):
                fill = self._with_fees(item.fill)
                self._moved(self.positions.apply(fill), fill)
                news.append(replace(item, fill=fill))
                continue
            if isinstance(item, FillReversed):
                self._moved(self.positions.reverse(item.key), None)
            news.append(item)
        order = self.orders.get(name)
        self.gate.state.on_order(order)
        if self._fees is not None and order.is_settled:
            self._fees.settled(name)
        return news

    def fill_at_once(self, name: str, fill: Fill, at_us: int) -> list[AnyNews]:
        """Take in a trade; the same as `take` with a `TradeReport`, quicker where it fills a plain order whole."""
        order = self.orders.get(name)
        if not is_plain(order, fill.quantity):
            return self.take(name, ev.TradeReport(at_us=at_us, fill=fill))
        return news_of_fill(*self.fill_whole(order, fill), at_us)

    def fill_whole(self, order: Order, fill: Fill) -> tuple[Order, Fill]:
        """Take in the one trade of a plain order, and say nothing of it; give the order, and the fill with its fees."""
        filled, stamped = filled_whole(order, fill)
        self.orders.grow(filled)
        if self._fees is not None:
            stamped = self._with_fees(stamped)
            self._fees.settled(order.order_id)
        position = self.positions.apply(stamped)
        self.gate.state.on_filled(filled, position)
        self._follow(position, stamped.price)
        return filled, stamped

    def fill_plain(self, key: PositionKey, plain: PlainOrder, state: SymbolState, holding: Holding) -> None:
        """Take in the trade of a plain order that is not spelled out: `fill_whole`."""
        if self._fees is not None:
            plain.fees_paise = self._fees.of(plain, state.instrument)
            self._fees.settled(plain.order_id)
        if plain.is_spelled:
            self.orders.grow(plain.order())
        position = self.positions.note(key, plain)
        self.gate.state.on_plain_filled(plain, state, holding, position.quantity)
        self._follow(position, plain.price)

    # -- how ----------------------------------------------------------------------------------------------------------

    def plan(self, strategy_id: str) -> Plan:
        """Say how a strategy's signals are traded."""
        plan = self._plans.get(strategy_id)
        if plan is None:
            plan = self._plans[strategy_id] = replace(self._default_plan, strategy_id=strategy_id)
        return plan

    def _exit_signal(self, signal: SignalEvent, key: PositionKey, held: int, now_us: int) -> list[Decision]:
        is_long = signal.signal_type is _EXIT_LONG
        reason, side = "its strategy wants out before it was in", _BUY if is_long else _SELL
        working = self._working_entries(key, side)
        decisions: list[Decision] = [CancelWanted(order.order_id, reason) for order in working]
        if held and (held > 0) == is_long:
            decisions.append(self.leave(key, ExitReason.SIGNAL, now_us, signal_id=signal.signal_id))
        return decisions or [Ignored(signal.signal_id, "there is no such position")]

    def _working_entries(self, key: PositionKey, side: Side) -> list[Order]:
        holding = self.gate.state.holding(key.strategy_id, key.exchange, key.symbol, key.product)[1]
        if not (holding.entering_buy if side is _BUY else holding.entering_sell):
            return []
        wanted = (key.strategy_id, key.symbol, key.exchange, key.product, side, Purpose.ENTRY)
        return [
            order for order in self.orders.unsettled()
            if (order.strategy_id, order.symbol, order.exchange, order.product, order.side, order.purpose) == wanted
        ]  # fmt: skip

    def _enter(self, signal: SignalEvent, key: PositionKey, now_us: int, known_us: int) -> Decision:
        is_long = signal.signal_type is _ENTER_LONG
        if key.product is Product.DELIVERY and not is_long:
            return Ignored(signal.signal_id, "shares cannot be sold short for delivery")
        symbol = self.gate.state.symbol(key.exchange, key.symbol)
        lot = symbol.instrument.lot_size if symbol.instrument else 1
        quantity = size(
            self.plan(key.strategy_id).sizing, price=symbol.price, equity_paise=self.equity_paise, lot=lot,
            atr=signal.metadata.get("atr"),
        )  # fmt: skip
        if quantity == 0:
            return Ignored(signal.signal_id, f"the size comes to less than a lot of {lot} at {symbol.price}")
        request = OrderRequest(
            order_id=order_id(signal_id=signal.signal_id, purpose=Purpose.ENTRY), strategy_id=key.strategy_id,
            symbol=key.symbol, exchange=key.exchange, product=key.product, purpose=Purpose.ENTRY,
            side=_BUY if is_long else _SELL, quantity=quantity,
            order_type=OrderType.MARKET, signal_id=signal.signal_id, signal_us=known_us,
        )  # fmt: skip
        decision = self.ask(request, now_us, signal.signal_type.value)
        if isinstance(decision, Placed):
            self.entered_by(key, signal)
        return decision

    def ask(self, request: OrderRequest, now_us: int, reason: str) -> Decision:
        """Put a request before the gate; what it approves is in the books from here on."""
        verdict = self.gate.decide(request, now_us)
        if not isinstance(verdict, Approved):
            return Refusal(request, verdict)
        order = request.to_order(now_us)
        self.orders.add(order)
        self.gate.state.on_intent(order)
        return Placed(order, verdict, reason)

    def entered_by(self, key: PositionKey, signal: SignalEvent) -> None:
        """Remember whose stop and target guard what comes of an entry."""
        self._entries[key] = signal

    def _with_fees(self, fill: Fill) -> Fill:
        if self._fees is None:
            return fill
        return replace(
            fill, fees_paise=self._fees.of(fill, self.gate.state.symbol(fill.exchange, fill.symbol).instrument)
        )

    def _moved(self, position: Position, fill: Fill | None) -> None:
        self.gate.state.on_position(position)
        self._follow(position, fill.price if fill else position.price_average)

    def _follow(self, position: Position, price: float) -> None:
        """Let money and guard follow a position the risk state knows of."""
        self._valuation.on_position(position, price)
        key = position.key
        guard = self.guards.get(key)
        if not position.quantity:
            if guard is not None:
                del self.guards[key]
        elif guard is None or guard.is_long != (position.quantity > 0):
            instrument = self.gate.state.symbol(key.exchange, key.symbol).instrument
            plan, signal = self.plan(key.strategy_id), self._entries.get(key)
            self.guards[key] = guard_of(plan, position, price, signal, instrument, self._square_off_us)
