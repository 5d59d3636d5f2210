"""What the gate knows: prices, positions, what may still fill, counts of the day, equity. A fold; rebuilt at start.

Exposure is worst case: a position together with everything on its side that may still trade, at the last price;
counted in ten-thousandths of a rupee, as prices are (`price_units`).
Kept up to date by the difference each event makes, so that a decision adds nothing up.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

import msgspec

from libs.contracts.orders import OrderStatus, Side
from libs.contracts.risk import TradingState
from libs.contracts.sessions import Session
from libs.core.clock import trading_date
from libs.core.money import UNITS_PER_RUPEE, price_units
from libs.orders.instrument import Instrument
from libs.orders.model import FINAL, Order, Product, Purpose
from libs.orders.positions import Position
from libs.orders.profit import Equity
from libs.risk.funds import Funds
from libs.risk.limits import Limits
from libs.risk.rates import RateWindows

SymbolKey = tuple[str, str]
HoldingKey = tuple[str, str, str, Product]


class Holding(msgspec.Struct):
    """One strategy in one instrument: its position, what its orders may still do, and how many are unknown."""

    quantity: int = 0
    buying: int = 0
    selling: int = 0
    exiting: int = 0
    entering_buy: int = 0
    entering_sell: int = 0
    unknown: int = 0
    exposure: int = 0

    def worst_quantity(self) -> int:
        """Give the largest position, long or short, that could come of it."""
        quantity = self.quantity
        worst, short = quantity + self.buying, self.selling - quantity
        if short > worst:  # noqa: PLR1730 - a call costs more than the comparison, and this is asked ten times an order
            worst = short
        return worst if worst > 0 else 0  # noqa: FURB136 - as above


class SymbolState(msgspec.Struct):
    """One instrument: its rules, its last price, and what all strategies together hold in it."""

    instrument: Instrument | None = None
    tick_units: int = 1
    price: float = 0.0
    units: int = 0
    price_at_us: int = 0
    net: Holding = msgspec.field(default_factory=Holding)
    holdings: list[tuple[str, Holding]] = msgspec.field(default_factory=list)


class LossLocks(msgspec.Struct, frozen=True):
    """Locks that outlive a recovery and a restart: the day's until tomorrow, drawdown's until an operator resumes."""

    day: date | None = None
    is_drawdown: bool = False


class _Share(msgspec.Struct, frozen=True):
    """What one order adds to its holding, remembered so that it can be taken out again."""

    holding: Holding
    net: Holding
    buying: int
    selling: int
    exiting: int
    entering_buy: int
    entering_sell: int
    unknown: int


class RiskState:
    """Everything the checks look at. Feed it every order, position, price and mark, in the order they happen."""

    def __init__(self, *, day: date, equity: Equity, rates: RateWindows) -> None:
        self.trading_state = TradingState.ACTIVE
        self.day = day
        self.equity = equity
        self.locks = LossLocks()
        self.rates = rates
        self.funds = Funds()
        self.spans: tuple[tuple[int, int], ...] = ()
        self.last_entry_us = 0
        self.symbols: dict[SymbolKey, SymbolState] = {}
        self.holdings: dict[HoldingKey, Holding] = {}
        self._pairs: dict[HoldingKey, tuple[SymbolState, Holding]] = {}
        self.strategy_exposure: dict[str, int] = {}
        self.account_exposure = 0
        self.strategy_loss: dict[str, int] = {}
        self.trades_account = 0
        self.trades_strategy: dict[str, int] = {}
        self.trades_symbol: dict[SymbolKey, int] = {}
        self.order_ids: set[str] = set()
        self.signals_answered: set[tuple[str, Purpose]] = set()
        self._shares: dict[str, _Share] = {}
        self._counted: set[str] = set()

    # -- the day ------------------------------------------------------------------------------------------------------

    def on_session(self, session: Session | None, *, last_entry_before_close_us: int) -> None:
        """Take the day's trading hours; without a session nothing is sent."""
        self.spans = session.spans if session else ()
        self.last_entry_us = session.close_us - last_entry_before_close_us if session else 0

    def on_day(self, day: date) -> None:
        """Begin another day: counts of the day start at nothing; what is open stays."""
        self.day = day
        self.trades_account = 0
        self.trades_strategy.clear()
        self.trades_symbol.clear()
        self.strategy_loss.clear()
        self._counted.clear()

    def on_equity(self, equity: Equity, limits: Limits) -> None:
        """Take in the account's worth; a limit it has crossed locks entries from now on."""
        self.equity = equity
        if equity.loss_day_paise >= limits.account_loss_max and self.locks.day != equity.day:
            self.locks = msgspec.structs.replace(self.locks, day=equity.day)
        if (
            equity.drawdown_paise * 100 >= limits.drawdown_percent_max * equity.peak_paise
            and not self.locks.is_drawdown
        ):
            self.locks = msgspec.structs.replace(self.locks, is_drawdown=True)

    # -- the market ---------------------------------------------------------------------------------------------------

    def on_instrument(self, instrument: Instrument) -> None:
        """Learn an instrument's rules; without them nothing is sent in it."""
        state = self.symbol(instrument.exchange, instrument.symbol)
        state.instrument, state.tick_units = instrument, price_units(instrument.tick_size)

    def on_price(self, exchange: str, symbol: str, price: float, at_us: int) -> None:
        """Take in a last price; exposures in the symbol follow it."""
        state = self.symbol(exchange, symbol)
        state.price_at_us = at_us
        if price == state.price:
            return
        state.price, state.units = price, round(price * UNITS_PER_RUPEE)
        for strategy_id, holding in state.holdings:
            if holding.exposure or holding.quantity or holding.buying or holding.selling:
                self._expose(strategy_id, state, holding)
        self._expose_net(state)

    def on_funds(self, available_paise: int, unsettled: Iterable[Order]) -> None:
        """Take in what the broker says is free to trade with; the first reading makes it a rule."""
        is_first = not self.funds.is_known
        self.funds.read(available_paise)
        if is_first:
            for order in unsettled:
                self.funds.on_order(order, self.symbol(order.exchange, order.symbol).units)

    # -- our own ------------------------------------------------------------------------------------------------------

    def on_position(self, position: Position) -> None:
        """Take in a position after a fill."""
        key = position.key
        state, holding = self.holding(key.strategy_id, key.exchange, key.symbol, key.product)
        state.net.quantity += position.quantity - holding.quantity
        holding.quantity = position.quantity
        self._expose(key.strategy_id, state, holding)
        self._expose_net(state)

    def on_order(self, order: Order) -> None:
        """Take in an order after any change, from its intent on: what it may still trade is held back."""
        state, holding = self.holding(order.strategy_id, order.exchange, order.symbol, order.product)
        self.order_ids.add(order.order_id)
        if order.signal_id:
            self.signals_answered.add((order.signal_id, order.purpose))
        before = self._shares.pop(order.order_id, None)
        if before is not None:
            _reserve(before, -1)
        if not order.is_settled:
            share = self._shares[order.order_id] = _share(order, holding, state.net)
            _reserve(share, 1)
        if self.funds.is_known:
            self.funds.on_order(order, state.units)
        self._count_trade(order)
        self._expose(order.strategy_id, state, holding)
        self._expose_net(state)

    def on_filled(self, order: Order, position: Position) -> None:
        """Take in a settled order together with the position its one trade led to: `on_position`, then `on_order`."""
        state, holding = self.holding(order.strategy_id, order.exchange, order.symbol, order.product)
        net = state.net
        net.quantity += position.quantity - holding.quantity
        holding.quantity = position.quantity
        share = self._shares.pop(order.order_id, None)
        if share is not None:
            _reserve(share, -1)
        self._count_trade(order)
        self._expose(order.strategy_id, state, holding)
        self._expose_net(state)

    def symbol(self, exchange: str, symbol: str) -> SymbolState:
        """Give an instrument's state, empty at first."""
        key = (exchange, symbol)
        state = self.symbols.get(key)
        if state is None:
            state = self.symbols[key] = SymbolState()
        return state

    def holding(self, strategy_id: str, exchange: str, symbol: str, product: Product) -> tuple[SymbolState, Holding]:
        """Give a strategy's holding and its instrument's state, empty at first."""
        key = (strategy_id, exchange, symbol, product)
        pair = self._pairs.get(key)
        if pair is None:
            state, holding = self.symbol(exchange, symbol), Holding()
            self.holdings[key] = holding
            state.holdings.append((strategy_id, holding))
            pair = self._pairs[key] = (state, holding)
        return pair

    # -- arithmetic ---------------------------------------------------------------------------------------------------

    def _count_trade(self, order: Order) -> None:
        """Count an entry of today once, and not when it came to nothing before it reached the broker."""
        came_to_nothing = order.status in FINAL and not order.children
        is_trade = order.purpose is Purpose.ENTRY and not came_to_nothing and trading_date(order.created_us) == self.day
        if is_trade == (order.order_id in self._counted):
            return
        (self._counted.add if is_trade else self._counted.discard)(order.order_id)
        key, step = (order.exchange, order.symbol), 1 if is_trade else -1
        self.trades_account += step
        self.trades_strategy[order.strategy_id] = self.trades_strategy.get(order.strategy_id, 0) + step
        self.trades_symbol[key] = self.trades_symbol.get(key, 0) + step

    def _expose(self, strategy_id: str, state: SymbolState, holding: Holding) -> None:
        exposure = holding.worst_quantity() * state.units
        change = exposure - holding.exposure
        holding.exposure = exposure
        self.strategy_exposure[strategy_id] = self.strategy_exposure.get(strategy_id, 0) + change

    def _expose_net(self, state: SymbolState) -> None:
        exposure = state.net.worst_quantity() * state.units
        self.account_exposure += exposure - state.net.exposure
        state.net.exposure = exposure


def _share(order: Order, holding: Holding, net: Holding) -> _Share:
    reserved = order.quantity_reserved
    is_buy, is_entry = order.side is Side.BUY, order.purpose is Purpose.ENTRY
    return _Share(
        holding,
        net,
        buying=reserved if is_buy else 0,
        selling=0 if is_buy else reserved,
        exiting=0 if is_entry else reserved,
        entering_buy=reserved if is_entry and is_buy else 0,
        entering_sell=reserved if is_entry and not is_buy else 0,
        unknown=int(order.status is OrderStatus.UNKNOWN),
    )


def _reserve(share: _Share, sign: int) -> None:
    for holding in (share.holding, share.net):
        # One side and one purpose are nothing in every order, and adding nothing costs as much as adding something.
        if share.buying:
            holding.buying += sign * share.buying
        if share.selling:
            holding.selling += sign * share.selling
        if share.exiting:
            holding.exiting += sign * share.exiting
        if share.entering_buy:
            holding.entering_buy += sign * share.entering_buy
        if share.entering_sell:
            holding.entering_sell += sign * share.entering_sell
        if share.unknown:
            holding.unknown += sign * share.unknown
