"""The quick look at a plain order: what it clears, no check objects to. Anything else is judged check by check.

The rules are spelled a second time here, because calling seventeen checks costs twice as much as what they compare.
`checks/` are the rules all the same: they name the rejections and have the last word on all that is not cleared.
A test takes each condition here away in turn, and sees an order pass that a check rejects.
"""

from __future__ import annotations

import msgspec

from libs.contracts.orders import OrderType, Side
from libs.contracts.risk import TradingState
from libs.core.money import UNITS_PER_PAISA, UNITS_PER_RUPEE
from libs.orders.model import Purpose
from libs.risk.holding import Holding, SymbolState
from libs.risk.limits import Limits
from libs.risk.request import OrderRequest
from libs.risk.state import RiskState, SymbolKey

#: Looking a member up on its enum costs as much as a condition.
_ACTIVE = TradingState.ACTIVE
_BUY, _SELL = Side.BUY, Side.SELL
_ENTRY, _EXIT = Purpose.ENTRY, Purpose.EXIT
_LIMIT, _MARKET = OrderType.LIMIT, OrderType.MARKET
_AGE_MIN_US = -2_000_000
_PRICE_MAX = 1e9


class Desk(msgspec.Struct, frozen=True):
    """What every order of one strategy in one instrument is held against; the state keeps these for good."""

    state: RiskState
    limits: Limits
    symbol: SymbolState
    holding: Holding
    strategy_id: str
    symbol_key: SymbolKey


def is_clear(desk: Desk, request: OrderRequest, now_us: int) -> bool:
    """Say that every check of an entry passes; false means only that they have to be asked.

    They are for stop orders, orders no signal caused, and for an account whose broker tells its funds.
    """
    state, limits = desk.state, desk.limits
    if request.purpose is not _ENTRY or state.funds.is_known or state.trading_state is not _ACTIVE:
        return False
    if request.order_id in state.order_ids or (request.signal_id, _ENTRY) in state.signals_answered:
        return False
    if not _AGE_MIN_US <= now_us - request.signal_us <= limits.signal_age_max_us:
        return False
    if now_us >= state.last_entry_us or now_us < state.rates.entry_free_us:
        return False
    for start_us, end_us in state.spans:
        if start_us <= now_us < end_us:
            break
    else:
        return False
    units = _worst_units(desk.symbol, limits, request, now_us)
    return units > 0 and _is_within(desk, state, limits, request, units)


def is_clear_exit(desk: Desk, request: OrderRequest, now_us: int) -> bool:
    """Say that every check of an exit at the market passes; false means only that they have to be asked."""
    state = desk.state
    if request.purpose is not _EXIT or state.trading_state is not _ACTIVE or now_us < state.rates.free_us:
        return False
    if request.order_id in state.order_ids or (request.signal_id, _EXIT) in state.signals_answered:
        return False
    for start_us, end_us in state.spans:
        if start_us <= now_us < end_us:
            break
    else:
        return False
    instrument, own, quantity = desk.symbol.instrument, desk.holding, request.quantity
    if instrument is None or request.order_type is not _MARKET or request.price is not None:
        return False
    freeze = instrument.freeze_quantity
    if quantity <= 0 or quantity % instrument.lot_size or (freeze and quantity > freeze * desk.limits.slices_max):
        return False
    return quantity <= (own.quantity if request.side is _SELL else -own.quantity) - own.exiting


def _worst_units(symbol: SymbolState, limits: Limits, request: OrderRequest, now_us: int) -> int:
    """Give the dearest price an order may trade at that is right in itself; 0 for any other."""
    instrument, last, quantity = symbol.instrument, symbol.price, request.quantity
    if instrument is None or last <= 0 or now_us - symbol.price_at_us > limits.price_age_max_us:
        return 0
    freeze = instrument.freeze_quantity
    if quantity <= 0 or quantity % instrument.lot_size or (freeze and quantity > freeze * limits.slices_max):
        return 0
    price, kind = request.price, request.order_type
    if price is None:
        return symbol.units if kind is _MARKET else 0
    if kind is not _LIMIT or request.price_trigger is not None or not instrument.price_low <= price < _PRICE_MAX:
        return 0
    high, units = instrument.price_high, round(price * UNITS_PER_RUPEE)
    is_on_grid = units > 0 and units % symbol.tick_units == 0 and units / UNITS_PER_RUPEE == price
    if not is_on_grid or (high and price > high) or abs(price - last) > last * limits.price_band:
        return 0
    return units if units > symbol.units else symbol.units  # noqa: FURB136 - a call costs more than the comparison


def _is_within(desk: Desk, state: RiskState, limits: Limits, request: OrderRequest, units: int) -> bool:
    """Say that size, exposure, trades, loss and drawdown stay inside their limits with this order."""
    own, net, quantity, equity = desk.holding, desk.symbol.net, request.quantity, state.equity
    # The most that could be held on either side once this order fills too: `Holding.worst_quantity`, spelled out.
    if request.side is _BUY:
        working, worst, worst_own = own.entering_buy, net.quantity + net.buying, own.quantity + own.buying
        short, short_own = net.selling - net.quantity, own.selling - own.quantity
    else:
        working, worst, worst_own = own.entering_sell, net.selling - net.quantity, own.selling - own.quantity
        short, short_own = net.quantity + net.buying, own.quantity + own.buying
    if working or own.unknown or quantity > limits.order_quantity_max:
        return False
    worst, worst_own = worst + quantity, worst_own + quantity
    if short > worst:  # noqa: PLR1730 - a call costs more than the comparison
        worst = short
    if short_own > worst_own:  # noqa: PLR1730 - as above
        worst_own = short_own
    if worst > limits.position_quantity_max or units * quantity // UNITS_PER_PAISA > limits.order_value_max:
        return False
    in_symbol = worst * units
    of_account, of_strategy = state.exposed_elsewhere(desk.strategy_id, net, own)
    in_account = of_account + in_symbol
    if (
        in_symbol > limits.symbol_exposure_max
        or of_strategy + worst_own * units > limits.strategy_exposure_max
        or in_account > limits.account_exposure_max
        or in_account > equity.now_paise * limits.account_exposure_percent_max
    ):
        return False
    if (
        state.trades_account >= limits.account_trades_max
        or state.trades_strategy.get(desk.strategy_id, 0) >= limits.strategy_trades_max
        or state.trades_symbol.get(desk.symbol_key, 0) >= limits.symbol_trades_max
        or state.strategy_loss.get(desk.strategy_id, 0) >= limits.strategy_loss_max
    ):
        return False
    locks, peak = state.locks, equity.peak_paise
    return not (
        equity.day_start_paise - equity.now_paise >= limits.account_loss_max
        or (locks.day is not None and locks.day == state.day)
        or (peak - equity.now_paise) * 100 >= limits.drawdown_percent_max * peak
        or locks.is_drawdown
    )
