"""The engine's wiring: lock, store, recovery, reconciliation, sockets, in this order, and the loops that run it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import ExitStack
from datetime import date
from pathlib import Path
from typing import Any

import msgspec

from libs.brokers.interface import Broker
from libs.contracts import HealthState, OHLCVBar, Tick
from libs.contracts.bus import TickBatch
from libs.contracts.health import Health
from libs.contracts.market import MinuteClosed
from libs.contracts.risk import TradingState
from libs.contracts.signals import Decided
from libs.contracts.topics import prefix, topic
from libs.core.clock import Clock
from libs.core.waiting import wait_a_while
from libs.dbaccess import DatabaseManager, Role
from libs.dbaccess.roles import Store
from libs.dbaccess.trading import Message
from libs.messaging import CommandServer, Publisher, Received, Subscriber
from libs.orders.charges import ChargeBook
from libs.runtime.deployment import take_store
from libs.runtime.heartbeat import Pulse, beat
from libs.runtime.logs import get_logger
from libs.runtime.outbox import OutboxSource
from libs.runtime.process import run_until
from libs.settings import Settings
from libs.settings.charges import read_charges
from services.execution_engine.barrier import Barrier
from services.execution_engine.books import position_event
from services.execution_engine.building import build, known_instruments, wire_broker
from services.execution_engine.clearance import Clearance
from services.execution_engine.closing import Closing
from services.execution_engine.comparing import Comparing
from services.execution_engine.corrections import CorrectedInstruments
from services.execution_engine.engine import Engine
from services.execution_engine.handlers import Handlers
from services.execution_engine.last_lock import LastLock
from services.execution_engine.limits import ConfiguredLimits
from services.execution_engine.manifest import NAME
from services.execution_engine.reconciliation import Reconciler
from services.execution_engine.recovery import resume
from services.execution_engine.rounds import Rounds
from services.execution_engine.settings import checked, fills_on_bars, lives_on_bars, skew_max_us
from services.execution_engine.signals import SignalSource
from services.execution_engine.told import log_told

_TURN_S = 0.1
_TOLD_NS = 1_000_000_000


async def serve(settings: Settings, clock: Clock, stop: asyncio.Event) -> None:
    """Trade until told to stop. The trading store's lock is held from the first line to the last."""
    calendar = checked(settings)
    manager = DatabaseManager(settings.data_root, Role.EXECUTION_ENGINE, settings=settings, clock=clock)
    log = get_logger()
    with ExitStack() as stack:
        session, uncopied = stack.enter_context(take_store(manager, Store.TRADING))
        charges = ChargeBook.from_documents(read_charges())
        engine, loaded = build(
            settings, clock, session, instruments=known_instruments(manager, settings), charges=charges,
            session_of=calendar.session, skew_max_us=skew_max_us(settings),
        )  # fmt: skip
        wire = wire_broker(engine, settings, clock, manager)
        stack.callback(wire.close)
        resume(engine, loaded, manager)
        wire.start(engine.desk.orders, engine.desk.positions.net())
        log.info(
            "engine.recovered", orders=len(loaded.orders), fills=len(loaded.fills),
            positions=len(engine.desk.positions.open()), state=engine.states.account.value,
        )  # fmt: skip
        running = Running(settings, clock, manager, engine, wire, calendar.session, uncopied)
        await running.compare_first()
        running.handlers.resume_unfinished()
        # What recovery said is in the outbox: whoever joins now gets it with the replay.
        publisher = stack.enter_context(_open_publisher(engine, settings, clock))
        stack.enter_context(running.commands())
        await running.until(stop, publisher)
        engine.store.session.policy.checkpoint(session.connection)
    log.info("engine.stopped")


def _open_publisher(engine: Engine, settings: Settings, clock: Clock) -> Publisher:
    outbox = engine.store.outbox
    publisher = Publisher.open(NAME, settings=settings, source=OutboxSource(outbox, clock.now_us), clock=clock)
    for stream in outbox.streams:
        publisher.prime(stream, outbox.last_by_topic(stream), outbox.head(stream))

    def publish(message: Message) -> None:
        publisher.publish(message.topic, message.payload, seq=message.seq, event_us=message.event_us)
        log_told(message.payload)

    engine.store.publish = publish
    return publisher


class Running:
    """The loops, all in one thread. One fails, all end; the supervisor starts the process again."""

    def __init__(
        self, settings: Settings, clock: Clock, manager: DatabaseManager, engine: Engine, wire: Broker,
        session_of: Any, uncopied: str = "",
    ) -> None:  # fmt: skip
        self._settings = settings
        self._uncopied = uncopied
        self._clock = clock
        self._manager = manager
        self._engine = engine
        self._wire = wire
        kill_file = Path(settings.data_root) / "run" / "KILL"
        self._closing = Closing(engine, clock)
        self._rounds = Rounds(
            engine, self._closing, settings.execution, clock, kill_file=kill_file, session_of=session_of
        )
        self._rounds.on_new_day = self._new_day
        self._reconciler = Reconciler(engine, settings.execution.broker, clock)
        self._comparing = Comparing(wire, self._reconciler, clock, interval_s=settings.execution.reconcile_interval_s)
        self._broker_spoke = asyncio.Event()
        self._signals = SignalSource(manager, engine, may_begin=lambda: self._comparing.is_done_once)
        self._barrier = Barrier(
            self._signals, engine.store, clock, self._on_bar, self._on_closed,
            timeout_ms=settings.execution.barrier_timeout_ms,
        ) if fills_on_bars(settings.execution) else None  # fmt: skip
        self._lives_on_bars = lives_on_bars(settings.execution)
        self._limits = ConfiguredLimits(manager, engine.desk.gate, settings.risk)
        self._limits.refresh(engine.store, clock.now_us())
        self._corrected = CorrectedInstruments(
            manager, engine.desk.gate.state, settings.data.exchange, lambda: known_instruments(manager, settings)
        )
        self._corrected.refresh(engine.store, clock.now_us())
        self._clearance = Clearance(engine, clock, is_needed=settings.profile == "live")
        self.handlers = Handlers(
            engine, self._closing, clock, kill_file=kill_file, status=self.status,
            reconcile=lambda: self._comparing.begin("command"), last_lock=LastLock(engine, clock),
            clearance=self._clearance,
        )  # fmt: skip
        self._commands: CommandServer | None = None
        self._joined: Callable[[], bool] = lambda: False
        self._ticks = 0
        self._last_market_us = 0

    def commands(self) -> CommandServer:
        """Open the command socket."""
        self._commands = CommandServer.open(NAME, self.handlers.handle, settings=self._settings, clock=self._clock)
        return self._commands

    async def until(self, stop: asyncio.Event, publisher: Publisher) -> None:
        """Run until told to stop."""
        assert self._commands is not None
        loops = [
            publisher.run(),
            self._commands.run(),
            self._market_loop(),
            self._signal_loop(),
            self._time_loop(publisher),
            self._broker_loop(),
            beat(NAME, publisher, self._clock, self._settings.runtime.heartbeat_interval_ms, self._pulse),
        ]
        await run_until(stop, loops)

    async def _market_loop(self) -> None:
        exchange = self._settings.data.exchange
        topics = [
            topic("ticks", exchange), prefix("candle", "1m", exchange), prefix("market", exchange),
            topic("telemetry", "health", "ingestor"),
        ]  # fmt: skip
        with Subscriber.open(topics, settings=self._settings, clock=self._clock) as subscriber:
            self._joined = lambda: subscriber.joined_to("ingestor")
            async for message in subscriber:
                self._on_market(message)

    def _on_market(self, message: Received) -> None:
        payload = message.payload
        self._last_market_us = self._clock.now_us()
        if isinstance(payload, TickBatch):
            if not self._lives_on_bars:
                for tick in payload.ticks:
                    self._on_tick(tick)
            self._ticks += len(payload.ticks)
        elif isinstance(payload, OHLCVBar):
            (self._barrier.on_market if self._barrier else self._on_bar)(payload)
        elif isinstance(payload, MinuteClosed):
            (self._barrier.on_market if self._barrier else self._on_closed)(payload)
        elif isinstance(payload, Health) and payload.service == "ingestor":
            self._engine.watch.heartbeat()

    def _on_bar(self, bar: OHLCVBar) -> None:
        self._rounds.enter(bar.timestamp_us)
        self._wire.on_bar(bar)
        self._engine.on_bar(bar)

    def _on_closed(self, closed: MinuteClosed) -> None:
        self._engine.on_minute(closed.timestamp_us)

    def _on_tick(self, tick: Tick) -> None:
        self._rounds.enter(tick.timestamp_us)
        # What rests fills before exits are judged, as in a minute's order of events.
        self._wire.on_tick(tick)
        self._engine.on_tick(tick)

    async def _signal_loop(self) -> None:
        # Behind the barrier signals are read from the store, minute by minute.
        topics = [topic("decided", self._settings.data.exchange) if self._barrier else "signal."]
        with Subscriber.open(topics, settings=self._settings, clock=self._clock) as subscriber:
            async for message in subscriber:
                if isinstance(message.payload, Decided) and self._barrier:
                    self._barrier.on_decided(message.payload)
                elif not self._barrier:
                    self._signals.on_message(message)

    def _tell_positions(self, publisher: Publisher) -> None:
        """Show open positions as they stand, for screens: nobody's journal, only the newest counts."""
        state, now_us = self._engine.desk.gate.state, self._clock.now_us()
        rows = [
            position_event(each, state.symbol(each.key.exchange, each.key.symbol).price, now_us)
            for each in self._engine.desk.positions.open()
        ]
        payload = {"timestamp_us": now_us, "positions": [msgspec.to_builtins(row) for row in rows]}
        publisher.publish(topic("telemetry", "positions", NAME), payload, event_us=now_us)

    async def _time_loop(self, publisher: Publisher) -> None:
        execution = self._settings.execution
        polled_ns = told_ns = self._clock.monotonic_ns()
        while True:
            await asyncio.sleep(_TURN_S)
            self._rounds.on_time()
            now_ns = self._clock.monotonic_ns()
            if now_ns - told_ns >= _TOLD_NS:
                told_ns = now_ns
                self._tell_positions(publisher)
                self._limits.refresh(self._engine.store, self._clock.now_us())
                self._corrected.refresh(self._engine.store, self._clock.now_us())
                self._clearance.demand()
            self._comparing.on_time()
            if self._barrier:
                self._barrier.on_time()
            if now_ns - polled_ns >= execution.signals_poll_ms * 1_000_000:
                polled_ns = now_ns
                if self._barrier:
                    self._barrier.look()
                else:
                    self._signals.catch_up()

    async def compare_first(self) -> None:
        """Hold our books against the broker's before anything else is done; go on without where it cannot be asked."""
        loop = asyncio.get_running_loop()
        self._wire.wake = lambda: loop.call_soon_threadsafe(self._broker_spoke.set)
        self._comparing.begin("start")
        while not self._comparing.is_done_once and not self._comparing.failures:
            await self._broker_loop_once()

    async def _broker_loop(self) -> None:
        while True:
            await self._broker_loop_once()

    async def _broker_loop_once(self) -> None:
        await wait_a_while(self._broker_spoke, _TURN_S)
        self._broker_spoke.clear()
        self._wire.deliver()

    def _new_day(self, day: date) -> None:
        self._wire.end_day(self._engine.market.now_us())
        self._corrected.reload()
        get_logger().info("engine.day", day=day.isoformat())

    def status(self) -> dict[str, Any]:
        """Say how the engine is, for `fleet status` and tests."""
        engine = self._engine
        stored = engine.states.find(("account", ""))
        return {
            "state": stored.state.value, "cause": stored.cause, "reason": stored.reason,
            "market_us": engine.market.now_us(), "is_open": self._rounds.is_open, "ticks": self._ticks,
            "orders": sum(1 for _ in engine.desk.orders), "unsettled": len(engine.desk.orders.unsettled()),
            "positions": len(engine.desk.positions.open()), "cursor": engine.cursor.outbox_seq,
            "signals_from_bus": self._signals.taken_from_bus, "signals_from_store": self._signals.taken_from_store,
            "reconciled_us": self._reconciler.last_us, "closing": len(self._closing.jobs),
            "broker": self._wire.status(), "barrier_misses": self._barrier.misses if self._barrier else 0,
            "decided_us": self._barrier.decided_us if self._barrier else 0, "instruments": self._corrected.listed,
            "waiting": self._barrier.waiting if self._barrier else 0, "joined": self._joined(),
        }  # fmt: skip

    def _pulse(self) -> Pulse:
        engine = self._engine
        figures = {
            "ticks": float(self._ticks), "unsettled": float(len(engine.desk.orders.unsettled())),
            "positions": float(len(engine.desk.positions.open())), "equity": engine.desk.equity_paise / 100,
            "barrier_misses": float(self._barrier.misses if self._barrier else 0),
        }  # fmt: skip
        stored = engine.states.find(("account", ""))
        limited = "" if stored.state is TradingState.ACTIVE else f"{stored.state}: {stored.reason}"
        detail = "; ".join(filter(None, (limited, self._uncopied)))
        state = HealthState.WARNING if detail else HealthState.GREEN
        return Pulse(state, detail, self._last_market_us, len(engine.in_flight), figures)
