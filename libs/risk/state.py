"""What the gate knows: prices, positions, what may still fill, counts of the day, equity. A fold; rebuilt at start.

Exposure is worst case: a position together with everything on its side that may still trade, at the last price;
counted in ten-thousandths of a rupee, as prices are (`price_units`).
A symbol that something happened to is valued when a decision asks: prices move far more often than decisions are made,
and all that is added up then is the differences since the last one.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

import msgspec

from libs.contracts.orders import Side
from libs.contracts.risk import TradingState
from libs.contracts.sessions import Session
from libs.core.clock import US_PER_DAY, day_start_us
from libs.core.money import UNITS_PER_RUPEE, price_units
from libs.orders.direct import PlainOrder
from libs.orders.instrument import Instrument
from libs.orders.model import FINAL, Order, Product, Purpose
from libs.orders.positions import Position
from libs.orders.profit import Equity
from libs.risk.funds import Funds
from libs.risk.holding import Holding, Share, SymbolState, reserve, reserve_plain, share_of
from libs.risk.limits import Limits
from libs.risk.rates import RateWindows

SymbolKey = tuple[str, str]
HoldingKey = tuple[str, str, str, Product]


#: Looking a member up on its enum costs as much as a step of what is done with it.
_BUY, _ENTRY = Side.BUY, Purpose.ENTRY


class LossLocks(msgspec.Struct, frozen=True):
    """Locks that outlive a recovery and a restart: the day's until tomorrow, drawdown's until an operator resumes."""

    day: date | None = None
    is_drawdown: bool = False


class RiskState:
    """Everything the checks look at. Feed it every order, position, price and mark, in the order they happen."""

    def __init__(self, *, day: date, equity: Equity, rates: RateWindows) -> None:
        self.trading_state = TradingState.ACTIVE
        self._begin(day)
        self.equity = equity
        self.locks = LossLocks()
        self.rates = rates
        self.funds = Funds()
        self.spans: tuple[tuple[int, int], ...] = ()
        self.last_entry_us = 0
        self.symbols: dict[SymbolKey, SymbolState] = {}
        self.holdings: dict[HoldingKey, Holding] = {}
        self._pairs: dict[HoldingKey, tuple[SymbolState, Holding]] = {}
        self._strategy_exposure: dict[str, int] = {}
        self._account_exposure = 0
        #: Symbols something happened in since exposures were worked out.
        self._moved: list[SymbolState] = []
        self.strategy_loss: dict[str, int] = {}
        self.trades_account = 0
        self.trades_strategy: dict[str, int] = {}
        self.trades_symbol: dict[SymbolKey, int] = {}
        self.order_ids: set[str] = set()
        self.signals_answered: set[tuple[str, Purpose]] = set()
        self._shares: dict[str, Share] = {}
        self._counted: set[str] = set()

    # -- the day ------------------------------------------------------------------------------------------------------

    def on_session(self, session: Session | None, *, last_entry_before_close_us: int) -> None:
        """Take the day's trading hours; without a session nothing is sent."""
        self.spans = session.spans if session else ()
        self.last_entry_us = session.close_us - last_entry_before_close_us if session else 0

    @property
    def day(self) -> date:
        """Give the trading day it is."""
        return self._day

    def _begin(self, day: date) -> None:
        self._day, self._day_start_us = day, day_start_us(day)

    def on_day(self, day: date) -> None:
        """Begin another day: counts of the day start at nothing; what is open stays."""
        self._begin(day)
        self.trades_account = 0
        self.trades_strategy.clear()
        self.trades_symbol.clear()
        self.strategy_loss.clear()
        self._counted.clear()

    def on_equity(self, equity: Equity, limits: Limits) -> None:
        """Take in the account's worth; a limit it has crossed locks entries from now on."""
        self.equity = equity
        lost, fallen = equity.day_start_paise - equity.now_paise, equity.peak_paise - equity.now_paise
        if lost >= limits.account_loss_max and self.locks.day != equity.day:
            self.locks = msgspec.structs.replace(self.locks, day=equity.day)
        if fallen * 100 >= limits.drawdown_percent_max * equity.peak_paise and not self.locks.is_drawdown:
            self.locks = msgspec.structs.replace(self.locks, is_drawdown=True)

    # -- the market ---------------------------------------------------------------------------------------------------

    def on_instrument(self, instrument: Instrument) -> None:
        """Learn an instrument's rules; without them nothing is sent in it."""
        state = self.symbol(instrument.exchange, instrument.symbol)
        state.instrument, state.tick_units = instrument, price_units(instrument.tick_size)

    def on_price(self, exchange: str, symbol: str, price: float, at_us: int) -> None:
        """Take in a last price; exposures in the symbol follow it."""
        self.price(self.symbol(exchange, symbol), price, at_us)

    def price(self, state: SymbolState, price: float, at_us: int) -> None:
        """Take in a last price of a symbol whose state is at hand: `on_price`."""
        state.price_at_us = at_us
        if price == state.price:
            return
        state.price, state.units = price, round(price * UNITS_PER_RUPEE)
        if not state.is_moved and any(
            holding.exposure or holding.quantity or holding.buying or holding.selling for _, holding in state.holdings
        ):
            self._move(state)

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
        self._move(state)

    def on_order(self, order: Order) -> None:
        """Take in an order after any change, from its intent on: what it may still trade is held back."""
        state, holding = self.holding(order.strategy_id, order.exchange, order.symbol, order.product)
        self.order_ids.add(order.order_id)
        if order.signal_id:
            self.signals_answered.add((order.signal_id, order.purpose))
        before = self._shares.pop(order.order_id, None)
        if before is not None:
            reserve(before, -1)
        if not order.is_settled:
            share = self._shares[order.order_id] = share_of(order, holding, state.net)
            reserve(share, 1)
        if self.funds.is_known:
            self.funds.on_order(order, state.units)
        self._count_trade(order)
        self._move(state)

    def on_intent(self, order: Order) -> None:
        """Take in an order nothing has happened to: `on_order`, where there is nothing to look up and compare."""
        name, quantity = order.order_id, order.quantity
        key = (order.strategy_id, order.exchange, order.symbol, order.product)
        state, holding = self._pairs.get(key) or self.holding(*key)
        self.order_ids.add(name)
        if order.signal_id:
            self.signals_answered.add((order.signal_id, order.purpose))
        buying, selling = (quantity, 0) if order.side is _BUY else (0, quantity)
        share = (
            Share(holding, state.net, buying, selling, 0, buying, selling, 0) if order.purpose is _ENTRY
            else Share(holding, state.net, buying, selling, quantity, 0, 0, 0)
        )  # fmt: skip
        self._shares[name] = share
        reserve(share, 1)
        if self.funds.is_known:
            self.funds.on_order(order, state.units)
        if order.purpose is _ENTRY:
            self._count_trade(order)
        self._move(state)

    def on_filled(self, order: Order, position: Position) -> None:
        """Take in a settled order together with the position its one trade led to: `on_position`, then `on_order`."""
        key = (order.strategy_id, order.exchange, order.symbol, order.product)
        state, holding = self._pairs.get(key) or self.holding(*key)
        state.net.quantity += position.quantity - holding.quantity
        holding.quantity = position.quantity
        share = self._shares.pop(order.order_id, None)
        if share is not None:
            reserve(share, -1)
        else:  # what was told of before is counted already
            self._count_trade(order)
        self._move(state)

    def on_plain(self, plain: PlainOrder, state: SymbolState, holding: Holding) -> None:
        """Take in a plain order's intent: `on_intent`, but that nothing is kept to take it out by."""
        self.order_ids.add(plain.order_id)
        self.signals_answered.add((plain.signal_id, plain.purpose))
        reserve_plain(plain, holding, state.net, plain.quantity)
        if self.funds.is_known:
            self.funds.on_order(plain.order(), state.units)
        if plain.purpose is _ENTRY:
            self._count(plain.order_id, plain.strategy_id, (plain.exchange, plain.symbol), 1)
        self._move(state)

    def on_plain_filled(self, plain: PlainOrder, state: SymbolState, holding: Holding, quantity: int) -> None:
        """Take in a plain order's one trade and the quantity held after it: `on_filled`."""
        net = state.net
        net.quantity += quantity - holding.quantity
        holding.quantity = quantity
        reserve_plain(plain, holding, net, -plain.quantity)
        self._move(state)

    def keep(self, order: Order) -> None:
        """Take in that a plain order, as it was told of, is an order like others from here on."""
        state, holding = self.holding(order.strategy_id, order.exchange, order.symbol, order.product)
        self._shares[order.order_id] = share_of(order, holding, state.net)

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

    # -- exposure -----------------------------------------------------------------------------------------------------

    @property
    def account_exposure(self) -> int:
        """Give what the account is exposed to."""
        if self._moved:
            self._expose()
        return self._account_exposure

    @property
    def strategy_exposure(self) -> dict[str, int]:
        """Give what each strategy is exposed to."""
        if self._moved:
            self._expose()
        return self._strategy_exposure

    def exposed_elsewhere(self, strategy_id: str, net: Holding, own: Holding) -> tuple[int, int]:
        """Give what account and strategy are exposed to but for a symbol and the strategy's own holding in it."""
        if self._moved:
            self._expose()
        return self._account_exposure - net.exposure, self._strategy_exposure.get(strategy_id, 0) - own.exposure

    # -- arithmetic ---------------------------------------------------------------------------------------------------

    def _count_trade(self, order: Order) -> None:
        """Count an entry of today once, and not when it came to nothing before it reached the broker."""
        came_to_nothing = order.status in FINAL and not order.children
        is_today = 0 <= order.created_us - self._day_start_us < US_PER_DAY
        is_trade = order.purpose is _ENTRY and not came_to_nothing and is_today
        if is_trade == (order.order_id in self._counted):
            return
        self._count(order.order_id, order.strategy_id, (order.exchange, order.symbol), 1 if is_trade else -1)

    def _count(self, name: str, strategy_id: str, key: SymbolKey, step: int) -> None:
        (self._counted.add if step > 0 else self._counted.discard)(name)
        self.trades_account += step
        self.trades_strategy[strategy_id] = self.trades_strategy.get(strategy_id, 0) + step
        self.trades_symbol[key] = self.trades_symbol.get(key, 0) + step

    def _move(self, state: SymbolState) -> None:
        if not state.is_moved:
            state.is_moved = True
            self._moved.append(state)

    def _expose(self) -> None:
        """Let the exposures follow whatever happened since they were last asked for."""
        strategies = self._strategy_exposure
        for state in self._moved:
            state.is_moved = False
            for strategy_id, holding in state.holdings:
                exposure = holding.worst_quantity() * state.units
                strategies[strategy_id] = strategies.get(strategy_id, 0) + exposure - holding.exposure
                holding.exposure = exposure
            exposure = state.net.worst_quantity() * state.units
            self._account_exposure += exposure - state.net.exposure
            state.net.exposure = exposure
        self._moved.clear()
