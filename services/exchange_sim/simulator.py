"""The simulator's parts, put together: one market, one account, two streams, one plan of faults."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import msgspec
from aiohttp import WSCloseCode, web

from libs.calendar import Calendar
from libs.core.clock import Clock
from libs.core.errors import Refused
from libs.settings.exchange_sim import ExchangeSim
from services.exchange_sim.access import ANALYTICS, TRADING, RateLimiter, Tokens
from services.exchange_sim.bookmark import Bookmark
from services.exchange_sim.exchange.account import Account
from services.exchange_sim.exchange.gtt import GttBook
from services.exchange_sim.exchange.matching import MatchingEngine
from services.exchange_sim.exchange.orders import Fill, Order, OrderBook
from services.exchange_sim.faults.kinds import IMMEDIATE
from services.exchange_sim.faults.plan import Fault, FaultPlan
from services.exchange_sim.feed.connections import StreamConnection
from services.exchange_sim.feed.driver import Driver
from services.exchange_sim.feed.market_stream import MarketStream
from services.exchange_sim.feed.portfolio_stream import PortfolioStream
from services.exchange_sim.market.clock import MarketClock
from services.exchange_sim.market.instruments import Listing
from services.exchange_sim.market.market import Market
from services.exchange_sim.market.sessions import TradingDays, start_instant_ms
from services.exchange_sim.wire import Speller


class Simulator:
    """Everything one simulated broker is. Handlers ask it; the driver moves it."""

    def __init__(self, settings: ExchangeSim, clock: Clock, bookmark: Bookmark | None = None) -> None:
        self.settings = settings
        self.clock = clock
        self.days = TradingDays.of_exchange(Calendar.load("nse"), settings.holidays)
        if bookmark:
            start_ms = bookmark.first_instant_ms(self.days, clock)
        else:
            start_ms = start_instant_ms(settings.start, self.days, clock)
        self.bookmark = bookmark
        listing = Listing(settings.symbols, settings.seed)
        self.market = Market(listing, self.days, settings.seed, MarketClock(clock, start_ms, settings.speed))
        self.faults = FaultPlan(clock, settings.seed)
        self.faults.on_add = self._act_at_once
        self.account = Account(settings.cash)
        self.book = OrderBook()
        self.engine = MatchingEngine(self.market, self.account, self.book, self._order_changed)
        self.gtt = GttBook(self.market, self.engine, self._gtt_changed)
        self.market_stream = MarketStream(self.market, self.faults, ticks_per_frame_max=settings.ticks_per_frame_max)
        self.portfolio_stream = PortfolioStream(self.faults)
        self.driver = Driver(
            self.market, self.engine, self.market_stream, self.faults, conflation_ms=settings.conflation_ms,
            depth_only_share=settings.depth_only_share, missing_depth_share=settings.missing_depth_share,
            skip_closed=settings.skip_closed, new_day=self._new_day, before_window=self._before_window,
            after_window=self.gtt.play,
        )  # fmt: skip
        self.engine.is_halted = self.driver.is_halted
        self.tokens = Tokens(
            clock, f"secret of {settings.seed}",
            {settings.trading_token: TRADING, settings.analytics_token: ANALYTICS},
        )  # fmt: skip
        self.order_limiter, self.request_limiter, self.history_limiter = _limiters(settings, clock)
        self.requests: Counter[str] = Counter()
        #: Segments the broker's kill switch stopped, and when (market time).
        self.disabled_ms: dict[str, int] = {}
        self.static_ips: dict[str, Any] = {"primary_ip": "127.0.0.1", "secondary_ip": None}
        #: Connections that are over, the latest last.
        self.ended: list[StreamConnection] = []
        self._connection_number = 0
        self._tasks: set[asyncio.Task[Any]] = set()

    @property
    def speller(self) -> Speller:
        """Give the speller of the present moment's clock skew."""
        return Speller(self.market_stream.skew_ms())

    def next_connection_number(self) -> int:
        """Number a connection."""
        self._connection_number += 1
        return self._connection_number

    def connections(self) -> list[StreamConnection]:
        """List the open connections of both streams."""
        return [*self.market_stream.connections, *self.portfolio_stream.connections]

    def is_disconnected(self, stream: str) -> bool:
        """Say whether a fault keeps a stream's clients out."""
        return self.faults.in_force("disconnect", stream=stream) is not None

    def submit(self, order: Order, *, at_once: bool = False) -> None:
        """Send a received order on its way: after the broker's latency, or now."""
        if at_once:
            self.process(order)
        else:
            self.later(self.settings.order_latency_ms / 1000, self.process, order)

    def process(self, order: Order) -> None:
        """Let the engine take an order, unless a fault rejects it first."""
        now_ms = self.market.now_ms()
        if reject := self.faults.strike("order_reject", instrument_key=order.request.instrument.key):
            self.engine.reject(order, str(reject.parameters["message"]), now_ms)
        else:
            self.engine.process(order, now_ms)

    async def warm(self) -> None:
        """Make today's prices one instrument at a time, so that a big subscription finds them and nobody waits."""
        for instrument in self.market.listing.instruments:
            self.market.instrument_day(instrument, self.market.now_ms())
            await asyncio.sleep(0)

    def later(self, delay_s: float, do: Any, *arguments: Any) -> None:
        """Do something after a real delay."""
        asyncio.get_running_loop().call_later(delay_s, do, *arguments)

    def spawn(self, work: Any) -> None:
        """Run a coroutine to its end without waiting for it."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _order_changed(self, order: Order, fill: Fill | None) -> None:
        self.portfolio_stream.send("order", self.speller.order_event(order))
        if fill:
            position = self.account.positions[(order.request.instrument.key, order.request.product)]
            self.portfolio_stream.send_position(position, fill.price)

    def _gtt_changed(self, event: dict[str, Any]) -> None:
        self.portfolio_stream.send("gtt_order", event)

    def _before_window(self, instant_ms: int) -> None:
        if self.bookmark:
            self.bookmark.reach(instant_ms, self.market.clock.speed)

    def _new_day(self) -> None:
        now_ms = self.driver.played_ms  # before the opening, where the last price is the close of the day that ended
        self.account.end_day(lambda share: self.market.price(share, now_ms))
        self.book.end_day()
        self.spawn(self.warm())

    def _act_at_once(self, fault: Fault) -> None:
        if fault.kind not in IMMEDIATE:
            return
        if fault.starts_ns > self.clock.monotonic_ns():
            self.later((fault.starts_ns - self.clock.monotonic_ns()) / 1e9, self._act, fault)
        else:
            self._act(fault)

    def _act(self, fault: Fault) -> None:
        stream = fault.parameters.get("stream", "all")
        if fault.kind == "token_death":
            self.tokens.kill_all()
        for connection in self.connections():
            if stream not in {"all", connection.stream}:
                continue
            if fault.kind == "close":
                self.spawn(connection.close(fault.parameters["code"]))
            elif fault.kind == "token_death":
                self.spawn(connection.close(WSCloseCode.POLICY_VIOLATION))
            elif fault.kind == "reset":
                connection.reset()
            else:
                connection.abort()
        self.faults.note(fault)


SIMULATOR: web.AppKey[Simulator] = web.AppKey("simulator", Simulator)


def _limiters(settings: ExchangeSim, clock: Clock) -> tuple[RateLimiter, RateLimiter, RateLimiter]:
    orders = {
        1.0: settings.orders_per_second_max,
        60.0: settings.orders_per_minute_max,
        1800.0: settings.orders_per_half_hour_max,
    }
    requests = {
        1.0: settings.requests_per_second_max,
        60.0: settings.requests_per_minute_max,
        1800.0: settings.requests_per_half_hour_max,
    }
    return RateLimiter(clock, orders), RateLimiter(clock, requests), RateLimiter(clock, requests)


async def json_body(request: web.Request) -> Any:
    """Read a request's JSON, or refuse it."""
    try:
        return msgspec.json.decode(await request.read())
    except msgspec.DecodeError as e:
        raise Refused(f"the body is no JSON: {e}") from e
