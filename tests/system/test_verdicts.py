"""I2, I4: preflight, end of day and doctor say GO only when it is so, and what to do when it is not."""

from __future__ import annotations

import json
from datetime import date

import pytest

from cli.main import main
from libs.dbaccess import DatabaseManager
from libs.dbaccess.coverage import stored_certificates
from tests.kit.exchange_sim import running_simulator
from tests.kit.ingestor import ingestor
from tests.kit.processes import wait_until
from tests.kit.roots import ROOMY, make_stores
from tests.kit.service import service

MONDAY = date(2026, 2, 2)
OWN = {
    "TRADEFLEET_SCANNER_STRATEGIES": "sma_cross", "TRADEFLEET_SCANNER_SYMBOLS": "RELIANCE",
    "TRADEFLEET_INGESTOR_ROLLOVER_DELAY_S": "60", **ROOMY,
}  # fmt: skip


@pytest.fixture
def said(capsys, monkeypatch):
    """Give what a command finds; called in this process, for a new one costs a second each time."""

    def said(command: str, *arguments: str, **environment: str) -> tuple[int, dict]:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        code = main([command, *arguments, "--json"])
        shown = capsys.readouterr()
        assert shown.out, shown.err
        return code, json.loads(shown.out)

    return said


def test_a_fleet_at_rest_is_no_go_and_says_why(data_root, said):
    make_stores(data_root)
    environment = {"TRADEFLEET_DATA": str(data_root), "TRADEFLEET_PROFILE": "demo", **ROOMY}
    code, found = said("preflight", **environment)
    assert (code, found["verdict"]) == (1, "NO-GO")
    assert {"instruments", "ingestor", "scanner", "engine"} <= set(found["failed"])
    assert "stores" not in found["failed"]
    assert all(check["advice"] for check in found["checks"] if check["state"] == "NO-GO")

    code, found = said("doctor", **environment)
    assert (code, found["verdict"]) == (0, "GO"), found
    (data_root / "trading" / "trading.db").write_bytes(b"garbage" * 999)
    code, found = said("doctor", **environment)
    assert (code, found["failed"]) == (1, ["store"])


def ended(said, environment) -> dict:
    """End the day and give what `fleet eod` found; see above for who does not answer in time."""

    def look() -> dict | None:
        code, found = said("eod", "--date", "2026-02-02", **environment)
        return found if code == 0 else None

    found = wait_until(look, "the day to be ended")
    assert isinstance(found, dict)
    return found


@pytest.mark.timeout(300)
def test_a_living_fleet_goes_and_ends_its_day(data_root, said):
    make_stores(data_root)
    with (
        running_simulator(start="2026-02-02T15:10:00", speed=60, symbols=5, record_ticks=False) as sim,
        ingestor(data_root, sim, **OWN) as captured,
        service("scanner", captured.environment) as scanner,
        service("execution_engine", captured.environment) as engine,
    ):
        sim.clock(paused=True)  # its last minutes are few: they wait for everybody to be there
        for each in (captured, scanner, engine):
            each.start()
        for each in (captured, scanner, engine):
            each.wait_for(lambda _status: True, f"{each.name} to answer")
        sim.clock(paused=False)
        captured.wait_for(lambda status: status["capture"]["minutes"] >= 1, "a minute")
        sim.clock(speed=5)
        scanner.wait_for(lambda status: status["minutes"] >= 1, "the scanner")
        engine.wait_for(lambda status: status["ticks"] > 0, "the engine")
        # Who does not answer in time, as on a busy machine, is no GO; asked again, he does.
        wait_until(lambda: said("preflight", **captured.environment)[0] == 0, "a GO")

        code, found = said("eod", "--date", "2026-02-02", **captured.environment)
        assert (code, found["failed"]) == (1, ["history"]), found
        sim.clock(paused=True, play_to="2026-02-02T16:30:00")
        captured.wait_for(lambda status: status["rollover"]["attempts"], "the rollover")
        found = ended(said, captured.environment)
        assert found["report"]["orders"] == 0
        compared = next(check for check in found["checks"] if check["name"] == "broker candles")
        assert "most traded symbols" in compared["found"], compared
        certificates = stored_certificates(DatabaseManager(data_root), "nse", MONDAY, MONDAY)
        assert sum(each.bars_compared or 0 for each in certificates) > 0

        nobody = captured.environment | {"TRADEFLEET_UPSTOX_API_URL": "http://127.0.0.1:9"}
        found = ended(said, nobody)
        compared = next(check for check in found["checks"] if check["name"] == "broker candles")
        assert compared["state"] == "warning", found
        assert compared["found"].startswith("not compared: ")
        assert list((data_root / "backups" / "trading").rglob("trading_*.db"))
