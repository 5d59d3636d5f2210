"""A simulated market without sockets, at ten o'clock of a Monday, on a clock the test moves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date

import pytest

from services.exchange_sim.exchange.account import Account
from services.exchange_sim.exchange.matching import MatchingEngine
from services.exchange_sim.exchange.orders import Fill, Order, OrderBook
from services.exchange_sim.market.clock import MarketClock
from services.exchange_sim.market.instruments import Instrument, Listing
from services.exchange_sim.market.market import Market
from services.exchange_sim.market.sessions import TradingDays, midnight_ms

DAY = date(2026, 2, 2)
SEED = 7


def at(hours: int, minutes: int = 0, seconds: float = 0, day: date = DAY) -> int:
    """An instant of the day in IST, in milliseconds."""
    return midnight_ms(day) + ((hours * 60 + minutes) * 60) * 1000 + int(seconds * 1000)


@dataclass
class HandClock:
    """A clock that stands until it is moved."""

    ns: int = 1_000_000_000
    wall_us: int = 1_790_000_000_000_000

    def now_us(self) -> int:
        return self.wall_us

    def monotonic_ns(self) -> int:
        return self.ns

    def sleep(self, seconds: float) -> None:
        self.pass_s(seconds)

    def pass_s(self, seconds: float) -> None:
        self.ns += int(seconds * 1e9)
        self.wall_us += int(seconds * 1e6)


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


def make_market(clock: HandClock, *, symbols: int = 5, seed: int = SEED, start_ms: int | None = None) -> Market:
    start_ms = at(10) if start_ms is None else start_ms
    return Market(Listing(symbols, seed), TradingDays({}), seed, MarketClock(clock, start_ms, 1.0))


@pytest.fixture
def market(clock: HandClock) -> Market:
    return make_market(clock)


@pytest.fixture
def share(market: Market) -> Instrument:
    return market.listing.instruments[0]


@dataclass
class Desk:
    """The matching engine with its account, and everything it told its listener."""

    market: Market
    engine: MatchingEngine
    account: Account
    book: OrderBook
    told: list[tuple[str, str, Fill | None]] = field(default_factory=list)


@pytest.fixture
def desk(market: Market) -> Desk:
    return make_desk(market)


def make_desk(market: Market, cash: float = 1_000_000.0) -> Desk:
    told: list[tuple[str, str, Fill | None]] = []
    account, book = Account(cash), OrderBook()

    def listen(order: Order, fill: Fill | None) -> None:
        told.append((order.order_id, order.status, fill))

    listener: Callable[[Order, Fill | None], None] = listen
    return Desk(market, MatchingEngine(market, account, book, listener), account, book, told)
