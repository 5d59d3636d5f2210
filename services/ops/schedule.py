"""What is due: by interval, by day, by week. What was missed while nobody ran is caught up once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec

from libs.core.clock import IST, US_PER_MINUTE, Clock, to_datetime
from libs.dbaccess.files import write_atomically
from libs.runtime.logs import get_logger


@dataclass(frozen=True)
class Task:
    """One thing to do. `period` names the stretch of time it is done once in, or nothing while it is not wanted.

    `run` works in a thread and touches nothing of the service's; `then` is given what it found, in the loop, and says
    it in words.
    """

    name: str
    period: Callable[[int], str]
    run: Callable[[], Any]
    then: Callable[[Any], str] = str


class Schedule:
    """Remembers in a small file in which period each task was done last."""

    def __init__(self, path: Path, tasks: list[Task], clock: Clock, *, retry_min: int) -> None:
        self._path = path
        self._tasks = tasks
        self._clock = clock
        self._retry_us = retry_min * US_PER_MINUTE
        #: Of a task that could not be done: its period, and when in it to try again.
        self._put_off: dict[str, tuple[str, int]] = {}
        self._now_is: dict[str, str] = {}
        try:
            self._done = msgspec.json.decode(path.read_bytes(), type=dict[str, str])
        except (OSError, msgspec.DecodeError):
            self._done = {}  # every task is done once more, which harms nothing

    @property
    def done(self) -> dict[str, str]:
        """Task to the period it was done in last."""
        return dict(self._done)

    def due(self) -> list[Task]:
        """Give what was not done in the period it is now, and was not tried a moment ago."""
        now_us = self._clock.now_us()
        self._now_is = {task.name: task.period(now_us) for task in self._tasks}
        return [task for task in self._tasks if self._is_due(task, self._now_is[task.name], now_us)]

    def _is_due(self, task: Task, period: str, now_us: int) -> bool:
        failed_in, again_us = self._put_off.get(task.name, ("", 0))
        return bool(period) and self._done.get(task.name) != period and (period != failed_in or now_us >= again_us)

    def put_off(self, task: Task) -> None:
        """It could not be done now: a copy due once a week must not wait a week because a disk was full for an hour."""
        self._put_off[task.name] = self._now_is[task.name], self._clock.now_us() + self._retry_us

    def note(self, task: Task) -> None:
        """It was done, for the period it was due in, however long it took.

        A full disk takes no note of it: it is done once more after a start, and ops lives to tell.
        """
        self._done[task.name] = self._now_is[task.name]
        try:
            write_atomically(self._path, msgspec.json.encode(self._done))
        except OSError as e:
            get_logger().error("ops.not_noted", task=task.name, error=str(e))


def every(minutes: int) -> Callable[[int], str]:
    """A stretch of so many minutes."""
    return lambda now_us: str(now_us // (minutes * US_PER_MINUTE))


def daily(hour: int) -> Callable[[int], str]:
    """A day that begins at an hour, IST: before it, it is still the day before."""
    return lambda now_us: (to_datetime(now_us).astimezone(IST) - timedelta(hours=hour)).date().isoformat()


def weekly(weekday: int, hour: int) -> Callable[[int], str]:
    """A week that begins on a weekday (1 is Monday) at an hour, IST."""

    def period(now_us: int) -> str:
        moment = to_datetime(now_us).astimezone(IST) - timedelta(days=weekday - 1, hours=hour)
        year, week, _ = moment.isocalendar()
        return f"{year}-W{week:02}"

    return period
