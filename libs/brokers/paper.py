"""A simulated exchange inside the engine: orders rest in memory and fill on the market the bus brings.

Its truth is the engine's own journal: at a start every order that may have left rests again with what it has left.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping

from msgspec.structs import replace

from libs.brokers.interface import Answer, BookReader, Reports, require_approval
from libs.brokers.switch import SwitchReader
from libs.contracts.market import TIMEFRAMES, OHLCVBar, Tick
from libs.contracts.orders import OrderStatus, Side
from libs.core.clock import US_PER_MINUTE, Clock, trading_date
from libs.core.errors import Refused
from libs.core.faults import crash_point
from libs.orders import evidence as ev
from libs.orders.fills import FillSettings, Resting, Trade, match_bar, match_tick, slipped
from libs.orders.model import Change, Fill, Order, Product
from libs.orders.reconcile import AccountKey, BrokerBook
from libs.risk.verdict import Approved


class PaperBroker:
    """Answers at once; reports fills as the market comes in. `tick_size` gives a symbol's grid."""

    def __init__(
        self, settings: FillSettings, clock: Clock, *, exchange: str, fills_on_bars: bool,
        tick_size: Callable[[str], float], market_us: Callable[[], int],
    ) -> None:  # fmt: skip
        self.answered: Callable[[Answer], object] = lambda _answer: None
        self.reported: Callable[[Reports], object] = lambda _reports: None
        self.wake: Callable[[], object] = lambda: None
        self._settings = settings
        self._exchange = exchange
        self._clock = clock
        self._fills_on_bars = fills_on_bars
        self._tick_size = tick_size
        self._market_us = market_us
        self._resting: dict[str, list[Resting]] = {}
        self._orders: dict[str, ev.BrokerReport] = {}
        self._trades: list[Fill] = []
        self._net: Counter[AccountKey] = Counter()
        self._products: dict[str, Product] = {}

    # -- requests -----------------------------------------------------------------------------------------------------

    def place(self, order: Order, approved: Approved) -> None:
        require_approval(order, approved)
        sent_ns, now_us = self._clock.monotonic_ns(), self._now_us(order)
        # On ticks what was decided then meets the ticks behind it, also those other symbols' are ahead of.
        since_us = now_us if self._fills_on_bars else order.created_us
        self._rest(order, order.quantity, since_us, known_us=approved.request.signal_us)
        crash_point("engine.place.sent")
        self._answer(order, "place", ev.Accepted(at_us=now_us, broker_order_ids=(_name(order),)), sent_ns)
        reached = approved.request.price_simulated
        if reached is not None and self._fills_on_bars:
            self._fill_where_reached(order, reached)

    def cancel(self, order: Order, number: int) -> None:
        sent_ns, now_us = self._clock.monotonic_ns(), self._market_us()
        found = [each for each in self._resting.get(order.symbol, []) if each.order_id == order.order_id]
        crash_point("engine.cancel.sent")
        if not found:
            refused = ev.CancelRefused(at_us=now_us, number=number, reason="the order is over")
            self._answer(order, "cancel", refused, sent_ns)
            return
        self._resting[order.symbol].remove(found[0])
        self._answer(order, "cancel", None, sent_ns)
        self.reported([self._report(order.order_id, OrderStatus.CANCELLED, now_us)])

    def change(self, order: Order, change: Change) -> None:
        sent_ns, now_us = self._clock.monotonic_ns(), self._now_us(order)
        crash_point("engine.change.sent")
        resting = self._resting.get(order.symbol, [])
        if all(each.order_id != order.order_id for each in resting):
            refused = ev.ChangeRefused(at_us=now_us, number=change.number, reason="the order is over")
            self._answer(order, "change", refused, sent_ns)
            return
        self._resting[order.symbol] = [each for each in resting if each.order_id != order.order_id]
        self._rest(order, change.quantity - order.quantity_traded, now_us, change)
        self._answer(order, "change", ev.ChangeAccepted(at_us=now_us, number=change.number), sent_ns)

    # -- the market ---------------------------------------------------------------------------------------------------

    def on_tick(self, tick: Tick) -> None:
        """Fill what this tick fills."""
        if self._fills_on_bars or not self._resting.get(tick.symbol):
            return
        self._match(tick.symbol, lambda _: tick.timestamp_us, lambda order: match_tick(order, tick, self._settings))

    def on_bar(self, bar: OHLCVBar) -> None:
        """Fill what this bar fills, at its open where the order allows."""
        if not self._fills_on_bars or bar.timeframe != "1m" or not self._resting.get(bar.symbol):
            return
        end_us = bar.timestamp_us + TIMEFRAMES[bar.timeframe] * US_PER_MINUTE

        def at_us(order: Resting) -> int:
            return bar.timestamp_us if order.price is None and order.price_trigger is None else end_us - 1

        self._match(bar.symbol, at_us, lambda order: match_bar(order, bar, self._settings))

    def end_day(self, now_us: int) -> None:
        """Orders of a day expire with it."""
        alive = [each.order_id for orders in self._resting.values() for each in orders]
        self._resting.clear()
        self.reported([self._report(name, OrderStatus.EXPIRED, now_us) for name in alive])
        self._orders.clear()
        self._trades.clear()

    # -- the broker's books -------------------------------------------------------------------------------------------

    def start(self, orders: Iterable[Order], held: Mapping[AccountKey, int]) -> None:
        """Let every order rest again that may have left and is not over."""
        self._net.update(held)
        for order in orders:
            self._trades += [fill for fill in order.fills if fill.key not in order.reversed]
            if not order.is_sent or order.is_refused or order.is_lapsed:
                continue
            if order.is_final:
                self._note(order, order.status, order.quantity, order.quantity_traded, order.created_us)
            else:
                self._rest(order, order.quantity - order.quantity_traded, order.created_us)

    def book(self) -> BrokerBook:
        """Show orders and trades of the day, and what they come to."""
        return BrokerBook(orders=tuple(self._orders.values()), trades=tuple(self._trades), positions=dict(self._net))

    def read_book(self, then: BookReader) -> None:
        then(self.book())

    def read_switch(self, then: SwitchReader) -> None:
        then(Refused("the paper broker has no switch of its own: HALTED is all there is"))

    lock = read_switch

    def deliver(self) -> int:
        return 0  # everything is told as it happens

    def take_reconnected(self) -> bool:
        return False

    def status(self) -> dict[str, object]:
        return {"broker": "paper", "link": "in this process"}

    def close(self) -> None:
        """There is nothing to end."""

    # -- how ----------------------------------------------------------------------------------------------------------

    def _rest(
        self, order: Order, quantity: int, now_us: int, change: Change | None = None, *, known_us: int = 0
    ) -> None:
        terms = change or order
        self._products[order.order_id] = order.product
        self._resting.setdefault(order.symbol, []).append(
            Resting(
                order_id=order.order_id, symbol=order.symbol, side=order.side, order_type=order.order_type,
                quantity=quantity, tick_size=self._tick_size(order.symbol), since_us=self._since(now_us, known_us),
                price=terms.price, price_trigger=terms.price_trigger,
            )
        )  # fmt: skip
        self._note(order, OrderStatus.OPEN, terms.quantity, order.quantity_traded, now_us, change)

    def _now_us(self, order: Order) -> int:
        """Read the market's time; an order may be ahead of it, for a signal can overtake the ticks before it."""
        return max(self._market_us(), order.created_us)

    def _since(self, now_us: int, known_us: int) -> int:
        """Say what may fill an order that came now: a bar is chosen by its minute, however late its signal arrived."""
        if not self._fills_on_bars:
            return now_us
        minute_us = now_us // US_PER_MINUTE * US_PER_MINUTE
        return min(known_us, minute_us) if known_us else minute_us

    def _note(
        self, order: Order, status: OrderStatus, quantity: int, filled: int, now_us: int, change: Change | None = None
    ) -> None:
        terms = change or order
        self._orders[order.order_id] = ev.BrokerReport(
            at_us=now_us, broker_order_id=_name(order), status=status, quantity=quantity, quantity_filled=filled,
            price=terms.price, price_trigger=terms.price_trigger, tag=order.order_id,
        )  # fmt: skip

    def _fill_where_reached(self, order: Order, price: float) -> None:
        """Fill an exit where its bar reached it: it stands for a stop or target that rested at the exchange."""
        resting = self._resting[order.symbol].pop()
        trade = Trade(slipped(resting, price, self._settings), resting.quantity)
        self.reported(self._traded(resting, trade, order.created_us))

    def _match(
        self, symbol: str, at_us: Callable[[Resting], int], match: Callable[[Resting], tuple[Resting, Trade | None]]
    ) -> None:
        reports: list[ev.BrokerReport | ev.TradeReport] = []
        kept = []
        for order in self._resting[symbol]:
            left, trade = match(order)
            if left.quantity:
                kept.append(left)
            if trade is not None:
                reports += self._traded(order, trade, at_us(order))
        self._resting[symbol] = kept
        if reports:
            self.reported(reports)

    def _traded(self, order: Resting, trade: Trade, at_us: int) -> list[ev.BrokerReport | ev.TradeReport]:
        row = self._orders[order.order_id]
        filled = row.quantity_filled + trade.quantity
        status = OrderStatus.FILLED if filled >= row.quantity else OrderStatus.OPEN
        # Named by what it is, so that a fill that was lost with the process gets its name again.
        number = f"{trading_date(at_us):%Y%m%d}-{order.order_id[2:14]}-{filled}"
        fill = Fill(
            exchange=self._exchange, broker_order_id=row.broker_order_id, trade_id=number,
            symbol=order.symbol, side=order.side, quantity=trade.quantity, price=trade.price, timestamp_us=at_us,
            product=self._products[order.order_id],
        )  # fmt: skip
        self._trades.append(fill)
        self._hold(fill)
        return [ev.TradeReport(at_us=at_us, fill=fill), self._report(order.order_id, status, at_us, filled)]

    def _hold(self, fill: Fill) -> None:
        signed = fill.quantity if fill.side is Side.BUY else -fill.quantity
        self._net[fill.exchange, fill.symbol, fill.product] += signed

    def _report(self, order_id: str, status: OrderStatus, at_us: int, filled: int | None = None) -> ev.BrokerReport:
        row = self._orders[order_id]
        count = row.quantity_filled if filled is None else filled
        self._orders[order_id] = replace(row, status=status, at_us=at_us, quantity_filled=count)
        return self._orders[order_id]

    def _answer(self, order: Order, request: str, evidence: ev.AnyEvidence | None, sent_ns: int) -> None:
        outcome = "accepted" if evidence is None else str(evidence.__struct_config__.tag)
        self.answered(
            Answer(
                order_id=order.order_id, request=request, evidence=evidence, outcome=outcome, sent_ns=sent_ns,
                answered_ns=self._clock.monotonic_ns(),
            )
        )  # fmt: skip


def _name(order: Order) -> str:
    return f"paper-{order.order_id}"
