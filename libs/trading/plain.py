"""Market orders that fill whole at the next open, the short way: the same gate, the same books, and no news between.

Most orders of a backtest live so, and most of what desk and loop do for them is to make, carry and take apart the news
of every step. Here the steps are the same (price, gate, intent, acknowledged, trade, position, money, guard) and are
done in the desk's own books, which spell an order out when it is asked for. The long way finds everything as if it had
gone there itself: it takes whatever is not plain, at any step. A test holds the two ways against each other.
"""

from __future__ import annotations

import numpy as np

from libs.contracts.orders import OrderType, Side
from libs.contracts.signals import SignalEvent, SignalType
from libs.core.money import UNITS_PER_RUPEE, price_units
from libs.orders.direct import PlainOrder
from libs.orders.fills import FillSettings, Resting, slipped
from libs.orders.model import Product, Purpose, order_id
from libs.orders.positions import PositionKey
from libs.risk.request import OrderRequest
from libs.trading.columns import Columns
from libs.trading.decisions import Ignored, Refusal
from libs.trading.desk import NOTHING_LEFT
from libs.trading.exits import ExitReason
from libs.trading.loop import TradingLoop
from libs.trading.replay import Recorder
from libs.trading.sizing import FixedQuantity, size

#: Looking a member up on its enum costs as much as a step of what is done with it.
_DELIVERY = Product.DELIVERY
_ENTRY, _EXIT = Purpose.ENTRY, Purpose.EXIT
_EXIT_LONG, _EXIT_SHORT, _ENTER_LONG = SignalType.EXIT_LONG, SignalType.EXIT_SHORT, SignalType.ENTER_LONG
_BUY, _SELL = Side.BUY, Side.SELL
_SIGNAL = ExitReason.SIGNAL.value
_REASONS = {kind: kind.value for kind in SignalType}


class PlainOrders:
    """One strategy's orders in one symbol, of which these are all the bars."""

    def __init__(self, loop: TradingLoop, recorder: Recorder, key: PositionKey, columns: Columns) -> None:
        self.key = key
        self._loop, self._recorder = loop, recorder
        desk = self._desk = loop.desk
        self._state = desk.gate.state
        self._symbol, self._holding = self._state.holding(key.strategy_id, key.exchange, key.symbol, key.product)
        self._sizing = desk.plan(key.strategy_id).sizing
        instrument = self._symbol.instrument
        self._tick_size = instrument.tick_size if instrument else 0.0
        self._lot_size = instrument.lot_size if instrument else 1
        self._fills_whole = loop.settings.participation_percent_max >= 100
        #: What waits for the next bar; nothing of it is where the long way looks.
        self.waiting: list[PlainOrder] = []
        self._trades_at_opens = instrument is not None and _trade_as_they_are(columns, self._tick_size, loop.settings)

    @property
    def last_price(self) -> float:
        """Give the last price that was told."""
        return self._symbol.price

    def price(self, price: float, at_us: int) -> bool:
        """Tell the desk a last price; say whether it is news."""
        symbol = self._symbol
        if symbol.price_at_us >= at_us:
            return False
        self._desk.price(symbol, self.key.symbol, price, at_us)
        return True

    def ask(self, signal: SignalEvent, close: float, now_us: int) -> bool:
        """Decide on a signal at its bar's end; False, and nothing decided, where it asks for more than one order."""
        key, holding = self.key, self._holding
        self.price(close, now_us)
        if not self._fills_whole:
            return False
        kind, held, signal_id = signal.signal_type, holding.quantity, signal.signal_id
        if kind is _EXIT_LONG or kind is _EXIT_SHORT:
            is_long = kind is _EXIT_LONG
            quantity = (held if is_long else -held) - holding.exiting
            if quantity <= 0 or (holding.entering_buy if is_long else holding.entering_sell):
                return False
            side, purpose, signal_us, reason = _SELL if is_long else _BUY, _EXIT, 0, _SIGNAL
        else:
            is_long = kind is _ENTER_LONG
            to_close = (-held if is_long else held) - holding.exiting  # below 0 when the position is ours already
            quantity = 0 if to_close or (key.product is _DELIVERY and not is_long) else self._quantity(signal)
            if not quantity:
                return False
            if held:
                self._recorder.on_events([Ignored(signal_id, NOTHING_LEFT)])
            side, purpose, signal_us, reason = _BUY if is_long else _SELL, _ENTRY, now_us, _REASONS[kind]
        request = OrderRequest(
            order_id=order_id(signal_id=signal_id, purpose=purpose), strategy_id=key.strategy_id, symbol=key.symbol,
            side=side, quantity=quantity, exchange=key.exchange, product=key.product, purpose=purpose,
            signal_id=signal_id, signal_us=signal_us,
        )  # fmt: skip
        rejected = self._desk.gate.objection(request, now_us)
        if rejected is not None:
            self._recorder.on_events([Refusal(request, rejected)])
            return True
        if purpose is _ENTRY:
            self._desk.entered_by(key, signal)
        plain = PlainOrder(
            request.order_id, signal_id, key.strategy_id, key.symbol, key.exchange, key.product, side, purpose,
            quantity, now_us, reason,
        )  # fmt: skip
        self._desk.orders.note(plain)
        self._state.on_plain(plain, self._symbol, holding)
        self._state.rates.record(now_us)
        self._recorder.on_plain(plain)
        self.waiting.append(plain)
        if key.symbol in self._loop.resting:
            self.hand_over()
        return True

    def hand_over(self) -> None:
        """Put what waits where the long way looks for it."""
        for plain in self.waiting:
            order = self._desk.orders.get(plain.order_id)
            self._state.keep(order)
            self._loop.rest(order, self._tick_size, plain.created_us)
        self.waiting.clear()

    def _quantity(self, signal: SignalEvent) -> int:
        sizing, lot = self._sizing, self._lot_size
        if type(sizing) is FixedQuantity:  # as most are: the account need not be added up for it
            return sizing.quantity // lot * lot
        return size(
            sizing, price=self._symbol.price, equity_paise=self._desk.equity_paise, lot=lot,
            atr=signal.metadata.get("atr"),
        )  # fmt: skip

    def fill(self, open_price: float, at_us: int) -> bool:
        """Fill what waits at a bar's open; False, with nothing done, where the long way must look for itself."""
        waiting, loop = self.waiting, self._loop
        if not waiting or waiting[-1].created_us > at_us:
            self.hand_over()
            return False
        for plain in waiting:
            plain.trade_number = loop.trades = loop.trades + 1
            plain.timestamp_us = at_us
            plain.price = open_price if self._trades_at_opens else self._slipped(plain, open_price)
            self._desk.fill_plain(self.key, plain, self._symbol, self._holding)
            self._recorder.on_plain_filled(plain)
        waiting.clear()
        return True

    def _slipped(self, plain: PlainOrder, open_price: float) -> float:
        resting = Resting(
            order_id=plain.order_id, symbol=plain.symbol, side=plain.side, order_type=OrderType.MARKET,
            quantity=plain.quantity, tick_size=self._tick_size,
        )  # fmt: skip
        return slipped(resting, open_price, self._loop.settings)


def _trade_as_they_are(columns: Columns, tick_size: float, settings: FillSettings) -> bool:
    """Whether `slipped` would give every open of the columns back as it is."""
    if settings.slippage_ticks or settings.slippage_basis_points:
        return False
    opens = columns.open
    units = np.rint(opens * UNITS_PER_RUPEE)
    is_exact = (units / UNITS_PER_RUPEE == opens) & (units % price_units(tick_size) == 0)
    return bool(np.all(is_exact & (opens >= tick_size) & (opens < 1e9)))
