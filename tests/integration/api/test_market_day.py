"""Today is the market's: a simulated or replayed day is not the wall's date, and no page may mix the two."""

from __future__ import annotations

import pytest

from libs.contracts import Health, HealthState
from libs.contracts.topics import topic
from libs.core.clock import US_PER_DAY, SystemClock, trading_date
from libs.messaging import Publisher
from tests.kit.api import add_users, log_in, running_api
from tests.kit.engine import START_US, engine_rig
from tests.kit.processes import wait_until
from tests.kit.short import tmp_path  # noqa: F401  # a fixture: sockets have short paths


@pytest.fixture
def api(tmp_path):  # noqa: F811  # the short one
    """An api over a trading store with one round trip of a simulated day that ended before today."""
    root = tmp_path / "d"
    with engine_rig(root) as rig:
        for kind, price in (("enter_long", 100.0), ("exit_long", 110.0)):
            rig.tick(price)
            rig.signal(kind)
            rig.tick(price)
        trades = rig.rows("SELECT count(*), sum(COALESCE(profit_paise, 0) - fees_paise) FROM trades")[0]
    add_users(root, asha="admin")
    with running_api(root) as running:
        log_in(running.client, "asha")
        yield running, trades


def test_today_is_the_markets_day(api):
    """What was traded counts on the market's day, not on the wall's, and on the next market day no more."""
    api, (trades, profit) = api
    clock, day = SystemClock(), trading_date(START_US).isoformat()
    unheard = api.client.get("/api/risk").json()

    def told(session_us):
        """Say the market's time as the ingestor does, until the api has heard it."""
        with Publisher.open("ingestor", settings=api.settings, clock=clock) as publisher:
            return wait_until(lambda: _risk_at(api, publisher, clock, session_us), "the api to hear the market's time")

    same, after = told(START_US + 1), told(START_US + US_PER_DAY)
    covered = api.client.get("/api/coverage").json()["rows"]

    assert day != trading_date(clock.now_us()).isoformat()
    assert trades == 2
    assert profit > 0
    for risk in (unheard, same):
        assert (risk["trading_date"], risk["profit_paise"], used(risk)) == (day, profit, 2)
    assert after["trading_date"] > day
    assert (after["profit_paise"], used(after)) == (0, 0)
    assert covered[-1]["trading_date"] == day, "the newest session that is over, by the market's clock"


def _risk_at(api, publisher, clock, session_us):
    beat = Health("ingestor", clock.now_us(), HealthState.GREEN, 1, figures={"session_us": float(session_us)})
    publisher.publish(topic("telemetry", "health", "ingestor"), beat)
    publisher.pump()
    risk = api.client.get("/api/risk").json()
    return risk if risk["trading_date"] == trading_date(session_us).isoformat() and _heard(api, session_us) else None


def _heard(api, session_us):
    rows = api.client.get("/api/services").json()["rows"]
    return any(row["heartbeat"] and row["heartbeat"]["figures"].get("session_us") == session_us for row in rows)


def used(risk):
    return next(row["used"] for row in risk["rows"] if row["limit_name"] == "account_trades_day_max")
