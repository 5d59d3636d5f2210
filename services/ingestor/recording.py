"""A recorded day as the ingestor's source: another data root's ticks as they were captured, or its candles.

What was captured was judged then: ticks keep the volume they were booked with, and are neither validated nor aged
again, so the day comes out as it was.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import date
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from libs.calendar import Calendar
from libs.contracts import OHLCVBar, Tick
from libs.core.clock import US_PER_DAY, US_PER_MINUTE, Clock, day_start_us
from libs.core.errors import FleetError, Refused
from libs.dbaccess import DatabaseManager
from libs.feeds.replay import ReplayFeed, ticks_of
from libs.runtime.process import WrongConfiguration
from libs.settings import Settings

_ROWS_A_FETCH = 20_000
_TICKS = (
    "SELECT symbol, epoch_us(timestamp), price, volume, bid, ask, volume_day, open_interest FROM ticks "
    "WHERE epoch_us(timestamp) >= ? AND epoch_us(timestamp) < ? ORDER BY seq"
)
_CANDLES = (
    "SELECT symbol, epoch_us(timestamp), open, high, low, close, volume FROM candles WHERE timeframe = '1m' "
    "AND epoch_us(timestamp) >= ? AND epoch_us(timestamp) < ? ORDER BY timestamp, symbol"
)
_FILLS = _CANDLES.replace("ORDER BY", "AND origin = 'backfill' ORDER BY")


class Recording(NamedTuple):
    """A feed of the day, the session time up to which the recorded process had closed, and what it got for gaps."""

    feed: ReplayFeed
    ends_us: int
    fills: list[OHLCVBar]


def check_recording(settings: Settings) -> None:
    """Refuse what must not or can't be replayed, before anything is opened."""
    replay = settings.replay
    if settings.profile == "live":
        raise WrongConfiguration("ingestor.feed is replay: under profile live recorded prices would be traded on")
    if not replay.root or not replay.date:
        raise WrongConfiguration("ingestor.feed is replay: name the recording by replay.root and replay.date")
    try:
        date.fromisoformat(replay.date)
    except ValueError as e:
        raise WrongConfiguration(f"replay.date is {replay.date!r}; expected YYYY-MM-DD") from e
    source, target = Path(replay.root).resolve(), Path(settings.data_root).resolve()
    if source == target or source in target.parents or target in source.parents:
        raise WrongConfiguration(f"replay.root {source} is the data root {target}, or inside it; replay into another")


def open_recording(settings: Settings, clock: Clock, target: DatabaseManager, calendar: Calendar) -> Recording:
    """Open the day; what the target holds of it already (a replay that was interrupted) is left out."""
    replay, exchange = settings.replay, settings.data.exchange
    day = date.fromisoformat(replay.date)
    session = calendar.session(day)
    if session is None:
        raise WrongConfiguration(f"replay.date {day}: {exchange} does not trade that day")
    if target.layout.day(exchange, "ticks", None, day).exists():
        raise WrongConfiguration(f"{target.layout.root} has {day} in history already; replay into another root")
    source = DatabaseManager(replay.root, settings=settings, clock=clock)
    try:
        with _open(source, exchange, day) as (stores, is_closed):
            closed_us = session.last_us if is_closed else _closed_through(stores["candles"], day)
    except (FleetError, FileNotFoundError) as e:
        raise WrongConfiguration(f"{replay.root} has no recording of {day}: {e}") from e
    ticks = _ticks(source, exchange, day) if replay.source == "ticks" else ticks_of(_bars(source, exchange, day))
    rest = islice(ticks, _held(target, day), None)
    grace_us = settings.ingestor.grace_ms * 1000
    ends_us = max(closed_us, session.last_us if replay.source == "candles" else 0) + grace_us
    # Before a minute is closed, so that all have heard its ticks when they hear what is said of it, and when it is.
    closings = (minute_us + US_PER_MINUTE + grace_us for minute_us in session.minutes)
    pauses = [each for at_us in closings for each in (at_us - 1, at_us)] if replay.step else []
    fills = list(_bars(source, exchange, day, _FILLS)) if replay.source == "ticks" else []
    return Recording(ReplayFeed(rest, clock, speed=replay.speed, is_held=replay.hold, pauses=pauses), ends_us, fills)


@contextmanager
def _open(source: DatabaseManager, exchange: str, day: date) -> Iterator[tuple[Mapping[str, Any], bool]]:
    """Ticks and 1m candles of a day, out of history when it is there, else out of the live buffer."""
    with ExitStack() as stack:
        if source.layout.day(exchange, "candles", "1m", day).exists():
            candles = stack.enter_context(source.historical_reader(exchange, "candles", "1m", day))
            has_ticks = source.layout.day(exchange, "ticks", None, day).exists()
            ticks = stack.enter_context(source.historical_reader(exchange, "ticks", None, day)) if has_ticks else None
            yield {"ticks": ticks, "candles": candles}, True
        else:
            yield stack.enter_context(source.live_buffer_reader()), False


def _closed_through(candles: Any, day: date) -> int:
    """The end of the last minute that was published; of the session when its day candle was."""
    start_us = day_start_us(day)
    (last_us,) = candles.execute(
        "SELECT max(epoch_us(timestamp)) FROM candles WHERE timeframe = '1m' AND seq IS NOT NULL "
        "AND epoch_us(timestamp) >= ? AND epoch_us(timestamp) < ?", [start_us, start_us + US_PER_DAY],
    ).fetchone()  # fmt: skip
    if last_us is None:
        raise Refused("its live buffer has no candle of that day, and history has not got it")
    return int(last_us) + US_PER_MINUTE


def _rows(source: DatabaseManager, exchange: str, day: date, table: str, sql: str) -> Iterator[tuple[Any, ...]]:
    start_us = day_start_us(day)
    with _open(source, exchange, day) as (stores, _):
        if stores[table] is None:
            raise WrongConfiguration(
                f'{source.layout.root} has no {table} of {day}; replay.source = "candles" needs none'
            )
        found = stores[table].execute(sql, [start_us, start_us + US_PER_DAY])
        while rows := found.fetchmany(_ROWS_A_FETCH):
            yield from rows


def _ticks(source: DatabaseManager, exchange: str, day: date) -> Iterator[Tick]:
    for symbol, at_us, price, volume, bid, ask, volume_day, interest in _rows(source, exchange, day, "ticks", _TICKS):
        yield Tick(symbol, at_us, price, volume, bid, ask, volume_day, 0, exchange, 0, interest)


def _bars(source: DatabaseManager, exchange: str, day: date, sql: str = _CANDLES) -> Iterable[OHLCVBar]:
    for symbol, at_us, opened, high, low, close, volume in _rows(source, exchange, day, "candles", sql):
        yield OHLCVBar(symbol, "1m", at_us, opened, high, low, close, volume, exchange)


def _held(target: DatabaseManager, day: date) -> int:
    """How many ticks of the day the target has: recovery has put all of its journal into the store."""
    start_us = day_start_us(day)
    with target.live_buffer_reader() as connections:
        sql = "SELECT count(*) FROM ticks WHERE epoch_us(timestamp) >= ? AND epoch_us(timestamp) < ?"
        (count,) = connections["ticks"].execute(sql, [start_us, start_us + US_PER_DAY]).fetchone() or (0,)
    return int(count)
