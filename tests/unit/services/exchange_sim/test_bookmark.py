"""A restarted simulator goes on: with the instant it was killed at, or the next day that is not closed."""

from __future__ import annotations

import asyncio
from datetime import date

import pytest

from libs.calendar import Calendar
from libs.settings.exchange_sim import ExchangeSim
from services.exchange_sim.bookmark import Bookmark, last_closed_day
from services.exchange_sim.market.sessions import TradingDays, date_of
from services.exchange_sim.simulator import Simulator
from tests.unit.services.exchange_sim.conftest import DAY, HandClock, at

FRIDAY, MONDAY = date(2026, 2, 6), date(2026, 2, 9)
#: The machine's own date: the Monday the tests play.
NOW_US = at(12) * 1000


@pytest.fixture
def clock() -> HandClock:
    return HandClock(wall_us=NOW_US)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "exchange_sim.json"


def days() -> TradingDays:
    return TradingDays.of_exchange(Calendar.load("nse"), ())


def begins(clock, path, *, start="", closed=None):
    return Bookmark(path, start, lambda: closed).first_instant_ms(days(), clock)


def play(clock, path, until_ms: int, *, start: str = "", speed: float = 1.0) -> int:
    """Play a simulator of this bookmark up to an instant and kill it; give what it had played."""
    settings = ExchangeSim(symbols=1, start=start, speed=speed, conflation_ms=60_000)
    simulator = Simulator(settings, clock, Bookmark(path, start, lambda: None))
    asyncio.run(simulator.driver.play_to(until_ms))
    return simulator.driver.played_ms


@pytest.mark.parametrize("speed", [1, 60, 10_000])
def test_no_instant_is_played_twice(clock, path, speed):
    """What is kept is always ahead of what was played, and never by more than a minute."""
    played = play(clock, path, at(10, 7), speed=speed)

    again = begins(clock, path)
    assert played <= again <= played + 60_000


def test_the_first_run_begins_where_it_should(clock, path):
    assert begins(clock, path) == at(9, 14, 30)
    assert begins(clock, path, start="2026-02-04T11:00:00") == at(11, day=date(2026, 2, 4))


def test_closed_date_is_never_played_again(clock, path):
    """The defect: rolled days over to Friday, and began again on Monday, whose candles nobody would take."""
    assert begins(clock, path, closed=FRIDAY) == at(9, 14, 30, day=MONDAY)
    play(clock, path, at(14))
    assert begins(clock, path, closed=DAY) == at(9, 14, 30, day=date(2026, 2, 3)), "closed while nobody played"


def test_evening_of_a_day_just_closed_goes_on(clock, path):
    """Between rollover and the night there is nothing to trade; the next morning comes by itself."""
    played = play(clock, path, at(15, 40))

    assert begins(clock, path, closed=DAY) >= played
    assert date_of(begins(clock, path, closed=DAY)) == DAY


def test_another_start_begins_anew(clock, path):
    """Whoever changes the setting means it."""
    play(clock, path, at(14), start="2026-02-02T10:00:00")

    assert begins(clock, path, start="2026-02-02T11:00:00") == at(11)
    assert begins(clock, path, start="2026-02-02T10:00:00") >= at(14)


def test_jump_back_is_remembered(clock, path):
    simulator = Simulator(ExchangeSim(symbols=1), clock, Bookmark(path, "", lambda: None))
    asyncio.run(simulator.driver.play_to(at(9, 15)))
    asyncio.run(simulator.driver.jump_to(at(14)))
    asyncio.run(simulator.driver.play_to(at(14, 0, 1)))
    asyncio.run(simulator.driver.jump_to(at(11)))
    asyncio.run(simulator.driver.play_to(at(11, 0, 1)))

    assert at(11) <= begins(clock, path) <= at(11, 2)


def test_unreadable_or_unwritable_file_stops_nobody(clock, tmp_path):
    """On a full disk, and after a torn write, there is a market all the same."""
    torn = tmp_path / "torn.json"
    torn.write_bytes(b'{"start": "", "inst')
    assert begins(clock, torn) == at(9, 14, 30)
    play(clock, tmp_path / "not" / "there.json", at(9, 20))


def test_closed_days_are_found_where_history_is(tmp_path):
    assert last_closed_day(tmp_path, "nse") is None
    folder = tmp_path / "market_data" / "nse" / "candles" / "1m"
    folder.mkdir(parents=True)
    for name in ("2026-02-05", "2026-02-06", "notes"):
        (folder / f"{name}.duckdb").touch()

    assert last_closed_day(tmp_path, "nse") == FRIDAY
