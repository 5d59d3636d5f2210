"""I2: GO under the profile live only when everything trading needs is there; each thing that lacks is named."""

from __future__ import annotations

import json
import os
import shutil

import pytest

from cli.main import main
from libs.core.clock import US_PER_DAY, SystemClock
from libs.core.errors import RetryLater
from libs.dbaccess.layout import Layout
from tests.kit.market_days import MONDAY, at_us
from tests.kit.roots import ROOMY, copy_stores

NOW_US = at_us(MONDAY, 600)
LIMITS = {
    f"TRADEFLEET_RISK_ACCOUNT_{name}_MAX_RUPEES": "1000000" for name in ("LOSS_DAY", "EXPOSURE", "ORDER_VALUE")
}  # fmt: skip


def statuses() -> dict[str, dict]:
    """What the services of a fleet that may trade answer."""
    return {
        "ingestor": {
            "feed": {"state": "live", "error": ""}, "capture": {"last_received_us": NOW_US - 1_000_000},
            "rollover": {"error": ""},
        },
        "scanner": {
            "instances": ["flipper"], "suspended": [], "broken": [], "origin": "settings", "gaps": 0,
            "insights_behind": 0, "insights_failed": 0,
        },
        "ops": {"alerts": []}, "watchdog": {"alerts": []},
        "execution_engine": {
            "state": "reducing", "cause": "preflight", "reason": "no GO yet", "reconciled_us": NOW_US, "unsettled": 0,
            "instruments": 50,
        },
    }  # fmt: skip


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A data root with every store, the instruments of the day and a token."""
    folder = tmp_path_factory.mktemp("live")
    copy_stores(folder / "data")
    instruments = Layout(folder / "data").market / "instruments_nse.json.gz"
    instruments.write_bytes(b"")
    os.utime(instruments, (NOW_US / 1e6, NOW_US / 1e6))
    (folder / "token").write_text("a token that does not say when it ends")
    (folder / "token").chmod(0o600)
    return folder


@pytest.fixture
def morning(whole, monkeypatch, capsys):
    """Everything as it should be; `said()` gives exit code and verdict, `told` what the engine was told."""

    class Morning:
        folder, answers, told = whole, statuses(), []

        def said(self, *words: str):
            code = main(["preflight", "--json", *words])
            return code, json.loads(capsys.readouterr().out)

        def ask(self, service, _settings):
            if service not in self.answers:
                raise RetryLater(f"{service} does not answer")
            return self.answers[service]

        def tell(self, _name, found):
            self.told.append(found)
            return {"cleared": found["verdict"] == "GO" or bool(found["override"])}

    made = Morning()
    environment = LIMITS | ROOMY | {
        "TRADEFLEET_DATA": str(whole / "data"), "TRADEFLEET_PROFILE": "live",
        "TRADEFLEET_UPSTOX_ACCESS_TOKEN_FILE": str(whole / "token"),
    }  # fmt: skip
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(SystemClock, "now_us", lambda _: NOW_US)
    monkeypatch.setattr("libs.runtime.timekeeping.clock_offset_ms", lambda: 1.5)
    monkeypatch.setattr("cli.preflight.ask", made.ask)
    monkeypatch.setattr("cli.engine_door.ask_engine", made.tell)
    return made


def test_a_fleet_that_has_everything_goes_and_the_engine_is_told(morning):
    code, found = morning.said()

    assert (code, found["verdict"], found["failed"]) == (0, "GO", []), found
    assert [(each["verdict"], each["failed"]) for each in morning.told] == [("GO", [])]
    assert {
        "stores", "locks", "disk", "clock", "calendar", "instruments", "token", "feed", "strategies", "candles",
        "analytics", "monitoring ops", "monitoring watchdog", "trading state", "reconciled", "limits",
    } <= {each["name"] for each in found["checks"]}  # fmt: skip


def lacks(service: str, **changes):
    """One service answers something else."""

    def spoil(morning, _monkeypatch):
        morning.answers[service] = morning.answers[service] | changes

    return spoil


def dead(service: str):
    """One service does not answer."""
    return lambda morning, _monkeypatch: morning.answers.pop(service)


def environment(name: str, value: str):
    """A setting is another."""
    return lambda _morning, monkeypatch: monkeypatch.setenv(f"TRADEFLEET_{name}", value)


def old_instruments(morning, monkeypatch):
    monkeypatch.setattr(SystemClock, "now_us", lambda _: NOW_US + 3 * US_PER_DAY)


def unknown_year(morning, monkeypatch):
    monkeypatch.setattr(SystemClock, "now_us", lambda _: NOW_US + 20 * 365 * US_PER_DAY)


def damaged(morning, monkeypatch):
    root = morning.folder / "damaged"
    shutil.copytree(morning.folder / "data", root)
    (root / "trading" / "trading.db").write_bytes(b"garbage" * 999)
    monkeypatch.setenv("TRADEFLEET_DATA", str(root))


def no_room(_morning, monkeypatch):
    for level in ("ERROR", "WARNING"):
        monkeypatch.setenv(f"TRADEFLEET_HEALTH_DISK_FREE_{level}_GIB", "1000000")


def clock_off(_morning, monkeypatch):
    monkeypatch.setattr("libs.runtime.timekeeping.clock_offset_ms", lambda: 5000.0)


@pytest.mark.parametrize(
    ("spoil", "name"),
    [
        (damaged, "stores"),
        (no_room, "disk"),
        (clock_off, "clock"),
        (unknown_year, "calendar"),
        (old_instruments, "instruments"),
        (environment("UPSTOX_ACCESS_TOKEN_FILE", "/nonexistent/token"), "token"),
        (lacks("ingestor", feed={"state": "connecting", "error": "401"}), "feed"),
        (lacks("ingestor", capture={"last_received_us": NOW_US - 60_000_000}), "feed"),
        (dead("scanner"), "scanner"),
        (lacks("scanner", instances=[]), "strategies"),
        (lacks("scanner", gaps=1), "candles"),
        (lacks("scanner", insights_behind=9), "analytics"),
        (dead("ops"), "monitoring ops"),
        (dead("watchdog"), "monitoring watchdog"),
        (dead("execution_engine"), "engine"),
        (lacks("execution_engine", cause="operator"), "trading state"),
        (lacks("execution_engine", reconciled_us=0), "reconciled"),
        (lacks("execution_engine", instruments=0), "engine instruments"),
        (environment("RISK_ACCOUNT_LOSS_DAY_MAX_RUPEES", "0"), "limits"),
    ],
)
def test_what_lacks_is_no_go_by_its_name(morning, monkeypatch, spoil, name):
    spoil(morning, monkeypatch)
    code, found = morning.said()

    assert (code, found["verdict"]) == (1, "NO-GO")
    assert name in found["failed"], found
    assert [each["verdict"] for each in morning.told] == ["NO-GO"]


def test_a_no_go_is_overridden_with_a_reason_only(morning, monkeypatch):
    environment("RISK_ACCOUNT_LOSS_DAY_MAX_RUPEES", "0")(morning, monkeypatch)

    assert morning.said("--override", "the broker limits us today")[0] == 0
    assert morning.told[-1]["failed"] == ["limits"]
    assert morning.told[-1]["override"] == "the broker limits us today"
