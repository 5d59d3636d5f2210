"""Signal on the bus to order request on the wire: the engine's own part, beside what a bare fsync costs here.

The scanner's side runs in a process of its own. Before a request leaves, two transactions are on disk
(synchronous=FULL): the decision with its intent, and `sending`. The bare part are two transactions of plain SQLite
that write as many pages as ours did.
"""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from bench.table import Measure, percentile, print_measures
from libs.brokers.interface import Answer
from libs.contracts.sessions import Session
from libs.core.clock import SystemClock, trading_date
from libs.dbaccess import DatabaseManager, Role
from libs.dbaccess.init import init_all
from libs.dbaccess.layout import Layout
from libs.dbaccess.roles import Store
from libs.messaging import Subscriber
from libs.orders import evidence as ev
from libs.orders.instrument import Instrument
from libs.settings import Settings, load_settings
from services.execution_engine.building import build
from services.execution_engine.deciding import SignalPlace
from services.execution_engine.signals import SignalSource

SIGNALS, INTERVAL_S, SYMBOLS = 400, 0.02, 50
PROJECT = Path(__file__).resolve().parent.parent

_SCANNER = """
import sys, time
from libs.contracts.signals import SignalEvent, SignalType
from libs.contracts.topics import topic
from libs.messaging import Publisher
from libs.settings import load_settings
count, interval_s, symbols, bar_us = int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
with Publisher.open("scanner", settings=load_settings()) as publisher:
    end = time.monotonic() + 2.0
    while time.monotonic() < end:
        publisher.pump()
        time.sleep(0.01)
    for number in range(1, count + 1):
        symbol = f"S{number % symbols}"
        signal = SignalEvent(f"s{number}", f"a{number}", symbol, bar_us, SignalType.ENTER_LONG)
        publisher.publish(topic("signal", f"a{number}", symbol), signal, seq=number)
        publisher.pump()
        time.sleep(interval_s)
    time.sleep(1.0)
"""


class _Wire:
    """Notes when each request would leave, and accepts it."""

    def __init__(self) -> None:
        self.left_us: dict[str, int] = {}
        self.waiting: list[Answer] = []

    def place(self, order: Any, approved: Any) -> None:  # noqa: ARG002
        self.left_us[order.signal_id] = time.time_ns() // 1000
        accepted = ev.Accepted(at_us=order.created_us, broker_order_ids=(f"b-{order.order_id}",))
        self.waiting.append(
            Answer(order_id=order.order_id, request="place", evidence=accepted, outcome="accepted")
        )  # fmt: skip


def measures() -> Iterable[Measure]:
    """Give p50 and p99 of our own part, and of the same writing by plain SQLite."""
    with tempfile.TemporaryDirectory(prefix="tf-bench-") as directory:
        root = Path(directory) / "data"
        root.mkdir(mode=0o700)
        settings = load_settings(environment={"TRADEFLEET_DATA": str(root)})
        init_all(Layout(root), settings=settings, clock=SystemClock())
        ours, pages = _latencies(settings)
        bare = _bare_commits(Path(directory) / "bare.db", pages)
    for share, name in ((0.5, "p50"), (0.99, "p99")):
        disk = percentile(bare, share)
        whole, mine = (percentile([each[part] for each in ours], share) for part in (0, 1))
        goal = "2000 us beside the disk's share" if name == "p99" else ""
        met = mine - disk <= 2000 if name == "p99" else None
        yield Measure(
            f"of it from the signal taken, {name}", f"{mine:.0f} us", f"2 commits {disk:.0f} us",
            disk / mine if mine else None, goal, met,
        )  # fmt: skip
        yield Measure(
            f"signal on bus to request on wire, {name}", f"{whole:.0f} us", f"2 commits {disk:.0f} us",
            disk / whole if whole else None, "", None,
        )  # fmt: skip


def _latencies(settings: Settings) -> tuple[list[tuple[float, float]], int]:
    """What each signal took, from the bus and from its taking, and how many pages one of its transactions wrote."""
    clock = SystemClock()
    risk = msgspec.structs.replace(
        settings.risk, account_trades_day_max=0, symbol_trades_day_max=0, account_exposure_max_rupees=0,
        symbol_exposure_max_rupees=0, account_exposure_equity_max_percent=0, order_rate_max=(10**7,) * 3,
    )  # fmt: skip
    # Without a checkpoint on the way, the log's size tells what was written.
    sqlite = msgspec.structs.replace(settings.sqlite, checkpoint_transactions_max=10**9, checkpoint_interval_s=10**6)
    settings = msgspec.structs.replace(settings, risk=risk, sqlite=sqlite)
    manager = DatabaseManager(settings.data_root, Role.EXECUTION_ENGINE, settings=settings, clock=clock)
    now_us = clock.now_us()
    always = Session("nse", trading_date(now_us), ((now_us - 10**10, now_us + 10**11),), now_us - 10**10)
    instruments = [Instrument(symbol=f"S{number}") for number in range(SYMBOLS)]
    with manager.writer_session(Store.TRADING) as session:
        engine, _ = build(
            settings, clock, session, instruments=instruments, charges=None, session_of=lambda _day: always
        )  # fmt: skip
        wire = _Wire()
        engine.wire = wire  # type: ignore[assignment]
        engine.market.heard(now_us)
        source = SignalSource(manager, engine)
        for instrument in instruments:
            engine.desk.on_price("nse", instrument.symbol, 100.0, now_us)
        bar_us = now_us // 60_000_000 * 60_000_000 - 60_000_000
        environment = os.environ | {"TRADEFLEET_DATA": settings.data_root}
        arguments = [str(SIGNALS), str(INTERVAL_S), str(SYMBOLS), str(bar_us)]
        with (
            Subscriber.open(["signal."], settings=settings, clock=clock) as subscriber,
            subprocess.Popen([sys.executable, "-c", _SCANNER, *arguments], cwd=PROJECT, env=environment),
        ):
            found = _follow(subscriber, source, engine, wire)
        return found, _pages(session.connection) // session.policy.transactions


def _follow(subscriber: Subscriber, source: SignalSource, engine: Any, wire: _Wire) -> list[tuple[float, float]]:
    """Take signals off the bus as the service does; nothing but the bus may bring them."""
    source.catch_up = lambda: 0  # type: ignore[method-assign]  # there is no scanner's store here
    is_first = True
    published: dict[str, int] = {}
    taken: dict[str, int] = {}
    end = time.monotonic() + SIGNALS * INTERVAL_S * 2 + 10
    while time.monotonic() < end and len(wire.left_us) < SIGNALS - 1:
        message = subscriber.poll(0.05)
        if message is not None:
            if is_first:
                # Where the store would have been asked, the bench just goes on from here.
                source._epoch, is_first = message.envelope.epoch, False
                engine.cursor = SignalPlace("bench", message.seq - 1)
            published[message.payload.signal_id] = message.envelope.published_us
            taken[message.payload.signal_id] = time.time_ns() // 1000
            source.on_message(message)
            while wire.waiting:
                engine.answered(wire.waiting.pop())
    found = [(float(left - published[name]), float(left - taken[name])) for name, left in wire.left_us.items()]
    if len(found) < SIGNALS // 2:
        raise RuntimeError(f"{len(found)} of {SIGNALS} signals became orders")
    return found[10:]  # the first ones warm caches


def _pages(connection: sqlite3.Connection) -> int:
    """Pages in the write-ahead log."""
    file = connection.execute("PRAGMA database_list").fetchone()[2]
    return Path(f"{file}-wal").stat().st_size // 4120  # a page and the head of its frame


def _bare_commits(path: Path, pages: int) -> list[float]:
    """Microseconds of two transactions that change so many pages each, by plain SQLite with synchronous=FULL."""
    connection = sqlite3.connect(path, isolation_level=None)
    for pragma in ("journal_mode = WAL", "synchronous = FULL", "wal_autocheckpoint = 0"):
        connection.execute(f"PRAGMA {pragma}")
    connection.execute("CREATE TABLE pages (number INTEGER PRIMARY KEY, body BLOB)")
    connection.executemany("INSERT INTO pages VALUES (?, ?)", [(n, b"." * 3000) for n in range(pages)])
    found = []
    for turn in range(SIGNALS):
        body = turn.to_bytes(4) * 750
        start = time.perf_counter_ns()
        for _ in range(2):
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("UPDATE pages SET body = ?", (body,))
            connection.execute("COMMIT")
        found.append((time.perf_counter_ns() - start) / 1000)
        time.sleep(INTERVAL_S)
    connection.close()
    return found


if __name__ == "__main__":
    print_measures(measures())
