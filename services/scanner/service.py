"""The scanner's wiring: lock and store, sockets, then one run of the strategies after another."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from typing import Any

from libs.calendar import Calendar
from libs.contracts import TIMEFRAMES, HealthState, OHLCVBar, SignalEvent
from libs.contracts.market import MinuteClosed
from libs.contracts.topics import prefix, topic
from libs.core.clock import Clock
from libs.core.errors import RetryLater
from libs.core.waiting import end_all
from libs.dbaccess import DatabaseManager, Role
from libs.dbaccess.roles import Store
from libs.messaging import Publisher, Subscriber
from libs.runtime.heartbeat import Pulse
from libs.runtime.logs import get_logger
from libs.runtime.outbox import OutboxSource
from libs.runtime.running import run_service_loops
from libs.settings import Settings
from libs.strategies.user import Broken
from services.scanner.analytics import LiveInsights, Updates
from services.scanner.day import Runner
from services.scanner.days_before import days_from
from services.scanner.instances import Chosen, analysed, choose
from services.scanner.manifest import NAME
from services.scanner.minutes import Minute
from services.scanner.scan_configs import ChosenScans, choose_scans
from services.scanner.scanning import Scans
from services.scanner.settings import checked
from services.scanner.store import STREAMS, SignalsStore
from services.scanner.study import Study
from services.scanner.suspensions import Suspensions

_LOOK_S = 0.2


async def serve(settings: Settings, clock: Clock, stop: asyncio.Event) -> None:
    """Run strategies until told to stop. The signals store's lock is held from the first line to the last."""
    calendar, broken = checked(settings)
    manager = DatabaseManager(settings.data_root, Role.SCANNER, settings=settings, clock=clock)
    for one in broken:
        get_logger().error("strategy.broken", where=f"{one.path}:{one.line}", reason=one.reason)
    with ExitStack() as stack:
        session = stack.enter_context(manager.writer_session(Store.SIGNALS))
        store = SignalsStore(session, clock)
        store.prune(settings.scanner.outbox_keep_days, settings.scanner.insights_keep_days)
        source = OutboxSource(store.outbox, clock.now_us)
        publisher = stack.enter_context(Publisher.open(NAME, settings=settings, source=source, clock=clock))
        for stream in STREAMS:
            publisher.prime(stream, store.outbox.last_by_topic(stream), store.outbox.head(stream))
        suspensions = Suspensions(session, clock, settings.data.exchange)
        running = Running(settings, clock, manager, store, suspensions, publisher, calendar, broken)
        await running.until(stop)
        session.policy.checkpoint(session.connection)
    get_logger().info("scanner.stopped")


class Running:
    """The loops. When what is to run changes, the run ends and another begins with the day's first bar."""

    def __init__(
        self, settings: Settings, clock: Clock, manager: DatabaseManager, store: SignalsStore,
        suspensions: Suspensions, publisher: Publisher, calendar: Calendar, broken: tuple[Broken, ...],
    ) -> None:  # fmt: skip
        self._settings = settings
        self._clock = clock
        self._manager = manager
        self._store = store
        self._suspensions = suspensions
        self._publisher = publisher
        self._calendar = calendar
        self._broken = broken
        self._runner: Runner | None = None
        self._chosen = Chosen((), "")
        self._chosen_scans = ChosenScans(())
        self._scans: Scans | None = None
        self._insights: LiveInsights | None = None
        self._updates = Updates(manager, settings.data.exchange, calendar.session, store.keep_insights)
        self._scan_due = asyncio.Event()
        self._scanned = self._picked = self._scans_failed = 0
        self._runs = self._signals = self._repeated = self._gaps = 0
        self._last_us = 0

    async def until(self, stop: asyncio.Event) -> None:
        """Run until told to stop."""
        await run_service_loops(
            NAME, self._publisher, stop, [self._strategies_loop], settings=self._settings, clock=self._clock,
            status=self._status, pulse=self._pulse,
            commands={
                "resume": lambda request: self._resume(**request.arguments),
                "update_analytics": lambda request: self._updates.begin(dict(request.arguments)),
            },
        )  # fmt: skip

    async def _strategies_loop(self) -> None:
        while True:
            self._chosen = choose(self._manager, self._settings)
            self._chosen_scans = choose_scans(self._manager, self._settings)
            self._scans = self._make_scans()
            self._insights = self._make_insights()
            self._tell_broken()
            get_logger().info(
                "scanner.run",
                instances=[each.instance for each in self._chosen.instances],
                origin=self._chosen.origin,
                scans=[each.scan_id for each in self._chosen_scans.scans],
            )
            self._runs += 1
            self._runner = Runner(
                self._manager, self._settings, self._clock, self._chosen.instances, sessions=self._calendar.session,
                earlier=self._store.earlier, suspensions=self._suspensions,
            )  # fmt: skip
            self._tell_faults()
            listening = asyncio.create_task(self._listen(self._runner))
            giving_up = asyncio.create_task(self._give_up(self._runner))
            changed = asyncio.create_task(self._configuration_changed(self._scans))
            scanning = asyncio.create_task(self._scan(self._scans))
            analysing = asyncio.create_task(self._insights.run())
            tasks = {listening, giving_up, changed, scanning, analysing}
            try:
                done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            finally:
                await end_all(tasks)
            for task in done:
                task.result()  # a failure ends the process; the supervisor starts it again

    async def _configuration_changed(self, scans: Scans) -> None:
        """Return when other strategies are to run. Other scans take their place at once: they keep no state."""
        while choose(self._manager, self._settings) == self._chosen:
            chosen = choose_scans(self._manager, self._settings)
            if chosen != self._chosen_scans:
                self._chosen_scans = chosen
                scans.configure(chosen.scans)
                self._tell_broken()
                get_logger().info("scanner.scans", scans=[each.scan_id for each in chosen.scans])
            await asyncio.sleep(self._settings.scanner.config_poll_ms / 1000)

    def _tell_broken(self) -> None:
        for reason in (*self._chosen.broken, *self._chosen_scans.broken):
            get_logger().error("scanner.configuration_broken", reason=reason)

    def _make_scans(self) -> Scans:
        exchange = self._settings.data.exchange
        return Scans(
            self._chosen_scans.scans, exchange, days_from(self._manager, exchange),
            picks_max=self._settings.scanner.scan_picks_max, index=self._settings.scanner.index,
        )  # fmt: skip

    def _make_insights(self) -> LiveInsights:
        wanted = self._settings.scanner
        symbols = analysed(self._settings, self._chosen.instances)
        study = Study(
            self._manager, self._settings.data.exchange, symbols, wanted.analytics_timeframes, self._calendar.session
        )
        return LiveInsights(study, self._store.keep_insights)

    async def _scan(self, scans: Scans) -> None:
        """Scan what is newest, one scan after another; a scan that fails is told, and the others go on."""
        while True:
            await self._scan_due.wait()
            self._scan_due.clear()
            for work in scans.due():
                try:
                    result = await asyncio.to_thread(work)
                except Exception as e:  # noqa: BLE001 - whatever a scan raises is its own fault
                    self._scans_failed += 1
                    get_logger().error("scan.failed", error=f"{type(e).__name__}: {e}")
                    continue
                self._scanned += 1
                self._picked += len(result.picks)
                for one in self._store.found([result]):
                    self._publisher.publish(one.topic, one.payload, seq=one.seq)

    async def _listen(self, runner: Runner) -> None:
        exchange = self._settings.data.exchange
        # Every timeframe, whoever wants it: a minute says how many bars it has in all.
        topics = [prefix("candle", timeframe, exchange) for timeframe in TIMEFRAMES]
        topics.append(topic("market", exchange, "minute_closed"))
        with Subscriber.open(
            topics, settings=self._settings, clock=self._clock, backfill=True, on_gap=self._on_gap
        ) as subscriber:
            async for message in subscriber:
                if isinstance(message.payload, (OHLCVBar, MinuteClosed)):
                    self._last_us = self._clock.now_us()
                    runner.add(message.payload)
                    while minute := runner.take():
                        self._decide(runner, minute)
                        await asyncio.sleep(0)  # a day is caught up with in one go: heartbeats get their turn

    async def _give_up(self, runner: Runner) -> None:
        """Decide a minute that waited too long for bars that were lost for good."""
        since_ns = 0
        while True:
            await asyncio.sleep(_LOOK_S)
            now_ns = self._clock.monotonic_ns()
            if not runner.is_waiting or not since_ns:
                since_ns = now_ns if runner.is_waiting else 0
            elif now_ns - since_ns >= self._settings.scanner.minute_wait_ms * 1_000_000:
                since_ns = 0
                if minute := runner.take(incomplete=True):
                    self._decide(runner, minute)

    def _decide(self, runner: Runner, minute: Minute) -> None:
        closed = minute.closed
        if minute.missing:
            get_logger().error("scanner.minute_incomplete", minute_us=closed.timestamp_us, missing=minute.missing)
        signals = runner.run(minute)
        stored = self._store.decide(closed.exchange, closed.timestamp_us, signals)
        fresh = sum(isinstance(one.payload, SignalEvent) for one in stored)
        self._repeated += len(signals) - fresh
        self._signals += fresh
        for one in stored:
            self._publisher.publish(one.topic, one.payload, seq=one.seq)
            if isinstance(one.payload, SignalEvent):
                get_logger().info(
                    "signal.told", signal=one.payload.signal_id, strategy=one.payload.strategy_id,
                    symbol=one.payload.symbol, kind=one.payload.signal_type.value,
                )  # fmt: skip
        self._tell_faults()
        if self._scans is not None and self._insights is not None:  # the strategies are done, and told: only now
            self._scans.add(minute)
            self._scan_due.set()
            self._insights.add(minute)

    def _tell_faults(self) -> None:
        assert self._runner is not None
        for fault in self._runner.take_faults():
            get_logger().error(
                "strategy.fault", instance=fault.instance, symbol=fault.symbol, kind=fault.kind.value,
                reason=fault.reason, where=fault.where, suspended=fault.suspended,
            )  # fmt: skip

    def _on_gap(self, gap: Any) -> None:
        self._gaps += 1
        get_logger().error("scanner.candles_lost", detail=str(gap))

    def _resume(self, instance: str, symbol: str = "") -> list[tuple[str, str]]:
        if self._runner is None:
            raise RetryLater("no strategy runs yet")
        lifted = self._runner.lift(instance, symbol)
        get_logger().info("strategy.resumed", instance=instance, symbols=[each for _, each in lifted])
        return lifted

    def _status(self) -> dict[str, Any]:
        runner = self._runner
        return {
            "instances": [each.instance for each in self._chosen.instances], "origin": self._chosen.origin,
            "runs": self._runs, "bars": runner.bars if runner else 0, "minutes": runner.minutes if runner else 0,
            "minutes_incomplete": runner.minutes_incomplete if runner else 0,
            "signals": self._signals, "signals_repeated": self._repeated, "gaps": self._gaps,
            "suspended": [list(pair) for pair in self._suspensions.lasting()],
            "positions": len(runner.host.positions()) if runner else 0,
            "broken": [*map(str, self._broken), *self._chosen.broken, *self._chosen_scans.broken],
            "scans": [each.scan_id for each in self._chosen_scans.scans], "scanned": self._scanned,
            "picked": self._picked, "scans_failed": self._scans_failed,
            "scans_passed_over": self._scans.passed_over if self._scans else 0,
            "insights": self._insights.rows if self._insights else 0,
            "insights_behind": self._insights.behind if self._insights else 0,
            "insights_failed": self._insights.failed if self._insights else 0,
            "analytics_update": self._updates.status(),
        }  # fmt: skip

    def _pulse(self) -> Pulse:
        status = self._status()
        figures = {
            name: float(status[name])
            for name in (
                "bars",
                "minutes",
                "signals",
                "gaps",
                "positions",
                "minutes_incomplete",
                "scanned",
                "scans_failed",
            )
        }
        state, detail = HealthState.GREEN, ""
        if status["suspended"] or status["broken"] or self._gaps or self._scans_failed:
            state = HealthState.WARNING
            detail = f"suspended {status['suspended']}, broken {status['broken']}, {self._gaps} gaps in the candles"
            detail += f", {self._scans_failed} scans failed" if self._scans_failed else ""
        return Pulse(state, detail, self._last_us, 0, figures)
