"""The wiring of the watchdog: the supervisor's events, heartbeats from the bus, a look at every interval."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from typing import Any

from libs.contracts import HealthState
from libs.contracts.health import Alert, Severity
from libs.core.clock import Clock
from libs.core.errors import FleetError
from libs.core.waiting import end_all
from libs.dbaccess import DatabaseManager
from libs.messaging import Publisher
from libs.runtime.alerts import Alerts, log_alert
from libs.runtime.heartbeat import Pulse
from libs.runtime.idle import idle_programs
from libs.runtime.logs import get_logger
from libs.runtime.running import hear_beats, run_service_loops
from libs.runtime.telling import Messenger
from libs.settings import Settings
from services.watchdog.control import Supervisor
from services.watchdog.judge import Judge, Kill, Listen, Stop, Verdict
from services.watchdog.listener import events
from services.watchdog.manifest import NAME
from services.watchdog.settings import checked


async def serve(settings: Settings, clock: Clock, stop: asyncio.Event) -> None:
    """Watch until told to stop."""
    url, addresses = checked(settings)
    with ExitStack() as stack:
        messenger = Messenger(settings.ops, addresses)
        stack.callback(messenger.close)
        publisher = stack.enter_context(Publisher.open(NAME, settings=settings, clock=clock))
        running = Running(settings, clock, Supervisor(url), publisher, messenger)
        get_logger().info("watchdog.ready", watched=settings.watchdog.watched, hung_s=settings.watchdog.hung_s)
        await running.until(stop)
    get_logger().info("watchdog.stopped")


class Running:
    """The loops. Business never passes here: the bus is read for heartbeats only."""

    def __init__(
        self, settings: Settings, clock: Clock, supervisor: Supervisor, publisher: Publisher, messenger: Messenger
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._supervisor = supervisor
        self._publisher = publisher
        self._messenger = messenger
        self._subscribe_anew = asyncio.Event()
        self._alerts = Alerts(clock, self._tell, repeat_min=settings.ops.alert_repeat_min)
        self._alarm = Alerts(clock, self._tell, repeat_min=settings.watchdog.engine_alarm_repeat_min)
        self._judge = Judge(clock, self._alerts, self._alarm, settings.watchdog, idle_programs(settings.profile))
        self._unanswered = ""

    async def until(self, stop: asyncio.Event) -> None:
        """Run until told to stop."""
        await run_service_loops(
            NAME, self._publisher, stop, [self._listen, self._follow_supervisor, self._look], settings=self._settings,
            clock=self._clock, status=self._status, pulse=self._pulse,
        )  # fmt: skip

    async def _listen(self) -> None:
        while True:
            self._subscribe_anew.clear()
            hearing = asyncio.ensure_future(
                hear_beats(NAME, self._judge.heard, settings=self._settings, clock=self._clock)
            )
            anew = asyncio.ensure_future(self._subscribe_anew.wait())
            try:
                await asyncio.wait({hearing, anew}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                await end_all([hearing, anew])
            if not hearing.cancelled() and (error := hearing.exception()) is not None:
                raise error

    async def _follow_supervisor(self) -> None:
        async for event in events():
            if (verdict := self._judge.event(event)) is not None:
                await self._carry_out(verdict)

    async def _look(self) -> None:
        if self._judge.positions is None:
            self._judge.positions = await asyncio.to_thread(self._positions_stored)
        while True:
            await asyncio.sleep(self._settings.watchdog.look_interval_ms / 1000)
            try:
                programs = await asyncio.to_thread(self._supervisor.programs)
            except FleetError as e:
                self._unanswered = str(e)
                continue
            self._unanswered = ""
            for verdict in self._judge.look(programs):
                await self._carry_out(verdict)

    async def _carry_out(self, verdict: Verdict) -> None:
        get_logger().warning("watchdog.acts", verdict=type(verdict).__name__, program=getattr(verdict, "program", ""))
        try:
            match verdict:
                case Kill(program):
                    await asyncio.to_thread(self._supervisor.kill, program)
                case Stop(program):
                    await asyncio.to_thread(self._supervisor.stop, program)
                case Listen():
                    self._subscribe_anew.set()
        except FleetError as e:  # it went by itself meanwhile, or the supervisor is busy: the next look sees
            get_logger().error("watchdog.refused", error=str(e))

    def _positions_stored(self) -> int | None:
        """Read how many positions are open; for a watchdog that has just come back and an engine that is gone."""
        try:
            with DatabaseManager(self._settings.data_root, settings=self._settings).trading_reader() as trading:
                return int(trading.execute("SELECT count(*) FROM positions WHERE quantity <> 0").fetchone()[0])
        except (FleetError, OSError):
            return None

    def _tell(self, alert: Alert) -> None:
        log_alert(alert)
        self._messenger.tell(alert)

    def _status(self) -> dict[str, Any]:
        return {
            "alerts": self._standing(), "kills": self._judge.kills, "stops": self._judge.stops,
            "positions": self._judge.positions, "supervisor": self._unanswered or "answers",
        }  # fmt: skip

    def _standing(self) -> list[str]:
        return [each.title for each in (*self._alarm.standing(), *self._alerts.standing())]

    def _pulse(self) -> Pulse:
        """What stands is in the heartbeat: ops makes an alert of it, on the bus and on the screens."""
        figures = {"kills": float(self._judge.kills), "stops": float(self._judge.stops)}
        if self._unanswered:
            return Pulse(HealthState.ERROR, self._unanswered, figures=figures)
        if standing := self._standing():
            is_critical = any(each.severity is Severity.CRITICAL for each in self._alerts.standing())
            state = HealthState.ERROR if is_critical or self._alarm.standing() else HealthState.WARNING
            return Pulse(state, "; ".join(standing), figures=figures)
        return Pulse(figures=figures)
