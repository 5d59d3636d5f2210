"""An engine on a real trading store in a quiet market, with time the test moves."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from libs.brokers.paper import PaperBroker
from libs.contracts.market import OHLCVBar, Tick
from libs.contracts.signals import SignalEvent, SignalType
from libs.dbaccess import DatabaseManager, Role
from libs.dbaccess.roles import Store
from libs.orders.charges import ChargeBook
from libs.orders.fills import FillSettings
from libs.orders.instrument import Instrument
from libs.settings import Settings
from libs.settings.charges import read_charges
from libs.settings.execution import Execution
from libs.simulation.clock import ManualClock
from services.execution_engine.building import build
from services.execution_engine.closing import Closing
from services.execution_engine.deciding import SignalPlace
from services.execution_engine.engine import Engine
from services.execution_engine.reconciliation import Reconciler
from services.execution_engine.recovery import resume
from services.execution_engine.rounds import Rounds
from tests.kit.orders import MINUTE_US, OPEN_US
from tests.kit.roots import copy_stores, settings
from tests.kit.trading import session_of

SYMBOLS = ("ACME", "BETA")
INSTRUMENTS = [Instrument(symbol=symbol, freeze_quantity=1_000) for symbol in SYMBOLS]
START_US = OPEN_US + 60 * MINUTE_US


@dataclass
class Rig:
    """One life of an engine."""

    engine: Engine
    wire: Any
    clock: ManualClock
    rounds: Rounds
    closing: Closing
    reconciler: Reconciler
    settings: Settings
    seq: int = 0

    def tick(self, price: float, symbol: str = "ACME", seconds: float = 1.0) -> None:
        """Let time pass and a price come."""
        self.clock.advance(seconds)
        tick = Tick(symbol, self.clock.now_us(), price, volume=1_000, bid=price - 0.05, ask=price + 0.05)
        self.rounds.enter(tick.timestamp_us)
        if hasattr(self.wire, "on_tick"):
            self.wire.on_tick(tick)
        self.engine.on_tick(tick)
        self.rounds.on_time()

    def bar(self, open_: float, symbol: str = "ACME", **prices: float) -> None:
        """Let the minute that ended just now come."""
        at_us = (self.clock.now_us() // MINUTE_US - 1) * MINUTE_US
        values = {"high": open_, "low": open_, "close": open_} | prices
        bar = OHLCVBar(symbol, "1m", at_us, open_, volume=1_000, **values)
        self.wire.on_bar(bar)
        self.engine.on_bar(bar)
        self.rounds.on_time()

    def close_minute(self) -> None:
        """Let the minute that ended last be closed, which is when limits look at the account."""
        self.engine.on_minute((self.clock.now_us() // MINUTE_US - 1) * MINUTE_US)
        self.rounds.on_time()

    def signal(self, kind: str, symbol: str = "ACME", **changes: Any) -> SignalEvent:
        """Make a signal on the bar that ended last, and hand it to the engine."""
        self.seq = max(self.seq, self.engine.cursor.outbox_seq) + 1
        made = make_signal(self.clock, kind, symbol, **changes)
        self.engine.on_signal(made, SignalPlace("store", self.seq))
        return made

    def positions(self) -> dict[tuple[str, str], int]:
        return {(p.key.strategy_id, p.key.symbol): p.quantity for p in self.engine.desk.positions.open()}

    def rows(self, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        return list(self.engine.store.session.connection.execute(sql, parameters).fetchall())


def make_signal(clock: ManualClock, kind: str, symbol: str = "ACME", **changes: Any) -> SignalEvent:
    """A signal on the minute that ended last."""
    at_us = (clock.now_us() // MINUTE_US - 1) * MINUTE_US
    fields = {"strategy_id": "trend", "signal_id": f"s-{symbol}-{kind}-{at_us}"} | changes
    return SignalEvent(symbol=symbol, timestamp_us=at_us, signal_type=SignalType(kind), **fields)


#: What a setting of [risk] begins with; all others are of [execution].
_RISK = ("account_", "symbol_", "strategy_", "price_", "signal_age_", "order_rate_")


@cache
def _defaults() -> Settings:
    """Read once: a simulation starts thousands of engines."""
    return settings()


def engine_settings(root: Path, *, grace_ms: int = 0, **changes: Any) -> Settings:
    """Ten shares an entry, no exits but those given, nothing automatic from silence; bars known at their end."""
    values = {"sizing": "fixed_quantity", "sizing_amount": 10.0, "stop_percent": 0.0, "square_off": False}
    quiet = {"feed_stale_s": 100_000, "heartbeat_lost_s": 100_000}
    risk = {name: changes.pop(name) for name in list(changes) if name.startswith(_RISK)}
    found = _defaults()
    execution = Execution(**(values | quiet | changes))
    limits = msgspec.structs.replace(found.risk, **risk)
    at_once = msgspec.structs.replace(found.ingestor, grace_ms=grace_ms)
    return msgspec.structs.replace(found, data_root=str(root), execution=execution, risk=limits, ingestor=at_once)


@contextmanager
def engine_rig(
    root: Path, *, clock: ManualClock | None = None, wire: Any = None, with_charges: bool = False,
    skew_max_us: int = 0, **changes: Any,
) -> Iterator[Rig]:  # fmt: skip
    """Start an engine on a root, made if it is empty; leaving the block is a crash: nothing is said goodbye to."""
    if not (root / "trading").exists():
        copy_stores(root)
    clock = clock or ManualClock(START_US)
    made = engine_settings(root, **changes)
    manager = DatabaseManager(root, Role.EXECUTION_ENGINE, settings=made, clock=clock)
    with manager.writer_session(Store.TRADING) as session:
        charges = ChargeBook.from_documents(read_charges()) if with_charges else None
        engine, loaded = build(
            made, clock, session, instruments=INSTRUMENTS, charges=charges, session_of=session_of,
            skew_max_us=skew_max_us,
        )  # fmt: skip
        carrier = wire or PaperBroker(
            FillSettings(), clock, exchange="nse", fills_on_bars=made.execution.paper_fill == "next_bar_open",
            tick_size=lambda _symbol: 0.05, market_us=engine.market.now_us,
        )  # fmt: skip
        carrier.answered, carrier.reported, engine.wire = engine.answered, engine.reported, carrier
        closing = Closing(engine, clock)
        rounds = Rounds(
            engine, closing, made.execution, clock, kill_file=root / "run" / "KILL", session_of=session_of
        )  # fmt: skip
        resume(engine, loaded, manager)
        if wire is None:
            carrier.start(engine.desk.orders, engine.desk.positions.net())
            rounds.on_new_day = lambda _day: carrier.end_day(engine.market.now_us())
        yield Rig(engine, carrier, clock, rounds, closing, Reconciler(engine, "paper", clock), made)
