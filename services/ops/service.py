"""The wiring of ops: sockets, then the loops. It owns no store and may die at any time; what was due is caught up."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from typing import Any

from libs.calendar import Calendar
from libs.contracts.health import Alert, Severity
from libs.contracts.topics import topic
from libs.core.clock import Clock
from libs.core.errors import FleetError, RetryLater
from libs.dbaccess import DatabaseManager
from libs.dbaccess.layout import Layout
from libs.messaging import Publisher
from libs.runtime.alert_rules import read_rules
from libs.runtime.alerts import Alerts, log_alert
from libs.runtime.heartbeat import Pulse
from libs.runtime.logs import get_logger
from libs.runtime.running import hear_beats, run_service_loops
from libs.runtime.telling import Messenger
from libs.settings import Settings
from services.ops.heartbeats import Heartbeats
from services.ops.manifest import NAME
from services.ops.schedule import Schedule, Task
from services.ops.settings import checked
from services.ops.tasks import tasks

_TURN_S = 1.0


async def serve(settings: Settings, clock: Clock, stop: asyncio.Event) -> None:
    """Look after the fleet until told to stop."""
    calendar, addresses = checked(settings)
    with ExitStack() as stack:
        messenger = Messenger(settings.ops, addresses)
        stack.callback(messenger.close)
        publisher = stack.enter_context(Publisher.open(NAME, settings=settings, clock=clock))
        await Running(settings, clock, calendar, publisher, messenger).until(stop)
    get_logger().info("ops.stopped")


class Running:
    """The loops: heartbeats in, tasks out."""

    def __init__(
        self, settings: Settings, clock: Clock, calendar: Calendar, publisher: Publisher, messenger: Messenger
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._calendar = calendar
        self._publisher = publisher
        self._messenger = messenger
        self.alerts = Alerts(clock, self._tell, repeat_min=settings.ops.alert_repeat_min)
        self.heartbeats = Heartbeats(
            clock,
            self.alerts,
            watched=settings.ops.watched,
            lost_s=settings.ops.heartbeat_lost_s,
            limits=settings.ops,
        )
        self._manager = DatabaseManager(settings.data_root, settings=settings, clock=clock)
        self._read_rules()
        path = Layout(settings.data_root).backups / ".schedule.json"
        wanted = tasks(settings, clock, self.alerts, self._is_trading, self._market_us)
        self.schedule = Schedule(path, wanted, clock, retry_min=settings.ops.retry_min)

    async def until(self, stop: asyncio.Event) -> None:
        """Run until told to stop."""
        await run_service_loops(
            NAME, self._publisher, stop, [self._listen, self._watch, self._work], settings=self._settings,
            clock=self._clock, status=self._status, pulse=self._pulse,
        )  # fmt: skip

    async def _listen(self) -> None:
        await hear_beats(NAME, self.heartbeats.heard, settings=self._settings, clock=self._clock)

    def _read_rules(self) -> None:
        """Learn who is to be told of what; what cannot be read changes nothing."""
        try:
            self._messenger.rules = read_rules(self._manager)
        except FleetError as e:
            get_logger().warning("ops.alert_rules_unread", error=str(e))

    async def _watch(self) -> None:
        """Look apart from the work: a copy or the archive may take an hour."""
        while True:
            await asyncio.sleep(_TURN_S)
            self.heartbeats.look()
            self._read_rules()

    async def _work(self) -> None:
        while True:
            await asyncio.sleep(_TURN_S)
            for task in self.schedule.due():
                await self._do(task)

    async def _do(self, task: Task) -> None:
        """Do one thing in a thread; one that fails is an alert, and is tried again: after a while, if that may help."""
        key = f"task {task.name}"
        try:
            found = task.then(await asyncio.to_thread(task.run))
        except Exception as e:  # noqa: BLE001 - whatever a task raises is its own fault, and ops lives to tell it
            told = str(e) if isinstance(e, (FleetError, OSError)) else f"{type(e).__name__}: {e}"
            self.alerts.raise_(key, Severity.CRITICAL, NAME, f"{task.name} failed", told)
            if isinstance(e, (RetryLater, OSError)):
                self.schedule.put_off(task)
                return
        else:
            get_logger().info("ops.done", task=task.name, found=found)
            self.alerts.clear(key)
        self.schedule.note(task)

    def _is_trading(self) -> bool:
        """Whether a session is on, by the market's own clock."""
        return self._calendar.is_open(self._market_us())

    def _market_us(self) -> int:
        return self.heartbeats.market_us or self._clock.now_us()

    def _tell(self, alert: Alert) -> None:
        log_alert(alert)
        self._publisher.publish(topic("alert", alert.severity.value), alert)
        self._messenger.tell(alert)

    def _status(self) -> dict[str, Any]:
        return {
            "alerts": [each.title for each in self.alerts.standing()], "done": self.schedule.done,
            "services": {name: each.state.value for name, each in sorted(self.heartbeats.newest.items())},
            "sent": self._messenger.sent, "not_sent": self._messenger.failed,
        }  # fmt: skip

    def _pulse(self) -> Pulse:
        return Pulse(figures={"alerts": float(len(self.alerts.standing())), "sent": float(self._messenger.sent)})
