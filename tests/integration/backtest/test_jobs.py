"""G3, G4: jobs wait their turn, at most so many run at once, and old runs go when clean-up is due, unasked."""

from __future__ import annotations

import asyncio
import sys

import pytest

from libs.contracts.bus import CommandRequest
from libs.core.clock import SystemClock
from libs.core.errors import Refused
from libs.dbaccess import DatabaseManager, Role
from libs.dbaccess.layout import Store
from services.backtest import BacktestRunner, jobs
from services.backtest.service import _Running
from tests.kit.backtest import FIRST, make_history, runner_manager
from tests.kit.roots import settings

DAY_S = 86_400
DEADLINE_S = 120


class ShiftedClock(SystemClock):
    """The machine's clock, so many seconds on."""

    shift_s = 0

    def now_us(self) -> int:
        return super().now_us() + self.shift_s * 1_000_000


class Told:
    """Takes what would go onto the bus."""

    def __init__(self) -> None:
        self.news = []

    def publish(self, _topic, message) -> None:
        self.news.append(message)


def submitted(name: str) -> CommandRequest:
    request = {"strategy": "sma_cross", "symbols": ["ACME"], "start": str(FIRST), "end": str(FIRST)}
    return CommandRequest(name="submit", command_id=name, arguments={"request": request})


def worker_that_waits(monkeypatch) -> None:
    """The next worker gets nowhere: one that ran might be done before it is told to stop."""
    start = asyncio.create_subprocess_exec

    async def start_another(*_words, **options):
        return await start(sys.executable, "-c", "import time; time.sleep(600)", **options)

    monkeypatch.setattr(jobs.asyncio, "create_subprocess_exec", start_another)


async def until(condition) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not condition():  # noqa: ASYNC110 - what is waited for is a process's doing
            await asyncio.sleep(0.02)


def test_jobs_take_turns_and_old_runs_go_when_it_is_time(tmp_path, monkeypatch):
    """One place, two may wait, one more is refused; weeks later nobody asks, and only the newest is left."""
    root = make_history(tmp_path / "data", ("ACME",), last=FIRST, count=60)
    policy = root / "backtest" / ".cleanup_policy.json"
    policy.write_text('{"runs_keep": 100, "days_keep": 1}')
    clock = ShiftedClock()
    earlier = runner_manager(root)
    earlier.clock = ShiftedClock()
    earlier.clock.shift_s = -40 * DAY_S
    old = BacktestRunner(earlier).run("sma_cross", ["ACME"], FIRST, FIRST)
    wanted = settings(TRADEFLEET_BACKTEST_WORKERS_MAX="1", TRADEFLEET_BACKTEST_JOBS_WAITING_MAX="2")
    db = DatabaseManager(root, Role.BACKTEST_INDEX, settings=wanted, clock=clock)
    told, most = Told(), []

    async def scenario(running: _Running, rows) -> None:
        for name in ("a", "b"):
            running.on_command(submitted(name))
        running.on_command(submitted("a"))  # a repeat is no further job
        with pytest.raises(Refused, match="jobs_waiting_max"):
            running.on_command(submitted("c"))
        looking = asyncio.ensure_future(running.look_after())
        try:
            await until(lambda: running.jobs.running)
            running.on_command(submitted("c"))
            running.on_command(CommandRequest(name="cancel", command_id="x", arguments={"job_id": "c"}))
            ended = {"done", "cancelled"}
            await until(lambda: most.append(running.jobs.running) or {row[0] for row in rows()} == ended)
            worker_that_waits(monkeypatch)
            running.on_command(submitted("d"))
            await until(lambda: running.jobs.running)
            running.on_command(CommandRequest(name="cancel", command_id="y", arguments={"job_id": "d"}))
            await until(lambda: not running.jobs.running)
            policy.write_text('{"runs_keep": 1, "days_keep": 1}')  # d was killed: it is none of them
            clock.shift_s = 40 * DAY_S
            await until(lambda: len(list(db.layout.runs.glob("run_*"))) == 1)
        finally:
            looking.cancel()
            await running.jobs.stop()

    with db.writer_session(Store.BACKTEST_INDEX) as session:

        def rows():
            return session.connection.execute("SELECT state, run_id FROM jobs ORDER BY job_id").fetchall()

        asyncio.run(scenario(_Running(db, session, told, wanted, clock), rows))
        states = rows()

    left = [path.stem for path in db.layout.runs.glob("run_*")]
    assert [state for state, _ in states] == ["done", "done", "cancelled", "cancelled"], "d before it could write a run"
    assert max(most) == 1, "one at a time"
    assert left == [states[1][1]]
    assert old not in left
    assert {news.job_id for news in told.news} == {"a", "b"}
    assert told.news[-1].bars_done == told.news[-1].bars == 60
