"""Where the market was, kept in a small file: a restarted simulator goes on from there, never on a day that is closed.

A broker does not forget what time it is. Were the day begun again, the fleet would be shown minutes it has already, or
a date that its history has closed and refuses.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path

import msgspec

from libs.core.clock import Clock
from libs.runtime.logs import get_logger
from services.exchange_sim.market.sessions import TradingDays, date_of, start_instant_ms

#: The file is written ahead of the market by so much real time, and by no more market time than this.
_AHEAD_S = 2.0
_AHEAD_MAX_MS = 60_000


class _Mark(msgspec.Struct, frozen=True):
    """`start` is the setting the market began with: with another one it begins anew."""

    start: str
    instant_ms: int


class Bookmark:
    """Keeps the market's instant. Lost, it costs a day that begins again, so it is not worth dying for."""

    def __init__(self, path: Path, start: str, closed: Callable[[], date | None]) -> None:
        self._path = path
        self._start = start
        self._closed = closed
        self._ahead_ms = 0
        self._is_failing = False

    def first_instant_ms(self, days: TradingDays, clock: Clock) -> int:
        """Say where to begin: where an earlier run ended, where the settings say, on a day that is still open."""
        kept = self._read()
        if kept is None and self._start:
            return start_instant_ms(self._start, days, clock)
        instant_ms = kept if kept is not None else start_instant_ms("", days, clock)
        closed = self._closed()
        if closed is None or date_of(instant_ms) > closed or _is_over(instant_ms, closed, days):
            return instant_ms
        return start_instant_ms("", days, clock, day=days.next(closed))

    def reach(self, instant_ms: int, speed: float) -> None:
        """Write down that the market may get this far; called before it does, so a kill plays no instant twice."""
        if self._ahead_ms - _AHEAD_MAX_MS <= instant_ms <= self._ahead_ms:
            return
        self._ahead_ms = instant_ms + min(_AHEAD_MAX_MS, int(_AHEAD_S * 1000 * speed))
        self._write(self._ahead_ms)

    def end(self, instant_ms: int) -> None:
        """Write down where exactly the market stands."""
        self._write(instant_ms)

    def _read(self) -> int | None:
        try:
            mark = msgspec.json.decode(self._path.read_bytes(), type=_Mark)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.DecodeError) as e:
            get_logger().warning("exchange_sim.bookmark_unreadable", path=str(self._path), error=str(e))
            return None
        return mark.instant_ms if mark.start == self._start else None

    def _write(self, instant_ms: int) -> None:
        temporary = self._path.with_suffix(".tmp")
        try:
            temporary.write_bytes(msgspec.json.encode(_Mark(self._start, instant_ms)))
            temporary.replace(self._path)
        except OSError as e:  # a full disk stops nobody's market
            if not self._is_failing:
                get_logger().warning("exchange_sim.bookmark_not_kept", path=str(self._path), error=str(e))
            self._is_failing = True
        else:
            self._is_failing = False


def last_closed_day(data_root: Path, exchange: str) -> date | None:
    """Name the newest day that history has closed, None where nothing is."""
    from libs.dbaccess.layout import Layout, closed_days  # the stores' library is slow to load

    days = closed_days(Layout(data_root).series(exchange, "candles", "1m"))
    return days[-1][0] if days else None


def _is_over(instant_ms: int, closed: date, days: TradingDays) -> bool:
    """Say whether nothing trades any more on the closed date the market stands on."""
    session = days.session(closed)
    return date_of(instant_ms) == closed and (session is None or instant_ms >= session.close_ms)
