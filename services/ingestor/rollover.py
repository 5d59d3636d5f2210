"""The end of a day inside the ingestor: the buffer is closed, its days go into history, capture goes on meanwhile.

Rows wait in memory and are safe in the journal while the buffer is away. One rollover at a time; what is refused is
said in every heartbeat until it is asked for again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import date
from types import TracebackType
from typing import Any, Self

from libs.core.clock import IST, US_PER_MINUTE, US_PER_SECOND, SystemClock, to_datetime
from libs.core.errors import FleetError, Refused, RetryLater
from libs.core.faults import crash_point
from libs.dbaccess import DatabaseManager, EODRollover
from libs.dbaccess.journal import Journal
from libs.dbaccess.live import LiveBuffer
from libs.dbaccess.rollover import record_step, untold_days
from libs.runtime.logs import get_logger
from services.ingestor.capture import Capture

#: So long a day waits for candles of its gaps that are still to come: once it is in history they have no place.
_FILLING_MAX_US = 60 * US_PER_MINUTE


class BufferDoor:
    """The live buffer, which can be left and entered again by the thread that made this, under the lock it holds."""

    def __init__(self, manager: DatabaseManager) -> None:
        self._manager = manager
        self._stack = ExitStack()
        self.buffer: LiveBuffer
        self.enter()

    def enter(self) -> None:
        """Open the buffer."""
        self.buffer = self._stack.enter_context(self._manager.live_buffer_writer())

    def leave(self) -> None:
        """Flush and close it."""
        self._stack.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)


@dataclass
class RolloverFigures:
    """What the last rollover did, for `status`."""

    attempts: int = 0
    date: str = ""
    error: str = ""
    series: list[dict[str, Any]] = field(default_factory=list)
    rows_kept: int = 0
    in_history: bool = False
    running: bool = False


class DayCloser:
    """Says which day is due, and rolls it over. `is_filling` says whether candles of its gaps are still to come."""

    is_filling: Callable[[], bool] = staticmethod(lambda: False)

    def __init__(
        self, manager: DatabaseManager, door: BufferDoor, capture: Capture, journal: Journal, *, delay_s: int,
        symbols: Collection[str] = (),
    ) -> None:  # fmt: skip
        self.figures = RolloverFigures()
        self._manager = manager
        self._door = door
        self._capture = capture
        self._journal = journal
        self._delay_us = delay_s * US_PER_SECOND
        self._symbols = symbols
        self._asked: date | None = None
        self._refused: date | None = None
        self._retry_at_us = 0
        self._owes_word = True  # perhaps: of a day whose rollover was a command's, or whose teller was killed
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="rollover")
        if self._is_closed(capture.day.session.date):
            capture.close_day(capture.day.session.date)

    def ask(self, day: date) -> None:
        """Roll a day over as soon as may be; a person asked. Refused while it may still trade."""
        if not self._is_over(day, self._capture.session_clock.now_us(), 0):
            until = to_datetime(self._capture.day.session.last_us).astimezone(IST)
            raise Refused(f"{day} is not over: the session of {self._capture.day.session.date} lasts until {until}")
        self._asked, self._refused = day, None

    def due(self) -> date | None:
        """Give the newest day that is over and still in the buffer, or the one somebody asked for."""
        if self._asked is not None:
            return self._asked
        now_us = self._capture.session_clock.now_us()
        if not now_us or now_us < self._retry_at_us:
            return None
        over = [day for day in self._door.buffer.manifest.trading_dates if self._is_over(day, now_us, self._delay_us)]
        newest = max(over, default=None)
        if newest == self._refused or (newest is not None and self._waits_for_gaps(newest, now_us)):
            return None
        return newest

    async def close(
        self, day: date, flush: Callable[[], Awaitable[None]], meanwhile: Callable[[], Awaitable[None]]
    ) -> None:
        """Roll it over while `meanwhile` is awaited again and again."""
        self._asked = None
        figures = self.figures = RolloverFigures(self.figures.attempts, day.isoformat(), running=True)
        exchange = self._capture.day.exchange
        get_logger().info("rollover.begins", date=day.isoformat())
        rolling = EODRollover(self._manager, clock=_SessionTime(self._capture), symbols=frozenset(self._symbols))
        self._capture.close_day(day)  # what comes from here on is late, so the flush is the day's last
        await flush()
        self._door.leave()
        try:
            work = asyncio.get_running_loop().run_in_executor(self._thread, rolling.roll, day, exchange)
            while not work.done():
                await meanwhile()
            report = work.result()
        except FleetError as e:
            figures.error = str(e)
            get_logger().error("rollover.refused", date=day.isoformat(), error=str(e))
            if isinstance(e, RetryLater):
                self._retry_at_us = self._capture.session_clock.now_us() + max(self._delay_us, US_PER_SECOND)
            else:
                self._refused = day
            return
        finally:
            self._door.enter()
            figures.attempts += 1
            figures.running = False
        figures.rows_kept, figures.in_history = report.rows_kept, report.in_history
        figures.series = [{**each._asdict(), "date": each.date.isoformat()} for each in report.series]
        dropped = self._journal.drop_through(self._watermarks())
        for each in sorted({rolled.date for rolled in report.series}):
            self._capture.close_day(each)
        self._owes_word = True
        self.tell()
        get_logger().info("rollover.done", date=day.isoformat(), files=len(report.series), segments_dropped=dropped)

    def tell(self) -> None:
        """Say of each day in history that it is, once: the journal knows what was said before a kill.

        Nothing is said before the session's time is known, which the word bears.
        """
        if not (self._owes_word and self._capture.session_clock.now_us()):
            return
        self._owes_word = False
        exchange = self._capture.day.exchange
        for day in untold_days(self._manager, exchange):
            if day in self._door.buffer.manifest.trading_dates:
                continue  # its rollover was killed half way; it goes over again, and is told then
            crash_point("ingestor.eod.before")
            if not self._capture.day.was_said("eod", day):
                self._capture.say_rolled_over(day)
            crash_point("ingestor.eod.after")
            record_step(self._manager, exchange, day, "told")

    def shut(self) -> None:
        """Wait for what is being done."""
        self._thread.shutdown(wait=True)

    def _is_over(self, day: date, now_us: int, delay_us: int) -> bool:
        current = self._capture.day
        if day != current.session.date:
            return day < current.session.date
        return current.aggregator.is_over and now_us >= current.session.last_us + delay_us

    def _waits_for_gaps(self, day: date, now_us: int) -> bool:
        session = self._capture.day.session
        until_us = session.last_us + self._delay_us + _FILLING_MAX_US
        return day == session.date and now_us < until_us and self.is_filling()

    def _is_closed(self, day: date) -> bool:
        return self._manager.layout.day(self._capture.day.exchange, "ticks", None, day).exists()

    def _watermarks(self) -> dict[str, int]:
        """Up to where both files hold everything: the lower of what they say of each stream."""
        buffer = self._door.buffer
        ticks, candles = buffer.watermarks("ticks"), buffer.watermarks("candles")
        return {stream: min(ticks[stream], candles[stream]) for stream in ticks.keys() & candles.keys()}


class _SessionTime(SystemClock):
    """A replayed or simulated day is over when its own clock says so."""

    def __init__(self, capture: Capture) -> None:
        self._capture = capture

    def now_us(self) -> int:
        return self._capture.session_clock.now_us()
