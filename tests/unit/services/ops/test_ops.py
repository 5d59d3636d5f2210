"""I3: what is due is done once, what lasts is told again, and what is over is told too."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import msgspec

from libs.contracts import Health, HealthState
from libs.contracts.health import Alert, Severity
from libs.core.clock import US_PER_MINUTE, to_us
from libs.dbaccess import StoreCorrupt, WriterLockHeld
from libs.dbaccess.calendars import FollowedCalendar
from libs.runtime.alerts import Alerts
from libs.runtime.telling import Address, Messenger
from libs.runtime.timekeeping import clock_offset_ms
from libs.settings import load_settings
from libs.simulation.clock import ManualClock
from services.ops.heartbeats import Heartbeats
from services.ops.schedule import Schedule, Task, daily, every, weekly
from services.ops.service import Running
from services.ops.tasks import tasks
from services.ops.watching import _tell_clock, watching
from tests.kit.market_days import MONDAY, OPEN_MINUTE, at_us, close_day, tick
from tests.kit.roots import ROOMY, copy_stores

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
        schedule = Schedule(tmp_path / "schedule.json", wanted, clock, retry_min=15)
        for task in schedule.due():
            task.run()
            schedule.note(task)

    for hours in (0, 0, 1, 5, 0):
        clock.advance(hours * 3600)
        work()

    assert len(done) == 3


def test_a_note_that_cannot_be_written_ends_nothing(tmp_path):
    """A full disk is what ops is there to tell of."""
    (tmp_path / "file").touch()
    schedule = Schedule(
        tmp_path / "file" / "schedule.json", [Task("copy", every(60), lambda: "ok")], ManualClock(), retry_min=15
    )
    [task] = schedule.due()

    schedule.note(task)

    assert schedule.due() == []
    assert list(schedule.done) == ["copy"]


def test_what_was_in_the_way_is_tried_again_soon_and_what_is_wrong_next_time(data_root):
    """A weekly copy that found a full disk is not a week late; one that found a damaged day is not made all day."""
    copy_stores(data_root)
    clock = ManualClock(at_us(MONDAY, 12 * 60))
    settings = msgspec.structs.replace(load_settings(environment=ROOMY), data_root=str(data_root))
    bus: Any = SimpleNamespace(publish=lambda *_: None)
    messenger: Any = SimpleNamespace(tell=lambda _: None)
    ops = Running(settings, clock, FollowedCalendar(data_root, "nse"), bus, messenger)
    outcomes: list[Exception | str] = [OSError(errno.ENOSPC, "no space"), WriterLockHeld(data_root, 1), "whole"]

    def copy() -> str:
        found = outcomes.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    def tried_after(minutes: int) -> int:
        clock.advance(minutes * 60)
        before = len(outcomes)
        for task in ops.schedule.due():
            asyncio.run(ops._do(task))
        return before - len(outcomes)

    ops.schedule = Schedule(data_root / "s.json", [Task("copy", weekly(6, 18), copy)], clock, retry_min=15)
    assert [tried_after(minutes) for minutes in (0, 1, 15, 14, 1, 60)] == [1, 0, 1, 0, 1, 0]
    assert ops.alerts.standing() == []
    outcomes[:] = [StoreCorrupt("a day is damaged"), "whole"]
    assert [tried_after(minutes) for minutes in (7 * 24 * 60, 60, 4 * 24 * 60)] == [1, 0, 0]
    assert tried_after(2 * 24 * 60) == 1


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
    copy_stores(data_root)
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


def test_trading_is_copied_every_hour_that_it_trades(data_root):
    """A3: handed to the scheduler, which takes the copy beside the engine; nobody trades, nothing changed."""
    copy_stores(data_root)
    clock, open_ = ManualClock(at_us(MONDAY, OPEN_MINUTE)), [False]
    settings = msgspec.structs.replace(load_settings(environment=ROOMY), data_root=str(data_root))
    made = tasks(settings, clock, Alerts(clock, lambda _: None, repeat_min=30), lambda: open_[0], clock.now_us)
    chosen = [task for task in made if task.name == "trading backup"]
    schedule = Schedule(data_root / "schedule.json", chosen, clock, retry_min=15)
    copies = []
    for hour in range(4):
        open_[0] = hour < 3
        for task in schedule.due():
            task.run()
            schedule.note(task)
        assert schedule.due() == []
        copies.append(len(list((data_root / "backups/trading").rglob("*.db"))))
        clock.advance(3600)

    assert copies == [1, 2, 3, 3]


def test_memory_and_descriptors_that_grow_are_told():
    clock, told = ManualClock(), []
    beats = Heartbeats(clock, Alerts(clock, told.append, repeat_min=30), watched=[], lost_s=15)
    for mib, descriptors in ((100, 50), (5000, 50), (5000, 5000), (100, 50)):
        figures = {"process_memory_bytes": mib * 1048576.0, "process_descriptors": float(descriptors)}
        beats.heard(Health("scanner", clock.now_us(), HealthState.GREEN, 1, figures=figures))

    assert [each.title for each in told if not each.is_over] == [
        "scanner holds 5000 MiB of memory", "scanner holds 5000 descriptors"
    ]  # fmt: skip
    assert len([each for each in told if each.is_over]) == 2


def test_a_day_is_counted_once_a_session_and_never_on_a_holiday(data_root):
    """2026-01-26 is Republic Day: Friday's session is the last one until Tuesday's is settled."""
    clock = ManualClock()
    settings = msgspec.structs.replace(load_settings(environment=ROOMY), data_root=str(data_root))
    market = {"us": 0}
    alerts = Alerts(clock, lambda _: None, repeat_min=30)
    (task,) = watching(settings, clock, alerts, lambda: market["us"])
    periods = []
    for day in ("2026-01-23", "2026-01-24", "2026-01-25", "2026-01-26", "2026-01-27"):
        market["us"] = to_us(datetime.fromisoformat(f"{day}T20:00:00+05:30"))
        periods.append(task.period(0))

    assert task.name == "coverage", "the demo has no clock to keep and no token to lose"
    assert periods == ["2026-01-23"] * 4 + ["2026-01-27"]


def test_quiet_hours_let_only_what_is_critical_through():
    sent = []

    class Recorder(Messenger):
        def _send(self, alert: Alert, told: Sequence[Address]) -> None:
            sent.append(alert.title)

    ops = load_settings(environment={"TRADEFLEET_OPS_QUIET_FROM_HOUR": "22", "TRADEFLEET_OPS_QUIET_TO_HOUR": "7"}).ops
    messenger = Recorder(ops, [Address("", "json://nowhere")])
    for hour in (21, 23, 6, 7):
        at_us = to_us(datetime.fromisoformat(f"2026-02-02T{hour:02}:30:00+05:30"))
        for severity in (Severity.WARNING, Severity.CRITICAL):
            messenger.tell(Alert(f"{hour}", severity, "t", at_us, f"{hour} {severity.value}"))
    messenger._thread.shutdown(wait=True)

    assert sent == ["21 warning", "21 critical", "23 critical", "6 critical", "7 warning", "7 critical"]


def test_wrong_clock_is_told_and_over_again():
    clock, told = ManualClock(), []
    alerts = Alerts(clock, told.append, repeat_min=30)
    settings = load_settings(environment=ROOMY)
    for offset_ms in (3.0, 900.0, None, 2.0):
        _tell_clock(offset_ms, settings, alerts)

    assert [(each.title, each.is_over) for each in told] == [
        ("the machine's clock: 900.0 ms off", False), ("over: the machine's clock: nothing keeps it", True)
    ]  # fmt: skip
    assert clock_offset_ms() is None or clock_offset_ms() >= 0
