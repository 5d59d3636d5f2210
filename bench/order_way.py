"""The way of an order, stamped: the product's engine, store, bus and brokers, with a scanner in another process."""

from __future__ import annotations

import os
import re
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import msgspec

from libs.brokers.interface import Broker
from libs.brokers.upstox import UpstoxBroker
from libs.contracts.sessions import Session
from libs.core.clock import IST, Clock, SystemClock, to_us, trading_date
from libs.dbaccess import DatabaseManager, Role
from libs.dbaccess.roles import Store
from libs.messaging import Publisher, Subscriber
from libs.orders.instrument import Instrument
from libs.settings import Settings
from libs.upstox.credentials import Scope
from libs.upstox.orders import OrderCalls
from libs.upstox.session import BrokerSession
from services.exchange_sim.market.instruments import Listing
from services.execution_engine.building import build, wire_broker
from services.execution_engine.deciding import SignalPlace
from services.execution_engine.engine import Engine
from services.execution_engine.signals import SignalSource
from tests.kit.engine import engine_settings
from tests.kit.exchange_sim import IN_SESSION, Simulator

SIGNALS, INTERVAL_S, SYMBOLS, WARM_UP = 400, 0.02, 50, 20
PROJECT = Path(__file__).resolve().parent.parent
NO_LIMITS: dict[str, Any] = dict.fromkeys(
    ("account_trades_day_max", "account_exposure_max_rupees", "account_exposure_equity_max_percent",
     "strategy_trades_day_max", "strategy_exposure_max_rupees", "symbol_trades_day_max",
     "symbol_exposure_max_rupees", "account_loss_day_max_rupees", "strategy_loss_day_max_rupees",
     "account_drawdown_max_percent", "symbol_order_value_max_rupees"), 0,
) | {"order_rate_max": (10**7,) * 3, "reject_storm_max": 10**6}  # fmt: skip
#: The simulator counts requests as the broker does; the bench asks more often than a trader may.
GENEROUS = {
    f"TRADEFLEET_EXCHANGE_SIM_{kind}_PER_{window}_MAX": "100000"
    for kind in ("REQUESTS", "ORDERS") for window in ("SECOND", "MINUTE", "HALF_HOUR")
}  # fmt: skip

_SCANNER = """
import sys, time
from libs.contracts.signals import SignalEvent, SignalType
from libs.contracts.topics import topic
from libs.messaging import Publisher
from libs.settings import load_settings
count, interval_s, bar_us, symbols = int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]), sys.argv[4:]
with Publisher.open("scanner", settings=load_settings()) as publisher:
    end = time.monotonic() + 2.0
    while time.monotonic() < end:
        publisher.pump()
        time.sleep(0.01)
    for number in range(1, count + 1):
        symbol, strategy = symbols[number % len(symbols)], f"a{number // len(symbols)}"
        signal = SignalEvent(f"s{number}", strategy, symbol, bar_us, SignalType.ENTER_LONG)
        publisher.publish(topic("signal", strategy, symbol), signal, seq=number)
        publisher.pump()
        time.sleep(interval_s)
    time.sleep(1.0)
"""


class _MarketTime(SystemClock):
    """The machine's clock, moved to the simulated market's day."""

    def __init__(self, start_us: int) -> None:
        self._ahead_us = start_us - super().now_us()

    def now_us(self) -> int:
        return super().now_us() + self._ahead_us


class Way(msgspec.Struct):
    """One signal's way, in microseconds of the machine's clock."""

    published_us: float
    taken_us: float
    handed_us: float = 0.0
    left_us: float = 0.0
    commits: int = 0
    commit_us: float = 0.0
    pages: int = 0
    bare_us: float = 0.0


class _Timed:
    """A connection that says how long its commits took."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self.commits_us: list[float] = []

    def execute(self, sql: str, *parameters: Any) -> Any:
        if sql != "COMMIT":
            return self._connection.execute(sql, *parameters)
        start_ns = time.perf_counter_ns()
        done = self._connection.execute(sql)
        self.commits_us.append((time.perf_counter_ns() - start_ns) / 1000)
        return done

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


def ways(root: Path, bare_file: Path, sim: Simulator | None) -> list[Way]:
    """Let signals come over the bus; `sim` is the exchange, or none for the paper broker."""
    now_us = to_us(datetime.fromisoformat(IN_SESSION).replace(tzinfo=IST))
    clock = _MarketTime(now_us)
    settings = engine_settings(root, **NO_LIMITS)
    # Without a checkpoint on the way, the log's size tells what was written.
    sqlite = msgspec.structs.replace(settings.sqlite, checkpoint_transactions_max=10**9, checkpoint_interval_s=10**6)
    settings = msgspec.structs.replace(settings, sqlite=sqlite)
    if sim is not None:
        settings = msgspec.structs.replace(
            settings, exchange_sim=msgspec.structs.replace(settings.exchange_sim, port=sim.port)
        )
    manager = DatabaseManager(root, Role.EXECUTION_ENGINE, settings=settings, clock=clock)
    always = Session("nse", trading_date(now_us), ((now_us - 10**10, now_us + 10**11),), now_us - 10**10)
    listed = [each for each in Listing(SYMBOLS, 7).instruments if not each.is_index]
    with ExitStack() as stack:
        session = stack.enter_context(manager.writer_session(Store.TRADING))
        timed = _Timed(session.connection)
        session.connection = timed  # type: ignore[assignment]
        engine, _ = build(
            settings, clock, session, instruments=[Instrument(symbol=each.symbol) for each in listed], charges=None,
            session_of=lambda _day: always,
        )  # fmt: skip
        broker = wire_broker(engine, settings, clock, manager)
        if sim is not None:
            broker = _at_simulator(engine, settings, clock, {each.symbol: each.key for each in listed})
        stack.callback(broker.close)
        publisher = stack.enter_context(Publisher.open("execution_engine", settings=settings, clock=SystemClock()))
        engine.store.publish = lambda told: publisher.publish(told.topic, told.payload, seq=told.seq)
        engine.market.heard(now_us)
        for each in listed:
            engine.desk.on_price("nse", each.symbol, each.price_base, now_us)
        bar_us = now_us // 60_000_000 * 60_000_000 - 60_000_000
        arguments = [str(SIGNALS), str(INTERVAL_S), str(bar_us), *(each.symbol for each in listed)]
        subscriber = stack.enter_context(Subscriber.open(["signal."], settings=settings, clock=SystemClock()))
        bare = stack.enter_context(_bare(bare_file))
        run = _Run(engine, broker, timed, bare, root / "trading" / "trading.db-wal")
        source = SignalSource(manager, engine)
        with (
            _leaving(broker, run, on_socket=sim is not None),
            subprocess.Popen(
                [sys.executable, "-c", _SCANNER, *arguments], cwd=PROJECT,
                env=os.environ | {"TRADEFLEET_DATA": str(root)},
            ),
        ):  # fmt: skip
            run.follow(subscriber, source)
    return run.finished()


def _at_simulator(engine: Engine, settings: Settings, clock: Clock, keys: dict[str, str]) -> Broker:
    calls = OrderCalls(BrokerSession.open(settings, Scope.TRADING))
    broker = UpstoxBroker(
        calls, settings.upstox, clock, exchange="nse", keys=lambda: keys, market_us=engine.market.now_us,
        with_stream=False,
    )  # fmt: skip
    broker.answered, broker.reported, engine.wire = engine.answered, engine.reported, broker
    return broker


class _Run:
    """Takes signals off the bus as the service does, and notes what each of them took."""

    def __init__(self, engine: Engine, broker: Broker, timed: _Timed, bare: Callable[[int], float], log: Path) -> None:
        self._engine = engine
        self._broker = broker
        self._timed = timed
        self._bare = bare
        self._log = log
        self._way = Way(0, 0)
        self._ways: list[Way] = []
        self._left: dict[str, float] = {}
        self._order_id = ""

    def handed(self, order_id: str) -> None:
        """Note when an order was handed over, and what was committed for it."""
        self._way.handed_us = time.time_ns() / 1000
        self._way.commits, self._way.commit_us = len(self._timed.commits_us), sum(self._timed.commits_us)
        self._way.pages += self._pages()
        self._order_id = order_id

    def leaves(self, order_id: str) -> None:
        """Note when a request goes to its socket; called on the SDK's thread."""
        self._left[order_id] = time.time_ns() / 1000

    def follow(self, subscriber: Subscriber, source: SignalSource) -> None:
        """Take signals until all have come; nothing but the bus may bring them."""
        source.catch_up = lambda: 0  # type: ignore[method-assign,misc,assignment]  # there is no scanner's store here
        end = time.monotonic() + SIGNALS * INTERVAL_S * 3 + 20
        while time.monotonic() < end and len(self._ways) < SIGNALS - 1:
            message = subscriber.poll(0.001)
            self._broker.deliver()
            if message is None:
                continue
            if not self._ways:
                # Where the store would have been asked, the bench just goes on from here.
                source._epoch = message.envelope.epoch
                self._engine.cursor = SignalPlace("bench", message.seq - 1)
            pages = -self._pages()
            self._timed.commits_us.clear()
            self._order_id = ""
            self._way = Way(message.envelope.published_us, time.time_ns() / 1000, pages=pages)
            source.on_message(message)
            self._settle(self._way, self._order_id)

    def _settle(self, way: Way, order_id: str) -> None:
        """Wait until the request left, and let plain SQLite write as much as stood before it."""
        if not order_id:
            raise RuntimeError("a signal became no order")
        way.left_us = way.handed_us
        if isinstance(self._broker, UpstoxBroker):
            end = time.monotonic() + 5
            while order_id not in self._left and time.monotonic() < end:
                time.sleep(0.0005)
            way.left_us = self._left[order_id]
        way.bare_us = self._bare(way.pages)
        self._ways.append(way)

    def finished(self) -> list[Way]:
        """Give the ways of all, without those that warmed caches."""
        if len(self._ways) < SIGNALS // 2:
            raise RuntimeError(f"{len(self._ways)} of {SIGNALS} signals became orders")
        return self._ways[WARM_UP:]

    def _pages(self) -> int:
        """Pages in the write-ahead log."""
        return self._log.stat().st_size // 4120  # a page and the head of its frame


@contextmanager
def _leaving(broker: Broker, run: _Run, *, on_socket: bool) -> Iterator[None]:
    """Tell of each order when it is handed to the broker, and when its request is handed to the socket."""
    place, send = broker.place, HTTPConnection.send

    def placing(order: Any, approved: Any) -> None:
        run.handed(order.order_id)
        place(order, approved)

    def sending(connection: HTTPConnection, data: Any) -> None:
        if isinstance(data, bytes) and (found := re.search(rb'"tag": ?"([^"]+)"', data)):
            run.leaves(found[1].decode())
        send(connection, data)

    broker.place = placing  # type: ignore[method-assign]
    if on_socket:
        HTTPConnection.send = sending  # type: ignore[method-assign,assignment]
    try:
        yield
    finally:
        HTTPConnection.send = send  # type: ignore[method-assign]


@contextmanager
def _bare(path: Path) -> Iterator[Callable[[int], float]]:
    """Give what commits a transaction of so many pages by plain SQLite with synchronous=FULL, in microseconds."""
    connection = sqlite3.connect(path, isolation_level=None)
    for pragma in ("journal_mode = WAL", "synchronous = FULL", "wal_autocheckpoint = 0"):
        connection.execute(f"PRAGMA {pragma}")
    connection.execute("CREATE TABLE pages (number INTEGER PRIMARY KEY, body BLOB)")
    connection.executemany("INSERT INTO pages VALUES (?, ?)", [(n, b"." * 3000) for n in range(200)])
    turn = 0

    def commit(pages: int) -> float:
        nonlocal turn
        turn += 1
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("UPDATE pages SET body = ? WHERE number < ?", (turn.to_bytes(4) * 750, pages))
        start_ns = time.perf_counter_ns()
        connection.execute("COMMIT")
        return (time.perf_counter_ns() - start_ns) / 1000

    try:
        yield commit
    finally:
        connection.close()
