"""The matching engine: one account's orders against the simulated prices. Time comes in as an argument.

An order that can trade at once takes what the displayed book offers, level by level. What rests is filled by later
trades that reach its price, each giving at most its own quantity: so partial fills happen as often as they would.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import count

from services.exchange_sim.exchange import orders as states
from services.exchange_sim.exchange.account import Account
from services.exchange_sim.exchange.checks import exchange_refusal, risk_refusal
from services.exchange_sim.exchange.orders import Fill, Order, OrderBook, Request
from services.exchange_sim.market.instruments import Instrument
from services.exchange_sim.market.market import Market
from services.exchange_sim.market.sessions import Phase

Listener = Callable[[Order, Fill | None], None]


class MatchingEngine:
    """Takes orders through their life and tells the listener of each change."""

    def __init__(self, market: Market, account: Account, book: OrderBook, listener: Listener) -> None:
        self._market = market
        self.account = account
        self.book = book
        self._listener = listener
        self._numbers = count(1)
        self._trade_numbers = count(1)
        self._played_ms = 0
        #: Instruments nobody may trade now.
        self.is_halted: Callable[[Instrument], bool] = lambda _: False

    # -- what a client asks for

    def receive(self, request: Request, now_ms: int, *, parent_order_id: str | None = None) -> Order:
        """Take an order in and give it its id; nothing else happens before `process`."""
        number = next(self._numbers)
        day = self._market.session(now_ms)
        prefix = day.day.strftime("%y%m%d") if day else "000000"
        order = Order(
            order_id=f"{prefix}{number:09d}",
            request=request,
            received_ms=now_ms,
            parent_order_id=parent_order_id,
            reference_price=self._market.price(request.instrument, now_ms),
        )
        self.book.orders[order.order_id] = order
        self._change(order, states.AMO_RECEIVED if request.is_amo else states.RECEIVED, now_ms)
        return order

    def process(self, order: Order, now_ms: int) -> None:
        """Let the broker's checks and the exchange take the order; it may fill at once."""
        if order.status not in states.UNBORN:
            return
        if order.request.is_amo and self._market.phase(now_ms) is not Phase.OPEN:
            return
        self._change(order, states.VALIDATION_PENDING, now_ms)
        if reason := risk_refusal(order, self.account, self.book.open_orders()):
            self.reject(order, reason, now_ms)
            return
        self._change(order, states.OPEN_PENDING, now_ms)
        today = self._market.instrument_day(order.request.instrument, now_ms).path
        if reason := exchange_refusal(order.request, today, halted=self.is_halted(order.request.instrument)):
            self.reject(order, reason, now_ms)
            return
        order.exchange_order_id = f"11000000{order.order_id[6:]}"
        order.exchange_ms = order.seen_ms = now_ms
        stops = order.request.order_type in {"SL", "SL-M"}
        self._change(order, states.TRIGGER_PENDING if stops else states.OPEN, now_ms)
        if not stops:
            self._take_from_book(order, now_ms)

    def modify(self, order: Order, request: Request, now_ms: int) -> bool:
        """Put new terms in place; False when it is too late for that."""
        self._catch_up(order, now_ms)
        if order.is_final or request.quantity <= order.quantity_filled:
            return False
        if order.request.is_amo and order.status in states.UNBORN:
            order.request = request
            self._change(order, states.AMO_MODIFIED, now_ms)
            return True
        self._change(order, states.MODIFY_VALIDATION_PENDING, now_ms)
        before, order.request = order.request, request
        today = self._market.instrument_day(request.instrument, now_ms).path
        reason = risk_refusal(order, self.account, self.book.open_orders()) or exchange_refusal(
            request, today, halted=self.is_halted(request.instrument)
        )
        if reason:
            order.request = before
            self._change(order, states.NOT_MODIFIED, now_ms, reason)
            self._change(order, self._resting_status(order), now_ms)
            return True
        self._change(order, states.MODIFY_PENDING, now_ms)
        self._change(order, states.MODIFIED, now_ms)
        self._change(order, self._resting_status(order), now_ms)
        if order.status == states.OPEN:
            self._take_from_book(order, now_ms)
        return True

    def cancel(self, order: Order, now_ms: int, reason: str | None = None) -> bool:
        """Take an order out; False when it is final already."""
        self._catch_up(order, now_ms)
        if order.is_final:
            return False
        if order.status in {states.AMO_RECEIVED, states.AMO_MODIFIED}:
            self._change(order, states.AMO_CANCELLED, now_ms, reason)
            return True
        self._change(order, states.CANCEL_PENDING, now_ms)
        self._change(order, states.CANCELLED, now_ms, reason)
        return True

    def reject(self, order: Order, reason: str, now_ms: int) -> None:
        """Refuse an order for good."""
        self._change(order, states.REJECTED, now_ms, reason)

    # -- what the market does

    def play(self, from_ms: int, to_ms: int) -> None:
        """Show resting orders the trades in (from, to]."""
        self._played_ms = to_ms
        for resting in self.book.resting().values():
            self._show_trades(resting, from_ms, to_ms)

    def skip_to(self, instant_ms: int) -> None:
        """Leave out what traded up to an instant: no order ever sees it."""
        self._played_ms = instant_ms

    def release_after_market_orders(self, now_ms: int) -> None:
        """Send what was parked for the opening to the exchange."""
        for order in self.book.open_orders():
            if order.request.is_amo and order.status in {states.AMO_RECEIVED, states.AMO_MODIFIED}:
                self.process(order, now_ms)

    def end_session(self, now_ms: int) -> None:
        """Expire what is left of the day's orders; those parked for tomorrow stay."""
        for order in self.book.open_orders():
            if order.status not in {states.AMO_RECEIVED, states.AMO_MODIFIED}:
                self._change(order, states.CANCELLED, now_ms, "Order expired: the session is over")

    # -- how

    def _catch_up(self, order: Order, now_ms: int) -> None:
        """Show an order what traded since the last window, before its terms change in the middle of one."""
        if order.is_resting:
            self._show_trades([order], max(self._played_ms, order.seen_ms), now_ms)
            order.seen_ms = max(order.seen_ms, now_ms)

    def _show_trades(self, resting: Sequence[Order], from_ms: int, to_ms: int) -> None:
        instrument = resting[0].request.instrument
        if self.is_halted(instrument):
            return
        today = self._market.instrument_day(instrument, to_ms)
        for index in range(today.last_index(from_ms) + 1, today.last_index(to_ms) + 1):
            price, quantity = float(today.path.prices[index]), today.path.quantity(index)
            for order in resting:
                if order.is_resting and order.seen_ms < today.times_ms[index]:
                    self._show(order, price, quantity, today.times_ms[index])

    def _show(self, order: Order, price: float, quantity: int, at_ms: int) -> None:
        request = order.request
        if order.status == states.TRIGGER_PENDING:
            if (price >= request.trigger_price) if request.is_buy else (price <= request.trigger_price):
                order.triggered = True
                order.seen_ms = at_ms
                self._change(order, states.OPEN, at_ms)
                self._take_from_book(order, at_ms)
            return
        if order.status == states.OPEN and _acceptable(request, price):
            # A resting limit gets its own price; a market order's rest takes what is traded.
            own = request.price if request.order_type in {"LIMIT", "SL"} else price
            self._fill(order, min(order.quantity_pending, max(1, quantity)), own, at_ms)

    def _take_from_book(self, order: Order, now_ms: int) -> None:
        request = order.request
        today = self._market.instrument_day(request.instrument, now_ms)
        if self._market.phase(now_ms) is not Phase.OPEN:
            return
        levels = today.depth(today.price(now_ms), now_ms, 5) or []
        for bid_quantity, bid, ask_quantity, ask in levels:
            price, offered = (ask, ask_quantity) if request.is_buy else (bid, bid_quantity)
            if order.quantity_pending == 0 or not _acceptable(request, price):
                break
            if today.path.circuit_lower <= price <= today.path.circuit_upper:
                self._fill(order, min(order.quantity_pending, offered), price, now_ms)
        if request.validity == "IOC" and not order.is_final:
            self._change(order, states.CANCELLED, now_ms, "IOC: the rest was not matched at once")

    def _fill(self, order: Order, quantity: int, price: float, at_ms: int) -> None:
        fill = Fill(f"{next(self._trade_numbers):09d}", order.order_id, at_ms, quantity, price)
        order.fills.append(fill)
        order.exchange_ms = at_ms
        self.account.book(order, quantity, price)
        done = order.quantity_filled == order.request.quantity
        self._change(order, states.COMPLETE if done else states.OPEN, at_ms, fill=fill)

    def _resting_status(self, order: Order) -> str:
        stops = order.request.order_type in {"SL", "SL-M"} and not order.triggered
        return states.TRIGGER_PENDING if stops else states.OPEN

    def _change(
        self, order: Order, status: str, now_ms: int, message: str | None = None, fill: Fill | None = None
    ) -> None:
        order.status, order.message, order.changed_ms = status, message, now_ms
        order.history.append(
            {
                "status": status,
                "message": message,
                "at_ms": now_ms,
                "filled_quantity": order.quantity_filled,
                "average_price": order.average_price,
                "request": order.request,
            }
        )
        self._listener(order, fill)


def _acceptable(request: Request, price: float) -> bool:
    if request.order_type in {"MARKET", "SL-M"}:
        return True
    return price <= request.price if request.is_buy else price >= request.price
