"""The backtest service's wiring: the index's lock, sockets, jobs, reconciling and clean-up."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from typing import Any

from libs.contracts.backtest import BacktestProgress
from libs.contracts.bus import CommandRequest
from libs.contracts.topics import topic
from libs.core.clock import US_PER_MINUTE, US_PER_SECOND, Clock
from libs.core.errors import Refused
from libs.dbaccess import DatabaseManager, Role, Store
from libs.dbaccess.sqlite_session import SqliteSession
from libs.messaging import CommandServer, Publisher
from libs.runtime.commands import logged
from libs.runtime.heartbeat import Pulse, beat
from libs.runtime.logs import get_logger
from libs.runtime.process import run_until
from libs.settings import Settings
from libs.strategies.user import load_directory
from services.backtest import cleanup, index
from services.backtest.jobs import JobQueue
from services.backtest.manifest import NAME
from services.backtest.owner import ACTIONS
from services.backtest.progress import Progress
from services.backtest.request import make_request
from services.backtest.settings import check

_TURN_S = 0.2


async def serve(settings: Settings, clock: Clock, stop: asyncio.Event) -> None:
    """Keep the index and run jobs until told to stop. The index's lock is held from the first line to the last."""
    check(settings)
    db = DatabaseManager(settings.data_root, Role.BACKTEST_INDEX, settings=settings, clock=clock)
    load_directory(settings.strategies.directory(settings.data_root))
    with ExitStack() as stack:
        session = stack.enter_context(db.writer_session(Store.BACKTEST_INDEX))
        publisher = stack.enter_context(Publisher.open(NAME, settings=settings, clock=clock))
        running = _Running(db, session, publisher, settings, clock)
        commands = stack.enter_context(
            CommandServer.open(NAME, logged(running.on_command), settings=settings, clock=clock)
        )
        running.recover()
        loops = [
            publisher.run(),
            commands.run(),
            running.look_after(),
            beat(NAME, publisher, clock, settings.runtime.heartbeat_interval_ms, running.pulse),
        ]
        try:
            await run_until(stop, loops)
        finally:
            await running.jobs.stop()
        running.recover()
    get_logger().info("backtest.stopped")


class _Running:
    """The service while it runs: one turn after another on its event loop."""

    def __init__(
        self, db: DatabaseManager, session: SqliteSession, publisher: Publisher, settings: Settings, clock: Clock
    ) -> None:
        self._db = db
        self._session = session
        self._publisher = publisher
        self._settings = settings
        self._clock = clock
        self._reconcile_at_us = self._clean_up_at_us = 0
        self.jobs = JobQueue(db, session, settings, clock, self._tell)

    def recover(self) -> None:
        """Bring the index and the jobs up to what the files say."""
        with self._session.transaction() as connection:
            changes = index.reconcile(self._db, connection, self._clock)
        if changes.added or changes.removed or changes.killed or changes.unreadable:
            get_logger().info(
                "backtest.reconciled", added=changes.added, removed=changes.removed, killed=changes.killed,
                unreadable=changes.unreadable,
            )  # fmt: skip
        self.jobs.recover_unwatched()

    async def look_after(self) -> None:
        """Start jobs, look for runs made without us, and clean up, for ever."""
        while True:
            now_us = self._clock.now_us()
            if now_us >= self._reconcile_at_us:
                self._reconcile_at_us = now_us + self._settings.backtest.reconcile_interval_s * US_PER_SECOND
                self.recover()
            if now_us >= self._clean_up_at_us:
                self._clean_up_at_us = now_us + self._settings.backtest.cleanup_interval_min * US_PER_MINUTE
                self._clean_up()
            await self.jobs.start_waiting()
            await asyncio.sleep(_TURN_S)

    def on_command(self, request: CommandRequest) -> Any:
        """Do what is asked."""
        given = request.arguments
        if request.name == "submit":
            options = dict(given.get("request") or {})
            wanted = make_request(
                options.pop("strategy", ""), options.pop("symbols", []), options.pop("start", ""),
                options.pop("end", ""), **options,
            )  # fmt: skip
            return {"job_id": self.jobs.submit(wanted, request.command_id, str(given.get("requested_by", "")))}
        if request.name == "cancel":
            return {"state": self.jobs.cancel(str(given.get("job_id", "")))}
        action = ACTIONS.get(request.name)
        if action is None:
            raise Refused(f"no command {request.name!r}; there are submit, cancel, {', '.join(ACTIONS)}")
        with self._session.transaction() as connection:
            return action(self._db, connection, self._clock, given)

    def pulse(self) -> Pulse:
        """Say how it is."""
        return Pulse(queue_length=self.jobs.waiting, figures={"workers": float(self.jobs.running)})

    def _clean_up(self) -> None:
        try:
            with self._session.transaction() as connection:
                deleted = cleanup.clean_up(self._db, connection, self._clock)
        except Refused as e:  # a policy nobody can read: runs stay, and somebody should know
            get_logger().error("backtest.policy", error=str(e))
            return
        if deleted:
            get_logger().info("backtest.cleaned_up", runs=len(deleted))

    def _tell(self, job_id: str, progress: Progress) -> None:
        self._publisher.publish(
            topic("backtest", progress.run_id),
            BacktestProgress(
                progress.run_id, self._clock.now_us(), progress.state, progress.bars_done, progress.bars,
                progress.market_us, progress.equity_paise, job_id,
            ),
        )  # fmt: skip
        if progress.state != "running":
            self._reconcile_at_us = 0
