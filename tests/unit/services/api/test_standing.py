"""I2, H1: what an operator is shown as wrong is what stands, not the last thing that was said."""

from __future__ import annotations

import msgspec

from libs.contracts.health import Alert, Severity
from services.api.standing import Standing
from tests.kit.clock import ManualClock
from tests.kit.roots import settings

MINUTE_US = 60_000_000
AT_US = 1_770_000_000_000_000


def raised(name, severity=Severity.WARNING, at_us=AT_US):
    return Alert(name, severity, "ops", at_us, name, since_us=at_us)


def over(alert):
    return msgspec.structs.replace(alert, severity=Severity.INFO, title=f"over: {alert.title}", is_over=True)


def names(standing):
    return [alert.alert_id for alert in standing.now()]


def test_what_is_over_is_gone_and_what_stands_stays():
    standing = Standing(settings(), ManualClock(AT_US))
    disk, slow = raised("disk"), raised("slow", at_us=AT_US + 1)
    standing.take_in(disk)
    standing.take_in(slow)
    assert names(standing) == ["slow", "disk"]

    standing.take_in(over(slow))
    assert names(standing) == ["disk"]


def test_the_worst_comes_first_however_old():
    standing = Standing(settings(), ManualClock(AT_US))
    for alert in (
        raised("engine", Severity.CRITICAL),
        raised("disk", at_us=AT_US + 5),
        raised("late", at_us=AT_US + 9),
    ):
        standing.take_in(alert)

    assert names(standing) == ["engine", "late", "disk"]


def test_what_is_told_no_more_is_believed_no_more():
    """Its service was started anew and knows nothing of it: what lasts is told again."""
    clock = ManualClock(AT_US)
    given = settings()
    standing = Standing(given, clock)
    standing.take_in(raised("disk"))
    standing.take_in(raised("told again", at_us=AT_US + given.ops.alert_repeat_min * MINUTE_US))
    clock.sleep(2 * given.ops.alert_repeat_min * 60 + 1)

    assert names(standing) == ["told again"]


def test_it_does_not_grow_without_end():
    standing = Standing(settings(), ManualClock(AT_US))
    for number in range(300):
        standing.take_in(raised(f"{number}", at_us=AT_US + number))

    assert len(names(standing)) == 200
    assert names(standing)[0] == "299"
