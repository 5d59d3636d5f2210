"""What is decided and when it is written: intent and `sending`, then the request; answers and reports as they come.

One thread runs all of this. Every method leaves desk and store equal, or raises, and then the process ends and reads
the store again.
"""

from __future__ import annotations

from collections.abc import Iterable

from libs.brokers.interface import Answer, Broker
from libs.contracts.market import TIMEFRAMES, OHLCVBar, Tick
from libs.contracts.orders import OrderStatus
from libs.contracts.signals import SignalEvent
from libs.core.clock import US_PER_MINUTE, Clock
from libs.core.errors import Refused
from libs.core.faults import crash_point
from libs.core.money import is_price
from libs.dbaccess.trading import Entry, TradingStore
from libs.orders import evidence as ev
from libs.orders.lifecycle import apply
from libs.orders.model import Purpose
from libs.orders.news import AnyNews, FillRecorded
from libs.orders.positions import PositionKey
from libs.trading.decisions import CancelWanted, Decision, Ignored, Placed, Refusal
from libs.trading.desk import Desk
from libs.trading.exits import ExitReason, on_bar, on_tick
from services.execution_engine.books import Books, ContradictoryEvidence
from services.execution_engine.deciding import Decider, SignalPlace
from services.execution_engine.market_clock import MarketClock
from services.execution_engine.states import States
from services.execution_engine.timing import Timing
from services.execution_engine.watch import Watch


class Engine:
    """Decides, writes, sends."""

    def __init__(
        self, desk: Desk, store: TradingStore, states: States, market: MarketClock, watch: Watch, clock: Clock,
        *, broker: str, exit_retry_us: int, exits_on_bars: bool = False, lives_on_bars: bool = False,
    ) -> None:  # fmt: skip
        self.desk = desk
        self.store = store
        self.states = states
        self.books = Books(desk)
        self.market = market
        self.watch = watch
        self.timing = Timing(clock, broker)
        self.decider = Decider(self.books, states, market, self.timing)
        self.cursor = SignalPlace("", 0)
        self.in_flight: set[tuple[str, str]] = set()
        self.wire: Broker
        self._clock = clock
        self._exit_retry_us = exit_retry_us
        self._exits_on_bars = exits_on_bars
        self._lives_on_bars = lives_on_bars
        self._exit_again_us: dict[tuple[PositionKey, Purpose], int] = {}
        self.prices_refused = 0

    # -- the market ---------------------------------------------------------------------------------------------------

    def on_tick(self, tick: Tick) -> None:
        """Take in a price, and leave what it stops out."""
        self.market.heard(tick.timestamp_us)
        if not is_price(tick.price):
            self.prices_refused += 1  # off every grid of the exchange: nothing is decided on it
            return
        self.desk.on_price(tick.exchange, tick.symbol, tick.price, tick.timestamp_us)
        if not self._exits_on_bars and tick.symbol in self.books.guarded:
            for key in list(self.books.guarded[tick.symbol]):
                guard = self.desk.guards.get(key)
                if guard is None or guard.is_idle:
                    continue
                self.desk.guards[key], found = on_tick(guard, tick.price, tick.timestamp_us)
                if found is not None:
                    self.leave(key, found.reason, at_us=self.market.instant_of(tick))

    def on_bar(self, bar: OHLCVBar) -> None:
        """Take in a bar that closed, and leave what it stopped out where exits are judged on bars."""
        end_us = bar.timestamp_us + TIMEFRAMES[bar.timeframe] * US_PER_MINUTE
        self.market.heard(end_us)
        if bar.timeframe != "1m" or not is_price(bar.close):
            return
        state = self.desk.gate.state.symbol(bar.exchange, bar.symbol)
        if end_us > state.price_at_us:  # a tick of that instant is the next bar's, and newer
            self.desk.on_price(bar.exchange, bar.symbol, bar.close, end_us)
        if not self._exits_on_bars:
            return
        for key in list(self.books.guarded.get(bar.symbol, ())):
            guard = self.desk.guards.get(key)
            if guard is None or guard.is_idle:
                continue
            inside = self.desk.positions.get(key).opened_us > bar.timestamp_us
            self.desk.guards[key], found = on_bar(guard, bar, is_filled_inside=inside)
            if found is not None:
                at_us = bar.timestamp_us if found.is_at_open else end_us - 1
                self.leave(key, found.reason, at_us=at_us, price=found.price)

    def on_minute(self, minute_us: int) -> None:
        """A minute's bars were all taken: the account is worth what they say."""
        self.market.heard(minute_us + US_PER_MINUTE)
        self.desk.mark()

    def mark(self) -> None:
        """Value the account at a fill; one that lives on bars is valued once a minute, when all of them were taken."""
        if not self._lives_on_bars:
            self.desk.mark()

    # -- signals ------------------------------------------------------------------------------------------------------

    def on_signal(self, signal: SignalEvent, place: SignalPlace, *, published_us: int = 0) -> None:
        """Decide on a signal once, whatever brings it how often; its place becomes the cursor."""
        self.timing.begin(signal, published_us=published_us)
        with self.store.transaction(holds_messages=True) as entry:
            decisions = self.decider.decide(entry, signal, place)
            self.cursor = place
            entry.cursor("signals", place.store_uuid, place.outbox_seq)
            self._begin_sending(entry, decisions)
            crash_point("engine.intent.before")
        crash_point("engine.intent.after")
        self.act(decisions)

    def pass_over(self, place: SignalPlace) -> None:
        """Move the cursor to where there is nothing to decide."""
        with self.store.transaction() as entry:
            entry.cursor("signals", place.store_uuid, place.outbox_seq)
        self.cursor = place

    # -- leaving ------------------------------------------------------------------------------------------------------

    def leave(
        self, key: PositionKey, reason: ExitReason, purpose: Purpose = Purpose.EXIT, *, at_us: int = 0,
        price: float | None = None,
    ) -> bool:  # fmt: skip
        """Close what is left of a position; say whether an order went out. A failed one is not tried again at once.

        `at_us` and `price`: when and where a bar reached what guards it.
        """
        now_us = at_us or self.market.now_us()
        if now_us < self._exit_again_us.get((key, purpose), 0):
            return False
        state = self.desk.gate.state
        state.trading_state = self.states.of(key.strategy_id, key.exchange, key.symbol)
        try:
            decision = self.desk.leave(key, reason, now_us, purpose=purpose, price=price)
        finally:
            state.trading_state = self.states.account
        if isinstance(decision, Ignored):
            return False
        self.timing.begin(None)
        self.timing.decided()
        if isinstance(decision, Refusal):
            self._exit_again_us[key, purpose] = now_us + self._exit_retry_us
        with self.store.transaction(holds_messages=True) as entry:
            self.decider.write(entry, "", [decision], now_us)
            self._begin_sending(entry, [decision])
            crash_point("engine.exit.before")
        crash_point("engine.exit.after")
        self.act([decision])
        return isinstance(decision, Placed)

    # -- requests -----------------------------------------------------------------------------------------------------

    def _begin_sending(self, entry: Entry, decisions: Iterable[Decision]) -> None:
        """Write `sending` beside the intent of the request that leaves first, with nothing between commit and request.

        What leaves after it is marked when its turn comes: a crash on the way must not make it unknown.
        """
        first = next((each for each in decisions if isinstance(each, (Placed, CancelWanted))), None)
        if isinstance(first, Placed):
            self.books.take(entry, first.order.order_id, ev.Sending(at_us=self.market.now_us()))

    def act(self, decisions: Iterable[Decision]) -> None:
        """Do what was decided and committed."""
        for decision in decisions:
            if isinstance(decision, Placed):
                self._place(decision)
            elif isinstance(decision, CancelWanted):
                self.cancel(decision.order_id, decision.reason)
        self.store.publish_held()

    def _place(self, placed: Placed) -> None:
        order_id, now_us = placed.order.order_id, self.market.now_us()
        if not self.desk.orders.get(order_id).is_sent:
            with self.store.transaction() as entry:
                self.books.take(entry, order_id, ev.Sending(at_us=now_us))
        crash_point("engine.place.sending")
        self.timing.journalled(order_id)
        # What a bar made due left within that bar, and takes no room from what is decided behind it.
        self.desk.gate.state.rates.record(placed.order.created_us if self._lives_on_bars else now_us)
        self.in_flight.add((order_id, "place"))
        self.wire.place(self.desk.orders.get(order_id), placed.approved)

    def cancel(self, order_id: str, reason: str) -> bool:
        """Ask the broker to cancel; an intent that never left lapses. Cancels are always allowed."""
        order = self.desk.orders.get(order_id)
        now_us = self.market.now_us() or order.created_us
        if order.status is OrderStatus.INTENT:
            with self.store.transaction() as entry:
                self.books.take(entry, order_id, ev.Lapsed(at_us=now_us, reason=reason))
            return True
        if not order.has_live_child or (order_id, "cancel") in self.in_flight:
            return False
        number = order.cancel_number + 1
        with self.store.transaction() as entry:
            self.books.take(entry, order_id, ev.CancelSending(at_us=now_us, number=number, reason=reason))
            crash_point("engine.cancel.before")
        crash_point("engine.cancel.sending")
        self.desk.gate.state.rates.record(now_us)
        self.in_flight.add((order_id, "cancel"))
        self.wire.cancel(self.desk.orders.get(order_id), number)
        return True

    def change(self, order_id: str, quantity: int, price: float | None, price_trigger: float | None) -> None:
        """Ask for other terms; they count when the broker's answer or report shows them."""
        order = self.desk.orders.get(order_id)
        if quantity > order.quantity:
            raise Refused(f"order {order_id} asks for {order.quantity}; {quantity} would add to it: send a signal")
        if (order_id, "change") in self.in_flight:
            raise Refused(f"order {order_id} is being modified; wait for the answer")
        number, now_us = order.change_number + 1, self.market.now_us()
        evidence = ev.ChangeSending(
            at_us=now_us, number=number, quantity=quantity, price=price, price_trigger=price_trigger
        )
        with self.store.transaction() as entry:
            self.books.take(entry, order_id, evidence)
            crash_point("engine.change.before")
        crash_point("engine.change.sending")
        self.desk.gate.state.rates.record(now_us)
        order = self.desk.orders.get(order_id)
        assert order.change is not None
        self.in_flight.add((order_id, "change"))
        self.wire.change(order, order.change)

    # -- what comes back ----------------------------------------------------------------------------------------------

    def answered(self, answer: Answer) -> None:
        """Take in what became of a request."""
        self.in_flight.discard((answer.order_id, answer.request))
        crash_point("engine.answer.before")
        with self.store.transaction() as entry:
            news: list[AnyNews] = []
            if answer.evidence is not None:
                news = self._take(entry, answer.order_id, answer.evidence)
            entry.latency(**self.timing.answered(answer, self.desk.orders.get(answer.order_id)))
            crash_point("engine.answer.commit")
        crash_point("engine.answer.after")
        self._after(answer.order_id, news)

    def reported(self, evidence: Iterable[ev.BrokerReport | ev.TradeReport]) -> int:
        """Take in what the broker says of orders and trades; say how much of it was news."""
        count = 0
        for item in evidence:
            owner = self.books.owner_of(item)
            if owner is None:
                self.desk.orders.route(item)
                continue
            if not self._would_change(owner, item):
                continue
            crash_point("engine.report.before")
            with self.store.transaction() as entry:
                news = self._take(entry, owner, item)
                crash_point("engine.report.commit")
            crash_point("engine.report.after")
            count += 1
            self._after(owner, news)
        return count

    def _would_change(self, owner: str, evidence: ev.AnyEvidence) -> bool:
        """A repeat is most of what a poll brings; it needs no transaction."""
        try:
            order = self.desk.orders.get(owner)
            return apply(order, evidence)[0] is not order
        except ContradictoryEvidence:
            return True

    def _take(self, entry: Entry, order_id: str, evidence: ev.AnyEvidence) -> list[AnyNews]:
        try:
            return self.books.take(entry, order_id, evidence)
        except ContradictoryEvidence as e:
            order = self.desk.orders.get(order_id)
            at_us = self.market.now_us() or evidence.at_us
            entry.risk_event(
                "contradiction", "error", str(e), at_us, symbol=order.symbol, exchange=order.exchange,
                strategy_id=order.strategy_id, order_id=order_id,
            )  # fmt: skip
            self.watch.contradiction(str(e))
            return []

    def _after(self, order_id: str, news: Iterable[AnyNews]) -> None:
        order = self.desk.orders.get(order_id)
        if any(isinstance(item, FillRecorded) for item in news):
            self.mark()
            self.timing.filled(self.store, order_id)
        if order.status is OrderStatus.REJECTED:
            self.watch.rejected(self.market.now_us(), order.reason)
            if order.purpose is not Purpose.ENTRY:
                key = PositionKey(order.strategy_id, order.symbol, order.exchange, order.product)
                self._exit_again_us[key, order.purpose] = self.market.now_us() + self._exit_retry_us
