"""Analytics beside the strategies: every bar's insights live, and a range of days again when asked.

Both compute in a thread, one minute or one symbol at a time, and write in the loop, which owns the store.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from libs.analytics.study import Findings
from libs.core.errors import FleetError, Refused
from libs.dbaccess import DatabaseManager
from libs.runtime.logs import get_logger
from services.scanner.minutes import Minute
from services.scanner.study import Asked, Sessions, Study, recomputed

#: Writes what was found; gives how many rows.
Keep = Callable[[Iterable[Findings]], int]


class LiveInsights:
    """The insights of one run. Every minute counts here: indicators remember. A day caught up with is computed too."""

    def __init__(self, study: Study, keep: Keep) -> None:
        self.rows = self.failed = 0
        self._study = study
        self._keep = keep
        self._waiting: deque[Minute] = deque()
        self._due = asyncio.Event()

    def add(self, minute: Minute) -> None:
        """Take a whole minute's bars."""
        if self._study.symbols and self._study.timeframes:
            self._waiting.append(minute)  # bounded by the day: whoever is too slow is behind, and status says so
            self._due.set()

    @property
    def behind(self) -> int:
        """Minutes that wait."""
        return len(self._waiting)

    async def run(self) -> None:
        """Work minute by minute, for ever."""
        while True:
            await self._due.wait()
            self._due.clear()
            while self._waiting:
                minute = self._waiting[0]
                try:
                    self.rows += self._keep(await asyncio.to_thread(self._study.take, minute.bars))
                except FleetError as e:
                    self.failed += 1
                    get_logger().error("analytics.failed", minute_us=minute.closed.timestamp_us, error=str(e))
                self._waiting.popleft()  # only now: what is being worked on is behind


class Updates:
    """`fleet analytics update` while the scanner lives: one at a time."""

    def __init__(self, manager: DatabaseManager, exchange: str, sessions: Sessions, keep: Keep) -> None:
        self._manager = manager
        self._exchange = exchange
        self._sessions = sessions
        self._keep = keep
        self._task: asyncio.Task[None] | None = None
        self._rows = self._done = self._wanted = 0
        self._error = ""

    def begin(self, arguments: dict[str, Any]) -> None:
        """Begin one; refuses while another runs."""
        if self._task is not None and not self._task.done():
            raise Refused(f"an update is running: {self._done} of {self._wanted} done; wait for it")
        asked = msgspec.convert(arguments, Asked)
        self._rows, self._done, self._error = 0, 0, ""
        self._wanted = len(asked.symbols) * len(asked.timeframes)
        self._task = asyncio.create_task(self._run(asked))

    def status(self) -> dict[str, Any]:
        """Say how far the last one is."""
        running = self._task is not None and not self._task.done()
        return {
            "running": running, "done": self._done, "wanted": self._wanted, "rows": self._rows, "error": self._error
        }  # fmt: skip

    async def _run(self, asked: Asked) -> None:
        try:
            for symbol in asked.symbols:
                for timeframe in asked.timeframes:
                    found = await asyncio.to_thread(
                        recomputed, self._manager, self._exchange, symbol, timeframe, asked, self._sessions
                    )
                    self._rows += self._keep(found)
                    self._done += 1
        except Exception as e:  # noqa: BLE001 - it is said where it is asked for; strategies go on
            self._error = f"{type(e).__name__}: {e}"
            get_logger().error("analytics.update_failed", error=self._error)
