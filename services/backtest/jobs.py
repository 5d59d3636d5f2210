"""The queue of runs that were asked for, in the index's store: each becomes a process of its own, so many at once."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec

from libs.core.clock import Clock
from libs.core.errors import Refused
from libs.core.ids import random_id
from libs.core.version import CODE_VERSION
from libs.dbaccess import DatabaseManager
from libs.dbaccess.sqlite_session import SqliteSession
from libs.runtime.logs import get_logger
from libs.settings import Settings
from services.backtest.index import RunRow, put
from services.backtest.request import RunRequest
from services.backtest.runner import Progress, new_run_id

#: Workers are started as modules, which are found from here.
_PROJECT = Path(__file__).resolve().parents[2]
_ERROR_BYTES_MAX = 4000


class JobQueue:
    """Owns the jobs table. Belongs to the service's event loop."""

    def __init__(
        self, db: DatabaseManager, session: SqliteSession, settings: Settings, clock: Clock,
        tell: Callable[[str, Progress], None],
    ) -> None:  # fmt: skip
        self._db = db
        self._session = session
        self._settings = settings
        self._clock = clock
        self._tell = tell
        self._workers: dict[str, asyncio.subprocess.Process] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def running(self) -> int:
        """How many workers there are."""
        return len(self._workers)

    @property
    def waiting(self) -> int:
        """How many jobs wait."""
        found = self._session.connection.execute("SELECT count(*) FROM jobs WHERE state = 'queued'").fetchone()
        return int(found[0])

    def submit(self, request: RunRequest, job_id: str, requested_by: str) -> str:
        """Put a run into the queue; the same job again changes nothing."""
        job_id = job_id or random_id()
        with self._session.transaction() as connection:
            if connection.execute("SELECT 1 FROM jobs WHERE job_id = ?", (job_id,)).fetchone():
                return job_id
            if self.waiting >= self._settings.backtest.jobs_waiting_max:
                raise Refused(f"{self.waiting} jobs wait already; backtest.jobs_waiting_max allows no more")
            connection.execute(
                "INSERT INTO jobs (job_id, request_json, requested_by, state, requested_at_us) "
                "VALUES (?, ?, ?, 'queued', ?)",
                (job_id, msgspec.json.encode(request).decode(), requested_by, self._clock.now_us()),
            )
        return job_id

    def cancel(self, job_id: str) -> str:
        """Take a job out of the queue, or stop its worker, which leaves a partial run."""
        worker = self._workers.get(job_id)
        if worker is not None:
            worker.send_signal(signal.SIGTERM)
            return "stopping"
        with self._session.transaction() as connection:
            changed = connection.execute(
                "UPDATE jobs SET state = 'cancelled', finished_at_us = ? WHERE job_id = ? AND state = 'queued'",
                (self._clock.now_us(), job_id),
            ).rowcount
        if not changed:
            raise Refused(f"job {job_id!r} neither waits nor runs")
        return "cancelled"

    def recover_unwatched(self) -> None:
        """Settle the jobs an earlier life of the service left running, whose workers nobody watches."""
        with self._session.transaction() as connection:
            for job_id, run_id, state in connection.execute(
                "SELECT job_id, runs.run_id, runs.state FROM jobs LEFT JOIN runs USING (run_id) "
                "WHERE jobs.state = 'running'"
            ).fetchall():
                if state == "running" or job_id in self._workers:
                    continue  # its worker lives on; the index learns what became of it
                outcome = "done" if state in {"complete", "partial"} else "failed"
                error = "" if outcome == "done" else f"the service ended while {run_id} ran"
                connection.execute(
                    "UPDATE jobs SET state = ?, error = ?, finished_at_us = ? WHERE job_id = ?",
                    (outcome, error, self._clock.now_us(), job_id),
                )

    async def start_waiting(self) -> None:
        """Start as many waiting jobs as there are places for."""
        while self.running < self._settings.backtest.workers_max:
            found = self._session.connection.execute(
                "SELECT job_id, request_json FROM jobs WHERE state = 'queued' ORDER BY requested_at_us, job_id LIMIT 1"
            ).fetchone()
            if found is None:
                return
            await self._start(*found)

    async def stop(self) -> None:
        """Tell every worker to write its partial run, and wait for it."""
        for worker in self._workers.values():
            worker.send_signal(signal.SIGTERM)
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=self._settings.backtest.stop_timeout_s)

    async def _start(self, job_id: str, request_json: str) -> None:
        request = msgspec.json.decode(request_json, type=RunRequest)
        now_us = self._clock.now_us()
        run_id = new_run_id(request, now_us)
        worker = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "services.backtest.worker", str(self._db.layout.root.absolute()), run_id,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            cwd=_PROJECT, env=os.environ.copy(),
        )  # fmt: skip
        self._workers[job_id] = worker
        with self._session.transaction() as connection:
            put(connection, _running_row(request, run_id, now_us, worker.pid))
            connection.execute(
                "UPDATE jobs SET state = 'running', run_id = ?, started_at_us = ? WHERE job_id = ?",
                (run_id, now_us, job_id),
            )
        task = asyncio.ensure_future(self._watch(job_id, run_id, worker, request_json.encode()))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        get_logger().info("backtest.started", run=run_id, job=job_id, worker=worker.pid)

    async def _watch(self, job_id: str, run_id: str, worker: asyncio.subprocess.Process, request: bytes) -> None:
        assert worker.stdin is not None
        assert worker.stdout is not None
        assert worker.stderr is not None
        worker.stdin.write(request)
        worker.stdin.close()
        complaints = asyncio.ensure_future(worker.stderr.read())
        async for line in worker.stdout:
            try:
                self._tell(job_id, msgspec.json.decode(line, type=Progress))
            except msgspec.DecodeError:
                get_logger().warning("backtest.odd_line", run=run_id, bytes=len(line))
        code = await worker.wait()
        error = (await complaints)[-_ERROR_BYTES_MAX:].decode("utf-8", "replace").strip()
        del self._workers[job_id]
        # One that is told to stop before it can listen for that dies of the signal, and has no run to show.
        state = {0: "done", 130: "cancelled", -signal.SIGTERM: "cancelled"}.get(code, "failed")
        with self._session.transaction() as connection:
            connection.execute(
                "UPDATE jobs SET state = ?, error = ?, finished_at_us = ? WHERE job_id = ?",
                (state, "" if state == "done" else error or f"exit code {code}", self._clock.now_us(), job_id),
            )
        get_logger().info("backtest.ended", run=run_id, job=job_id, state=state, code=code)


def _running_row(request: RunRequest, run_id: str, now_us: int, pid: int) -> RunRow:
    return RunRow(
        run_id=run_id, strategy=request.strategy, parameters_json=msgspec.json.encode(request.parameters).decode(),
        exchange=request.exchange, symbols_json=msgspec.json.encode(request.symbols).decode(),
        timeframe=request.timeframe, date_from=request.start.isoformat(), date_to=request.end.isoformat(),
        fill_model=request.fill, cash_paise=request.cash_paise, state="running", error="", data_fingerprint="",
        code_version=CODE_VERSION, created_at_us=now_us, finished_at_us=None,
        path=f"backtest/runs/{run_id}.duckdb", pid=pid,
    )  # fmt: skip
