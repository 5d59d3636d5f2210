"""The order of events of a minute, with a simulated exchange: what a backtest runs and live is compared with.

Per minute T: pending orders fill at T's open; exits are judged on T's bar; the account is marked; then, at the end of
T, signals go through the gate one by one, ordered by (bar, instance, symbol, kind, leg), exits before entries.
No bar, no trade: an order waits for its symbol's next bar. What is decided on T can only trade in a later bar.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import date

from libs.contracts.market import TIMEFRAMES, OHLCVBar
from libs.contracts.orders import OrderStatus
from libs.contracts.sessions import Session
from libs.contracts.signals import SignalEvent, SignalType
from libs.core.clock import US_PER_DAY, US_PER_MINUTE, day_start_us, trading_date
from libs.orders import evidence as ev
from libs.orders.direct import accepted_whole, broker_id, news_of_acceptance, trade_id
from libs.orders.fills import FillSettings, Resting, Trade, match_bar, slipped
from libs.orders.model import Fill, Order
from libs.orders.news import AnyNews
from libs.orders.positions import PositionKey
from libs.trading.decisions import CancelWanted, Decision, Placed
from libs.trading.desk import Desk
from libs.trading.exits import Exit, on_bar

LoopEvent = Decision | AnyNews

#: Out before in: an exit that came after its own bar's entry would cancel it.
_KIND_ORDER = (SignalType.EXIT_LONG, SignalType.EXIT_SHORT, SignalType.ENTER_LONG, SignalType.ENTER_SHORT)


def signal_order(signal: SignalEvent) -> tuple[int, str, str, int, int]:
    """Give the place of a signal among those of a minute: bar, instance, symbol, kind (exits first), leg."""
    return (
        signal.timestamp_us, signal.strategy_id, signal.symbol, _KIND_ORDER.index(signal.signal_type), signal.leg,
    )  # fmt: skip


class TradingLoop:
    """A desk on a simulated exchange, fed minute by minute."""

    def __init__(self, desk: Desk, settings: FillSettings, session_of: Callable[[date], Session | None]) -> None:
        self.desk = desk
        self.settings = settings
        self._session_of = session_of
        self._day: date | None = None
        self._day_ends_us = 0
        self.resting: dict[str, list[Resting]] = {}
        self._bars: dict[str, OHLCVBar] = {}
        #: How many trades there were.
        self.trades = 0
        #: Marking costs as much as all the rest of a quiet bar; where nothing looks at the account it can wait.
        self.watches = True

    def on_bars(self, minute_us: int, bars: Sequence[OHLCVBar]) -> list[LoopEvent]:
        """Take the bars of one minute, at most one a symbol: fills, exits, marks. Their sequence does not matter."""
        events: list[LoopEvent] = []
        if minute_us >= self._day_ends_us:
            events += self._begin_day(minute_us)
        known, resting, guards = self._bars, self.resting, self.desk.guards
        for bar in bars:
            known[bar.symbol] = bar
        if not resting and not guards:
            return events
        held = {key.symbol for key in guards}
        touched = [bar for bar in bars if bar.symbol in resting or bar.symbol in held]
        if not touched:
            return events
        if len(touched) > 1:
            touched.sort(key=_symbol_of)
        for bar in touched:
            if bar.symbol in resting:
                events += self.fill(bar)
        if guards:
            for bar in touched:
                events += self.exits(bar)
        if self.watches:
            self._price(touched)
            self.desk.mark()
        return events

    def settle_prices(self) -> None:
        """Value what is held at the last prices seen, where that was not done bar by bar for want of need."""
        symbols = self.desk.gate.state.symbols
        for key in self.desk.guards:
            bar = self._bars.get(key.symbol)
            # Whoever passes bars over tells prices itself, and knows later ones.
            if bar is not None and symbols[key.exchange, key.symbol].price_at_us < self._end_us(bar):
                self._price((bar,))

    def on_signals(self, now_us: int, signals: Sequence[SignalEvent]) -> list[LoopEvent]:
        """Decide on the signals of the minute that ended at `now_us`."""
        events: list[LoopEvent] = []
        for signal in sorted(signals, key=signal_order) if len(signals) > 1 else signals:
            events += self.on_signal(signal, self._bars.get(signal.symbol), now_us)
        return events

    def on_signal(self, signal: SignalEvent, bar: OHLCVBar | None, now_us: int) -> list[LoopEvent]:
        """Decide on one signal, at the close of its symbol's last bar."""
        events: list[LoopEvent] = []
        if bar is not None:
            self._price((bar,))
        for decision in self.desk.on_signal(signal, now_us, known_us=self._known_us(signal)):
            events.append(decision)
            if isinstance(decision, Placed):
                events += self._send(decision.order, now_us)
            elif isinstance(decision, CancelWanted):
                events += self._cancel(decision.order_id, decision.reason, now_us)
        return events

    def end(self, now_us: int) -> list[LoopEvent]:
        """End the day: what rests expires, as orders of a day do."""
        events: list[LoopEvent] = []
        for resting in [order for orders in self.resting.values() for order in orders]:
            events += self._report(resting.order_id, OrderStatus.EXPIRED, now_us, "the session is over")
        self.resting.clear()
        return events

    def _price(self, bars: Iterable[OHLCVBar]) -> None:
        for bar in bars:
            at_us = self._end_us(bar)
            if self.desk.gate.state.symbol(bar.exchange, bar.symbol).price_at_us != at_us:
                self.desk.on_price(bar.exchange, bar.symbol, bar.close, at_us)

    def _end_us(self, bar: OHLCVBar) -> int:
        """When a bar is over."""
        return bar.timestamp_us + TIMEFRAMES[bar.timeframe] * US_PER_MINUTE

    def _known_us(self, signal: SignalEvent) -> int:
        """When a signal could first be known."""
        return signal.timestamp_us + TIMEFRAMES[signal.timeframe] * US_PER_MINUTE

    # -- the simulated exchange ---------------------------------------------------------------------------------------

    def _begin_day(self, minute_us: int) -> list[LoopEvent]:
        events = self.end(self._day_ends_us) if self._day else []
        self._day = trading_date(minute_us)
        session = self._session_of(self._day)
        self._day_ends_us = day_start_us(self._day) + US_PER_DAY
        self.watches = self.desk.watches_account
        self.settle_prices()
        self.desk.on_day(self._day, session)
        self.desk.mark()
        return events

    def _send(self, order: Order, now_us: int) -> list[LoopEvent]:
        self.desk.gate.state.rates.record(now_us)
        instrument = self.desk.gate.state.symbol(order.exchange, order.symbol).instrument
        assert instrument is not None  # the gate approved
        self.rest(order, instrument.tick_size, now_us)
        # What it reserves stays what the intent reserved: risk has nothing to learn.
        self.desk.orders.put(accepted_whole(order, broker_id(order.order_id)))
        return list[LoopEvent](news_of_acceptance(order, now_us))

    def rest(self, order: Order, tick_size: float, now_us: int) -> None:
        """Put an order to those that wait for their symbol's next bar."""
        self.resting.setdefault(order.symbol, []).append(
            Resting(
                order_id=order.order_id, symbol=order.symbol, side=order.side, order_type=order.order_type,
                quantity=order.quantity, tick_size=tick_size, since_us=now_us, price=order.price,
                price_trigger=order.price_trigger,
            )
        )  # fmt: skip

    def _cancel(self, order_id: str, reason: str, now_us: int) -> list[LoopEvent]:
        order = self.desk.orders.get(order_id)
        number = order.cancel_number + 1
        events: list[LoopEvent] = list(
            self.desk.take(order_id, ev.CancelSending(at_us=now_us, number=number, reason=reason))
        )
        self._keep(order.symbol, [r for r in self.resting.get(order.symbol, []) if r.order_id != order_id])
        return events + self._report(order_id, OrderStatus.CANCELLED, now_us, reason)

    def _report(self, order_id: str, status: OrderStatus, at_us: int, reason: str) -> list[LoopEvent]:
        order = self.desk.orders.get(order_id)
        report = ev.BrokerReport(
            at_us=at_us, broker_order_id=broker_id(order_id), status=status, quantity=order.quantity,
            quantity_filled=order.quantity_traded, tag=order_id, reason=reason,
        )  # fmt: skip
        return list(self.desk.take(order_id, report))

    def fill(self, bar: OHLCVBar) -> list[LoopEvent]:
        """Match what rests in the bar's symbol."""
        events: list[LoopEvent] = []
        kept = []
        for order in self.resting.get(bar.symbol, ()):
            left, trade = match_bar(order, bar, self.settings)
            if trade is not None:
                is_at_open = order.price is None and order.price_trigger is None
                events += self._traded(order.order_id, trade, bar.timestamp_us if is_at_open else self._end_us(bar) - 1)
            if left.quantity:
                kept.append(left)
        self._keep(bar.symbol, kept)
        return events

    def exits(self, bar: OHLCVBar) -> list[LoopEvent]:
        """Judge the guards of what is held in the bar's symbol."""
        events: list[LoopEvent] = []
        guards, symbol = self.desk.guards, bar.symbol
        acting = [key for key, guard in guards.items() if key.symbol == symbol and not guard.is_idle]
        if len(acting) > 1:
            acting.sort()
        for key in acting:
            opened_us = self.desk.positions.get(key).opened_us
            guards[key], found = on_bar(guards[key], bar, is_filled_inside=opened_us > bar.timestamp_us)
            if found is not None:
                events += self._leave(key, found, bar)
        return events

    def _leave(self, key: PositionKey, found: Exit, bar: OHLCVBar) -> list[LoopEvent]:
        """Close at the price the exit names: it stands for a stop or target that rested at the exchange."""
        at_us = bar.timestamp_us if found.is_at_open else self._end_us(bar) - 1
        decision = self.desk.leave(key, found.reason, at_us)
        if not isinstance(decision, Placed):
            return [decision]
        order = decision.order
        events: list[LoopEvent] = [decision, *self._send(order, at_us)]
        resting = self.resting[bar.symbol].pop()
        self._keep(bar.symbol, self.resting[bar.symbol])
        price = slipped(resting, found.price, self.settings)
        return events + self._traded(order.order_id, Trade(price, order.quantity), at_us)

    def _traded(self, order_id: str, trade: Trade, at_us: int) -> list[LoopEvent]:
        fill = self.trade(self.desk.orders.get(order_id), trade.price, trade.quantity, at_us)
        return list(self.desk.fill_at_once(order_id, fill, at_us))

    def trade(self, order: Order, price: float, quantity: int, at_us: int) -> Fill:
        """Make the next trade of the simulated exchange."""
        self.trades += 1
        return Fill(
            exchange=order.exchange, broker_order_id=broker_id(order.order_id), trade_id=trade_id(self.trades),
            symbol=order.symbol, side=order.side, quantity=quantity, price=price, timestamp_us=at_us,
            product=order.product, strategy_id=order.strategy_id, order_id=order.order_id,
        )  # fmt: skip

    def _keep(self, symbol: str, resting: list[Resting]) -> None:
        if resting:
            self.resting[symbol] = resting
        else:
            self.resting.pop(symbol, None)


def _symbol_of(bar: OHLCVBar) -> str:
    return bar.symbol
