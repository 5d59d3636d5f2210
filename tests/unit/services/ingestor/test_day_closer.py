"""When a day is due for history, and that everybody hears of it once, whoever dies meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from libs.calendar import Calendar
from libs.contracts import SessionChanged
from libs.core.clock import US_PER_MINUTE
from libs.dbaccess import EODRollover
from libs.dbaccess.rollover import record_step, untold_days
from services.ingestor.rollover import BufferDoor, DayCloser
from tests.kit.crashes import Crash, crashing_at
from tests.kit.rollover import FRIDAY, MONDAY, TUESDAY, fill, ingestor
from tests.kit.roots import copy_of, copy_stores
from tests.unit.services.ingestor.test_capture import Bench

SESSION = Calendar.load("nse").session(date(2026, 2, 2))
assert SESSION is not None
DUE_US = SESSION.last_us + 15 * US_PER_MINUTE


def closer_at(now_us: int, *, filling: bool) -> DayCloser:
    clock = SimpleNamespace(now_us=lambda: now_us)
    day = SimpleNamespace(session=SESSION, aggregator=SimpleNamespace(is_over=True), exchange="nse")
    capture: Any = SimpleNamespace(session_clock=clock, day=day, close_day=lambda _day: None)
    buffer = SimpleNamespace(manifest=SimpleNamespace(trading_dates=[SESSION.date]))
    manager: Any = SimpleNamespace(layout=SimpleNamespace(day=lambda *_: Path("/nowhere")))
    door: Any = SimpleNamespace(buffer=buffer)
    made = DayCloser(manager, door, capture, SimpleNamespace(), delay_s=900)  # type: ignore[arg-type]
    made.is_filling = lambda: filling
    return made


def test_a_day_waits_for_the_candles_of_its_gaps_but_not_for_ever():
    """Two thousand symbols of two gaps take longer than the delay; what comes after the rollover is lost."""
    assert closer_at(DUE_US, filling=False).due() == SESSION.date
    assert closer_at(DUE_US, filling=True).due() is None
    assert closer_at(DUE_US + 60 * US_PER_MINUTE, filling=True).due() == SESSION.date


def test_whoever_asks_for_the_rollover_does_not_wait():
    made = closer_at(DUE_US, filling=True)
    made.ask(SESSION.date)

    assert made.due() == SESSION.date


def captured(root: Path) -> None:
    copy_stores(root)
    fill(root)


@contextmanager
def living(root: Path, bench: Bench) -> Iterator[DayCloser]:
    """An ingestor's closer on Tuesday morning, with what an earlier process left to it."""
    bench.start()
    manager = ingestor(root)
    with manager.ledger_session(), BufferDoor(manager) as door:
        closer = DayCloser(manager, door, bench.capture, bench.journal, delay_s=0)
        try:
            yield closer
        finally:
            closer.shut()


def told(bench: Bench) -> list[str]:
    """The days that subscribers heard to be in history, by this process."""
    return [each.trading_date for each in bench.notes.of(SessionChanged) if each.event == "eod"]


async def nothing() -> None:
    await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("point", "hit", "before", "after"),
    [
        ("ingestor.eod.before", 1, [], [FRIDAY, MONDAY]),
        ("ingestor.eod.before", 2, [FRIDAY], [MONDAY]),
        ("ingestor.eod.after", 2, [FRIDAY, MONDAY], []),
    ],
)
def test_word_of_a_rolled_day_comes_once_whoever_dies(tmp_path, point, hit, before, after):
    """A process that dies between the catalogue and the word leaves a day that no buffer has: nothing else is due."""
    root = copy_of(captured, tmp_path / "data")
    bench = Bench(tmp_path)
    with living(root, bench) as closer, pytest.raises(Crash), crashing_at(point, hit):
        bench.time(at_open(TUESDAY))
        asyncio.run(closer.close(MONDAY, nothing, nothing))
    assert told(bench) == [str(day) for day in before]

    with living(root, bench) as closer:
        closer.tell()
        assert told(bench) == [], "the session's time is not known yet"
        bench.time(at_open(TUESDAY) + US_PER_MINUTE)
        closer.tell()
        closer.tell()
    assert told(bench) == [str(day) for day in after]
    assert untold_days(ingestor(root), "nse") == []


def test_word_of_a_day_that_a_command_rolled_over_comes_with_the_next_start(tmp_path):
    """`fleet rollover` has no bus; a half rolled day, which the buffer still has, is told when it is done."""
    root = copy_of(captured, tmp_path / "data")
    bench = Bench(tmp_path)
    with pytest.raises(Crash), crashing_at("rollover.swap.before"):
        EODRollover(ingestor(root)).execute(MONDAY)
    with living(root, bench) as closer:
        bench.time(at_open(TUESDAY))
        closer.tell()
        assert told(bench) == []
    EODRollover(ingestor(root)).execute(MONDAY)
    with living(root, bench) as closer:
        bench.time(at_open(TUESDAY) + US_PER_MINUTE)
        closer.tell()

    assert told(bench) == [str(FRIDAY), str(MONDAY)]


def test_days_that_an_older_version_rolled_over_are_not_told_anew(tmp_path):
    """It said `eod` and noted nothing of it: after an upgrade every day of the ledger would be said again."""
    root = copy_of(captured, tmp_path / "data")
    old_days = [FRIDAY - timedelta(days=n) for n in (3, 2, 1)]
    for day in old_days:
        for step in ("closed", "same", "dropped"):
            record_step(ingestor(root), "nse", day, step)
    bench = Bench(tmp_path)
    with living(root, bench) as closer:
        bench.time(at_open(TUESDAY))
        closer.tell()
        assert told(bench) == []
        asyncio.run(closer.close(MONDAY, nothing, nothing))

    assert told(bench) == [str(FRIDAY), str(MONDAY)]
    assert untold_days(ingestor(root), "nse") == []


def at_open(day: date) -> int:
    session = Calendar.load("nse").session(day)
    assert session is not None
    return session.open_us
