"""The brokers there are, by the name `execution.broker` has. Each is imported when it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from libs.brokers.interface import Broker
from libs.core.clock import Clock
from libs.core.errors import Refused
from libs.orders.fills import FillSettings
from libs.settings import Settings


class Desk(msgspec.Struct, frozen=True, kw_only=True):
    """What a broker may know of the engine it serves.

    `keys` gives the broker's name of each symbol, `tick_size` its grid, `is_busy` whether any order is unsettled.
    """

    keys: Callable[[], Mapping[str, str]]
    tick_size: Callable[[str], float]
    market_us: Callable[[], int]
    is_busy: Callable[[], bool]


def make_broker(settings: Settings, clock: Clock, desk: Desk) -> Broker:
    """Make the broker the settings name."""
    name = settings.execution.broker
    if name not in BROKERS:
        raise Refused(f"execution.broker is {name!r}; expected one of {', '.join(sorted(BROKERS))}")
    return BROKERS[name](settings, clock, desk)


def fill_settings(settings: Settings) -> FillSettings:
    """Give how kind the paper market is."""
    execution = settings.execution
    return FillSettings(
        slippage_ticks=execution.paper_slippage_ticks, spread_ticks=execution.paper_spread_ticks,
        participation_percent_max=execution.paper_participation_max_percent,
    )  # fmt: skip


def _paper(settings: Settings, clock: Clock, desk: Desk) -> Broker:
    from libs.brokers.paper import PaperBroker

    return PaperBroker(
        fill_settings(settings), clock, exchange=settings.data.exchange,
        fills_on_bars=settings.execution.paper_fill == "next_bar_open", tick_size=desk.tick_size,
        market_us=desk.market_us,
    )  # fmt: skip


def _upstox(settings: Settings, clock: Clock, desk: Desk) -> Broker:
    from libs.brokers.upstox import UpstoxBroker
    from libs.upstox.credentials import Scope
    from libs.upstox.orders import OrderCalls
    from libs.upstox.session import BrokerSession

    session = BrokerSession.open(settings, Scope.TRADING)
    return UpstoxBroker(
        OrderCalls(session, settings.upstox.algo_name), settings.upstox, clock, exchange=settings.data.exchange,
        keys=desk.keys, market_us=desk.market_us, is_busy=desk.is_busy,
    )  # fmt: skip


BROKERS: dict[str, Callable[[Settings, Clock, Desk], Broker]] = {"paper": _paper, "upstox": _upstox}
