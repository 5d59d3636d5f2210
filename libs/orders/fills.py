"""How an order fills in simulation, for the paper broker and the backtest alike: on the next bar, or on ticks.

`match_bar` knows only a bar's open, high, low and volume; it takes the path that is worse for us. `match_tick` trades
against bid and ask. Both are pure: an order that rests, what the market did, and back come the order after it and
what traded. The price is on the tick grid, rounded against us, and never better than the order's limit allows.
"""

from __future__ import annotations

from typing import Annotated, NamedTuple

import msgspec
from msgspec import Meta

from libs.contracts.market import OHLCVBar, Tick
from libs.contracts.orders import OrderType, Side
from libs.core.money import Rounding, round_to_tick

_MARKET, _BUY = OrderType.MARKET, Side.BUY
#: Below 0 a cost would be a gift; beyond a whole price it is a typing error.
_Ticks = Annotated[int, Meta(ge=0, le=1_000_000)]
_BasisPoints = Annotated[float, Meta(ge=0, le=10_000)]


class FillSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How kind the simulated market is.

    `participation_percent_max`: the share of a bar's or tick's volume one order may take; 100 and more: no partial
    fills. A limit order is filled only when the price goes `limit_through_ticks` past it: a touch does not reach the
    end of the queue. `latency_ms`: on ticks, an order reaches the exchange so long after it was decided on.
    """

    slippage_ticks: _Ticks = 0
    slippage_basis_points: _BasisPoints = 0.0
    spread_ticks: _Ticks = 1
    participation_percent_max: Annotated[float, Meta(gt=0)] = 100.0
    limit_through_ticks: _Ticks = 1
    latency_ms: Annotated[int, Meta(ge=0)] = 0


class Resting(msgspec.Struct, frozen=True, kw_only=True):
    """An order at the simulated exchange. `since_us`: only what begins at or after this instant may fill it."""

    order_id: str
    symbol: str
    side: Side
    order_type: OrderType
    quantity: int
    tick_size: float
    since_us: int = 0
    price: float | None = None
    price_trigger: float | None = None
    is_triggered: bool = False


class Trade(NamedTuple):
    """What one match traded."""

    price: float
    quantity: int


def match_bar(order: Resting, bar: OHLCVBar, settings: FillSettings) -> tuple[Resting, Trade | None]:
    """Match against a bar that came after the order: market orders at its open, the others where it reaches them."""
    if bar.timestamp_us < order.since_us or order.quantity <= 0:
        return order, None
    if order.order_type is _MARKET:
        return _trade(order, slipped(order, bar.open, settings), bar.volume, settings)
    order, price = _triggered_on_bar(order, bar)
    if order.order_type in {OrderType.SL, OrderType.SL_M} and not order.is_triggered:
        return order, None
    if order.price is not None and order.order_type in {OrderType.LIMIT, OrderType.SL}:
        worst = bar.low if order.side is Side.BUY else bar.high
        return _match_limit(order, price, worst, bar.volume, settings)
    return _trade(order, slipped(order, price, settings), bar.volume, settings)


def match_tick(order: Resting, tick: Tick, settings: FillSettings) -> tuple[Resting, Trade | None]:
    """Match against one tick: a buy pays the ask, a sale gets the bid, or the last price and half the spread."""
    if tick.timestamp_us < order.since_us or order.quantity <= 0:
        return order, None
    if order.order_type in {OrderType.SL, OrderType.SL_M} and not order.is_triggered:
        if not _is_reached(order, tick.price):
            return order, None
        order = msgspec.structs.replace(order, is_triggered=True)
    price = _touch(order, tick, settings)
    if order.price is not None and order.order_type in {OrderType.LIMIT, OrderType.SL}:
        return _match_limit(order, price, price, tick.volume, settings)
    return _trade(order, slipped(order, price, settings), tick.volume, settings)


def slipped(order: Resting, price: float, settings: FillSettings) -> float:
    """Move a price against us, and onto the grid away from us; a sale never gets less than one tick."""
    away = settings.slippage_ticks * order.tick_size + price * settings.slippage_basis_points / 10_000
    if order.side is _BUY:
        return round_to_tick(price + away, order.tick_size, Rounding.UP)
    return max(round_to_tick(price - away, order.tick_size, Rounding.DOWN), order.tick_size)


def _triggered_on_bar(order: Resting, bar: OHLCVBar) -> tuple[Resting, float]:
    """Give the order, triggered if the bar reached its stop, and the price from which it trades in this bar."""
    if order.order_type not in {OrderType.SL, OrderType.SL_M} or order.is_triggered:
        return order, bar.open
    trigger = order.price_trigger
    extreme = bar.high if order.side is Side.BUY else bar.low
    if trigger is None or not _is_reached(order, extreme):
        return order, bar.open
    # Opened beyond the stop: there was no trade at the stop, the open is what there was.
    price = bar.open if _is_reached(order, bar.open) else trigger
    return msgspec.structs.replace(order, is_triggered=True), price


def _is_reached(order: Resting, price: float) -> bool:
    if order.price_trigger is None:
        return False
    return price >= order.price_trigger if order.side is Side.BUY else price <= order.price_trigger


def _match_limit(
    order: Resting, start: float, extreme: float, volume: int, settings: FillSettings
) -> tuple[Resting, Trade | None]:
    limit = order.price
    assert limit is not None
    is_buy = order.side is Side.BUY
    if start <= limit if is_buy else start >= limit:
        # Marketable from the start: it trades there, slips no further than its limit.
        worse = slipped(order, start, settings)
        price = min(worse, limit) if is_buy else max(worse, limit)
        return _trade(order, price, volume, settings)
    through = settings.limit_through_ticks * order.tick_size
    # Half a tick forgives the last bit of float arithmetic on either side.
    slack = order.tick_size / 2
    passed = extreme <= limit - through + slack if is_buy else extreme >= limit + through - slack
    return _trade(order, limit, volume, settings) if passed else (order, None)


def _touch(order: Resting, tick: Tick, settings: FillSettings) -> float:
    half = settings.spread_ticks * order.tick_size / 2
    if order.side is Side.BUY:
        return tick.ask or tick.price + half
    return tick.bid or tick.price - half


def _trade(order: Resting, price: float, volume: int, settings: FillSettings) -> tuple[Resting, Trade | None]:
    quantity = order.quantity
    if settings.participation_percent_max < 100:
        quantity = min(quantity, int(volume * settings.participation_percent_max / 100))
    if quantity <= 0:
        return order, None
    return msgspec.structs.replace(order, quantity=order.quantity - quantity), Trade(price, quantity)
