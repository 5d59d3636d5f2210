"""I3: what is due is done once, what lasts is told again, and what is over is told too."""

from __future__ import annotations

from datetime import date, timedelta

import msgspec

from libs.contracts import Health, HealthState
from libs.contracts.health import Severity
from libs.core.clock import US_PER_MINUTE
from libs.runtime.alerts import Alerts
from libs.settings import load_settings
from libs.simulation.clock import ManualClock
from services.ops.heartbeats import Heartbeats
from services.ops.schedule import Schedule, Task, daily, every, weekly
from services.ops.tasks import tasks
from tests.kit.market_days import MONDAY, OPEN_MINUTE, at_us, close_day, tick
from tests.kit.roots import ROOMY, make_stores

HOUR_US = 60 * US_PER_MINUTE


def test_alert_is_told_once_then_again_after_a_while_and_when_it_is_over():
    clock, told = ManualClock(), []
    alerts = Alerts(clock, told.append, repeat_min=30)
    for _ in range(10):
        alerts.raise_("disk", Severity.WARNING, "health", "disk is filling")
        clock.advance(60)
    assert [each.repeats for each in told] == [1]
    alerts.raise_("disk", Severity.CRITICAL, "health", "disk is full")
    assert [each.severity for each in told] == [Severity.WARNING, Severity.CRITICAL]
    clock.advance(31 * 60)
    alerts.raise_("disk", Severity.CRITICAL, "health", "disk is full")
    assert len(told) == 3
    alerts.clear("disk")
    alerts.clear("disk")

    assert [each.is_over for each in told] == [False, False, False, True]
    assert len({each.alert_id for each in told}) == 1
    assert alerts.standing() == []


def test_silence_of_the_engine_names_its_positions():
    clock, told = ManualClock(), []
    beats = Heartbeats(clock, Alerts(clock, told.append, repeat_min=30), watched=["execution_engine"], lost_s=15)
    beats.heard(Health("execution_engine", clock.now_us(), HealthState.GREEN, 1, figures={"positions": 3.0}))
    beats.look()
    assert told == []
    clock.advance(16)
    beats.look()
    assert [(each.severity, each.title) for each in told] == [
        (Severity.CRITICAL, "execution_engine is silent with 3 positions open")
    ]
    beats.heard(Health("execution_engine", clock.now_us(), HealthState.WARNING, 1, "halted"))
    beats.look()

    assert [(each.title, each.is_over) for each in told[1:]] == [
        ("execution_engine is unwell", False), ("over: execution_engine is silent with 3 positions open", True)
    ]  # fmt: skip


def test_what_was_missed_is_caught_up_once(tmp_path):
    clock, done = ManualClock(), []
    wanted = [Task("copy", every(60), lambda: done.append(1) or "ok"), Task("never", lambda _now_us: "", lambda: "no")]

    def work() -> None:
        schedule = Schedule(tmp_path / "schedule.json", wanted, clock)
        for task in schedule.due():
            task.run()
            schedule.note(task)

    for hours in (0, 0, 1, 5, 0):
        clock.advance(hours * 3600)
        work()

    assert len(done) == 3


def test_days_and_weeks_begin_at_their_hour():
    at = 1_770_003_900_000_000  # Monday 2026-02-02 09:15 IST
    assert [daily(18)(at), daily(18)(at + 9 * HOUR_US)] == ["2026-02-01", "2026-02-02"]
    saturday = at + 5 * 24 * HOUR_US
    before, after = weekly(6, 18)(saturday), weekly(6, 18)(saturday + 9 * HOUR_US)
    assert before != after
    assert weekly(6, 18)(saturday + 6 * 24 * HOUR_US) == after


def test_a_look_at_the_stores_tells_nobody_by_itself(data_root):
    """It works in a thread; alerts, and the socket behind them, belong to the loop."""
    clock, told = ManualClock(), []
    alerts = Alerts(clock, told.append, repeat_min=30)
    settings = msgspec.structs.replace(load_settings(environment=ROOMY), data_root=str(data_root))
    look = next(task for task in tasks(settings, clock, alerts, lambda: False, clock.now_us) if task.name == "health")
    found = look.run()
    assert (told, bool(found)) == ([], True)
    look.then(found)
    assert {each.source for each in told} == {"health"}
    look.then([])

    assert alerts.standing() == []
    assert told[-1].is_over


def test_old_days_are_archived_in_the_evening_of_the_markets_day(data_root):
    """Not while it trades, once a day, and by the market's clock: the wall's would make a replayed day old at once."""
    make_stores(data_root)
    close_day(data_root, MONDAY, [tick("TCS", at_us(MONDAY, OPEN_MINUTE), 1)], None)
    wall, told, open_ = ManualClock(at_us(date(2026, 11, 2), 0)), [], [True]
    market = [at_us(MONDAY, 12 * 60)]
    settings = msgspec.structs.replace(load_settings(environment=ROOMY), data_root=str(data_root))
    made = tasks(settings, wall, Alerts(wall, told.append, repeat_min=30), lambda: open_[0], lambda: market[0])
    archive = next(task for task in made if task.name == "archive")
    assert archive.period(wall.now_us()) == ""
    open_[0] = False
    before = archive.period(wall.now_us())
    assert archive.then(archive.run()).startswith("0 days")
    market[0] = at_us(MONDAY + timedelta(days=91), 19 * 60)
    assert archive.period(wall.now_us()) not in {"", before}

    assert archive.then(archive.run()).startswith("1 days")
    assert (data_root / "market_data/nse/archive/ticks/date=2026-02-02/part-0.parquet").exists()
