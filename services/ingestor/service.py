"""The ingestor's wiring: lock, stores, journal, recovery, sockets, feed, in this order, and the loops that run them."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import Any

from libs.contracts import HealthState
from libs.contracts.bus import CommandRequest
from libs.contracts.feed import FeedConnected, FeedDamaged, FeedEnded, FeedEvent, FeedLost, Frame
from libs.core.clock import Clock
from libs.core.errors import Refused, RetryLater
from libs.core.waiting import wait_a_while
from libs.dbaccess import DatabaseManager, Role
from libs.dbaccess.journal import Journal
from libs.feeds import Feed, FeedSupervisor
from libs.feeds.supervision import LinkState
from libs.messaging import CommandServer, Publisher
from libs.runtime.commands import logged
from libs.runtime.heartbeat import Pulse, beat
from libs.runtime.logs import get_logger
from libs.runtime.process import run_until
from libs.settings import Settings
from services.ingestor import handlers
from services.ingestor.archiving import Archiver
from services.ingestor.backfilling import Backfiller
from services.ingestor.capture import Capture
from services.ingestor.day import TradingDay
from services.ingestor.flusher import Flusher
from services.ingestor.learning import CalendarLearner
from services.ingestor.manifest import NAME
from services.ingestor.records import STREAMS, TICKS, JournalSource
from services.ingestor.recovery import recover, watermarks
from services.ingestor.rollover import BufferDoor, DayCloser
from services.ingestor.session_clock import SessionClock
from services.ingestor.settings import checked, silence_us, skew_max_us
from services.ingestor.source import Source, open_source

_IDLE_S = 0.02


async def serve(settings: Settings, clock: Clock, stop: asyncio.Event) -> None:
    """Capture until told to stop. The live buffer's lock is held from the first line to the last."""
    calendar = checked(settings)
    manager = DatabaseManager(settings.data_root, Role.INGESTOR, settings=settings, clock=clock)
    log = get_logger()
    with ExitStack() as stack:
        ledger = stack.enter_context(manager.ledger_session())
        door = stack.enter_context(BufferDoor(manager))
        journal = stack.enter_context(
            Journal.open(manager.layout.journal, STREAMS, watermarks=watermarks(door.buffer), settings=settings.journal)
        )
        flusher = Flusher(journal, door, ledger, settings.data.exchange)
        stack.callback(flusher.close)
        known: set[str] = set()
        source = JournalSource(journal, settings.ingestor.candles_cached_max)
        day = TradingDay(calendar, source, settings.ingestor, known=known.__contains__, at_us=clock.now_us())
        session_clock = SessionClock(clock, silence_us=silence_us(settings), skew_max_us=skew_max_us(settings))
        recorded = settings.ingestor.feed == "replay"
        capture = Capture(day, journal, source, session_clock, clock, recorded=recorded)
        found = recover(journal, door.buffer, day, flusher, clock)
        day.recovered(session_clock)
        log.info("ingestor.recovered", records=found.records, rows=found.rows, took_ms=round(found.took_ms, 1))
        publisher = stack.enter_context(Publisher.open(NAME, settings=settings, source=source, clock=clock))
        _prime(publisher, journal, settings.data.exchange)
        capture.publisher = publisher
        delay_s = settings.ingestor.rollover_delay_s
        closer = DayCloser(manager, door, capture, journal, delay_s=delay_s, symbols=known)
        stack.callback(closer.shut)
        archiver = Archiver(settings, session_clock)
        stack.callback(archiver.shut)
        opened = partial(open_source, settings, clock, manager, calendar)
        running = _Running(settings, clock, capture, flusher, journal, publisher, closer, archiver, opened)
        stack.enter_context(running.commands())
        await running.until(stop, known)
    log.info("ingestor.stopped")


def _prime(publisher: Publisher, journal: Journal, exchange: str) -> None:
    heads = {name: seq for name, seq in journal.heads().items() if name}
    for stream, families in ((TICKS, ("tick.",)), ("candles", ("candle.", "market."))):
        own = {name: seq for name, seq in heads.items() if name.startswith(families)}
        if stream == TICKS and own:
            own[f"ticks.{exchange}|"] = max(own.values())
        publisher.prime(stream, own, journal.head(stream))


class _Running:
    """The loops. One fails, all end; the supervisor starts the process again."""

    def __init__(
        self, settings: Settings, clock: Clock, capture: Capture, flusher: Flusher, journal: Journal,
        publisher: Publisher, closer: DayCloser, archiver: Archiver, opened: Callable[[], Source],
    ) -> None:  # fmt: skip
        self._settings = settings
        self._clock = clock
        self._capture = capture
        self._flusher = flusher
        self._journal = journal
        self._publisher = publisher
        self._closer = closer
        self._archiver = archiver
        self._opened = opened
        self._ends_us = 0
        self._supervisor: FeedSupervisor | None = None
        self._commands: CommandServer | None = None
        self._backfiller = Backfiller(capture, settings.ingestor, settings.feed, clock)
        self._learner = CalendarLearner(capture, clock)
        closer.is_filling = lambda: self._backfiller.is_busy

    def commands(self) -> CommandServer:
        self._commands = CommandServer.open(NAME, logged(self._on_command), settings=self._settings, clock=self._clock)
        return self._commands

    async def until(self, stop: asyncio.Event, known: set[str]) -> None:
        """Run until told to stop, then write what is left."""
        assert self._commands is not None
        loops = [
            self._publisher.run(),
            self._commands.run(),
            self._feed_loop(known),
            self._write_loop(),
            self._backfiller.run(known),
            self._learner.run(),
            beat(NAME, self._publisher, self._clock, self._settings.runtime.heartbeat_interval_ms, self._pulse),
        ]
        try:
            await run_until(stop, loops)
        finally:
            if self._supervisor is not None:
                self._supervisor.close()
        self._capture.commit()
        self._flusher.close()
        self._flusher.write(self._capture.rows.take(), self._flusher.heads())

    async def _feed_loop(self, known: set[str]) -> None:
        feed = await self._source(known)
        wake = asyncio.Event()
        loop = asyncio.get_running_loop()

        def wake_up() -> None:
            if not wake.is_set():
                loop.call_soon_threadsafe(wake.set)

        feed.on_event(wake_up)
        capture, settings = self._capture, self._settings.ingestor
        supervisor = FeedSupervisor(
            feed,
            self._settings.feed,
            self._clock,
            random.SystemRandom(),
            # A quiet hour of a recording is no stall.
            lambda: capture.is_open and self._settings.ingestor.feed != "replay",
        )
        self._supervisor = supervisor
        supervisor.start()
        while True:
            wake.clear()
            # When the stores are behind, the feed waits: it buffers, then the broker does.
            full = len(capture.rows) >= settings.rows_waiting_max
            events = [] if full else supervisor.poll(settings.frames_per_turn_max)
            for event in events:
                self._take(event)
            capture.commit()
            capture.on_time()
            if events:
                await asyncio.sleep(0)
                continue
            await wait_a_while(wake, _IDLE_S)

    async def _source(self, known: set[str]) -> Feed:
        """Open the source; while the broker can't be reached, try again."""
        failures = 0
        while True:
            try:
                source = await asyncio.to_thread(self._opened)
            except RetryLater as e:
                get_logger().warning("feed.not_reached", error=str(e))
                failures += 1
                await asyncio.sleep(min(self._settings.feed.backoff_max_ms, 250 * 2 ** min(failures, 10)) / 1000)
                continue
            feed, symbols, self._ends_us = source.feed, source.symbols, source.ends_us
            self._learner.learn = source.learn
            await self._learner.ask()
            known.update(symbols)
            self._capture.fills = list(source.fills)
            self._backfiller.past = source.past
            feed.subscribe(symbols)
            get_logger().info("feed.universe", symbols=len(symbols))
            return feed

    def _take(self, event: FeedEvent) -> None:
        capture = self._capture
        if isinstance(event, Frame):
            capture.on_frame(event)
        elif isinstance(event, FeedConnected):
            get_logger().info("feed.connected")
            capture.on_connected()
        elif isinstance(event, FeedLost):
            get_logger().warning("feed.lost", cause=event.cause, detail=event.detail, refused=event.refused)
            capture.on_lost(event)
        elif isinstance(event, FeedDamaged):
            capture.on_damaged(event)
        elif isinstance(event, FeedEnded):
            get_logger().info("feed.ended")
            capture.end_recording(self._ends_us)

    async def _write_loop(self) -> None:
        """Force the journal to disk at its interval, and write rows to the stores at theirs."""
        sync_s = self._settings.journal.sync_interval_ms / 1000
        flush_ns = self._settings.live.flush_interval_ms * 1_000_000
        flushed_ns = self._clock.monotonic_ns()
        while True:
            await asyncio.sleep(min(sync_s, flush_ns / 1e9))
            if self._clock.monotonic_ns() - flushed_ns >= flush_ns:
                flushed_ns = self._clock.monotonic_ns()
                await self._flush()
                self._closer.tell()
                if day := self._closer.due():
                    await self._closer.close(day, self._flush, lambda: self._sync_and_wait(sync_s))
            else:
                await self._flusher.sync()

    async def _flush(self) -> None:
        # Not between taking a frame in and committing it: rows appear only once they are in the journal.
        await self._flusher.flush(self._capture.rows.take())

    async def _sync_and_wait(self, sync_s: float) -> None:
        await self._flusher.sync()
        await asyncio.sleep(sync_s)

    def _pulse(self) -> Pulse:
        capture, supervisor = self._capture, self._supervisor
        figures = capture.figures
        values = {
            "ticks": float(figures.ticks), "bars": float(figures.bars), "late": float(figures.late),
            "quarantined": float(figures.quarantined), "gaps": float(figures.gaps),
            "backfilled": float(figures.backfilled), "backfills_waiting": float(self._backfiller.waiting),
            "rows_waiting": float(len(capture.rows)), "flush_ms": self._flusher.figures.last_ms,
            "session_us": float(capture.session_clock.now_us()),
        }  # fmt: skip
        state, detail = HealthState.GREEN, ""
        if supervisor is None or supervisor.state not in {LinkState.LIVE, LinkState.ENDED}:
            state = HealthState.ERROR if capture.is_open else HealthState.WARNING
            detail = supervisor.last_error if supervisor else "the instruments file was not had yet"
        elif odds_us := capture.session_clock.odds_us:
            state = HealthState.ERROR
            detail = f"the feed's time is {odds_us / 1e6:.0f} s from the machine's and not believed; set the clock"
        elif capture.unscheduled.date == capture.day.dated:
            state = HealthState.ERROR
            detail = f"{capture.unscheduled.ticks} trades today, and the calendar has no session: they are not captured"
        elif self._flusher.figures.merge_error:
            state, detail = HealthState.WARNING, self._flusher.figures.merge_error
        elif self._closer.figures.error:
            state = HealthState.WARNING
            detail = f"rollover of {self._closer.figures.date} refused: {self._closer.figures.error}"
        elif self._backfiller.figures.error:
            state, detail = HealthState.WARNING, f"a gap is not filled: {self._backfiller.figures.error}"
        waiting = supervisor.feed.waiting() if supervisor else 0
        return Pulse(state, detail, figures.last_received_us, waiting, values)

    def _on_command(self, request: CommandRequest) -> Any:
        if request.name == "status":
            if self._supervisor is None:
                raise RetryLater("the ingestor has no feed yet: the broker was not reached")
            return handlers.status(
                self._capture,
                self._supervisor,
                self._flusher,
                self._journal,
                self._closer,
                self._backfiller,
                self._archiver,
            )
        if request.name == "rollover":
            return handlers.rollover(self._closer, request.arguments)
        if request.name == "play":
            return handlers.play(self._supervisor)
        if request.name == "archive":
            return self._archiver.ask()
        raise Refused(f"the ingestor knows no command {request.name!r}; it knows: archive, play, rollover, status")
