"""What the config store holds besides: alert rules and instruments; checked, audited, told, and used while running."""

from __future__ import annotations

import asyncio
import gzip
import json
from functools import partial

import pytest

from libs.calendar import Calendar
from libs.contracts.health import Alert, Severity
from libs.core.clock import SystemClock
from libs.messaging import Publisher
from libs.runtime.telling import Messenger, read_addresses
from services.exchange_sim.market.instruments import Listing
from services.ops import service
from services.ops.service import Running
from tests.kit.api import log_in, running_api
from tests.kit.processes import fleet, wait_until
from tests.kit.short import tmp_path  # noqa: F401  # a fixture: sockets have short paths

NOON_US = 1_770_013_800_000_000  # 12:00 IST on 2026-02-02


@pytest.fixture
def api(tmp_path):  # noqa: F811  # the short one
    """An api with two addresses of alerts, one of which has a name; asha is logged in."""
    file = tmp_path / "addresses"
    file.write_text("desk json://127.0.0.1:9\njson://127.0.0.1:8\n")
    file.chmod(0o600)
    with running_api(tmp_path / "d", TRADEFLEET_OPS_ALERT_URLS_FILE=str(file)) as running:
        log_in(running.client, "asha")
        yield running


def change(api, what, **given):
    return api.client.post(f"/api/config/{what}", json={"arguments": given})


class Recorder(Messenger):
    """Writes down who would be told."""

    def __init__(self, settings, addresses):
        super().__init__(settings, addresses)
        self.told: list[tuple[str, str]] = []

    def _send(self, alert, told):
        self.told += [(alert.title, each.name or "unnamed") for each in told]

    def tell_all(self, at_us=NOON_US):
        """Have one alert of each severity told; say which went to the desk."""
        self.told.clear()
        for severity in Severity:
            self.tell(Alert("a", severity, "t", at_us, severity.value))
        self._thread.submit(lambda: None).result()
        assert [title for title, name in self.told if name == "unnamed"] == ["info", "warning", "critical"]
        return [title for title, name in self.told if name == "desk"]


def test_alert_rules_are_checked_audited_and_used_by_ops_at_once(api, monkeypatch):
    """A rule of the dashboard decides what an address is told, from the moment it is saved."""
    wrong = [
        change(api, "alert.save", name="night", target="nobody"),
        change(api, "alert.save", name="night", target="desk", quiet_from="22:00"),
        change(api, "alert.save", name="night", target="desk", quiet_from="25:00", quiet_to="07:00"),
        change(api, "alert.save", name="night", target="desk", severity_min="loud"),
        change(api, "alert.remove", name="night"),
    ]
    targets = api.client.get("/api/alert-targets")
    log_in(api.client, "vik")
    viewer = change(api, "alert.save", name="night", target="desk").status_code
    viewer_targets = api.client.get("/api/alert-targets").status_code
    log_in(api.client, "asha")
    monkeypatch.setattr(service, "_TURN_S", 0.05)
    told = asyncio.run(_told_by_ops(api))
    audit = [json.loads(line["before_json"] or "{}").get("severity_min") for line in api.audit("alert.save")]

    assert [each.status_code for each in wrong] == [409] * 4 + [404]
    assert "there are desk" in wrong[0].json()["error"]["message"]
    assert targets.json() == {"rows": [{"target": "desk"}], "unnamed": 1}
    assert "json://" not in targets.text
    assert (viewer, viewer_targets) == (403, 403)
    assert told == {
        "no rule": ["info", "warning", "critical"], "warning": ["warning", "critical"], "quiet": ["critical"],
        "off": [], "removed": ["info", "warning", "critical"],
    }  # fmt: skip
    assert audit == ["error", "warning", None]


def _differs(messenger, before):
    return messenger.rules != before


async def _told_by_ops(api):
    """Run the watch of ops beside the api, change the rules over HTTP, and see what the desk is told after each."""
    messenger = Recorder(api.settings.ops, read_addresses(api.settings.ops.alert_urls_file))
    told, clock = {}, SystemClock()
    with Publisher.open("ops", settings=api.settings, clock=clock) as publisher:
        running = Running(api.settings, clock, Calendar.load("nse"), publisher, messenger)
        watch = asyncio.create_task(running._watch())
        told["no rule"] = messenger.tell_all()
        rule = {"name": "night", "target": "desk", "severity_min": "warning"}
        for what, name, more in (
            ("warning", "alert.save", {}),
            ("quiet", "alert.save", {"severity_min": "critical", "quiet_from": "11:00", "quiet_to": "13:00"}),
            ("off", "alert.save", {"is_enabled": False}),
            ("removed", "alert.remove", {}),
        ):
            before = messenger.rules
            given = rule | more if name == "alert.save" else {"name": "night"}
            answer = await asyncio.to_thread(change, api, name, **given)
            assert answer.status_code == 200, answer.text
            await asyncio.to_thread(wait_until, partial(_differs, messenger, before), f"ops to know of {what}")
            told[what] = messenger.tell_all()
        watch.cancel()
    messenger.close()
    return told


def test_instruments_are_imported_beside_other_work_and_corrected(api, tmp_path):  # noqa: F811
    """The command's file and the ingestor's are taken over; a correction is checked, dated and audited."""
    file = tmp_path / "nse.json.gz"
    file.write_bytes(gzip.compress(json.dumps(Listing(20, 7).rows()).encode()))
    nothing = api.client.post("/api/instruments/import")
    kept = api.root / "market_data" / "instruments_nse.json.gz"
    imported = fleet("instruments", "import", file, "--date", "2026-02-02", "--json", TRADEFLEET_DATA=str(api.root))
    kept.write_bytes(file.read_bytes())
    again = api.client.post("/api/instruments/import").json()["result"]
    wrong = [
        change(api, "instrument.save", symbol="RELIANCE", lot_size=1),
        change(api, "instrument.save", symbol="RELIANCE", lot_size=2, day="2026-02-01"),
        change(api, "instrument.save", symbol="RELIANCE", lot_size=0),
        change(api, "instrument.save", symbol="RELIANCE", lot_size=50, freeze_quantity=10),
        change(api, "instrument.save", symbol="RELIANCE", tick_size=0.00001),
        change(api, "instrument.save", symbol="TCS", instrument_key="NSE_EQ|INE002A01018"),
        change(api, "instrument.save", symbol="NEWCO", lot_size=1),
    ]
    saved = change(api, "instrument.save", symbol="RELIANCE", freeze_quantity=500)
    found = api.client.get("/api/instruments", params={"filter_by": "symbol", "equals": "RELIANCE"}).json()["rows"]
    line = api.audit("instrument.save")[0]

    assert nothing.status_code == 404
    assert imported.returncode == 0, imported.stderr
    assert json.loads(imported.stdout)["begun"] >= 20
    assert (again["begun"], again["ended"]) == (0, 0), "the same file changed something"
    assert [each.status_code for each in wrong] == [409] * 7, [each.text for each in wrong]
    assert "give instrument_key" in wrong[-1].json()["error"]["message"]
    assert saved.status_code == 200, saved.text
    assert found[0]["freeze_quantity"] == 500
    assert [row["valid_to"] is None for row in found] == [True, False], "what was before is kept, and has ended"
    assert json.loads(line["before_json"])["freeze_quantity"] != 500
    assert json.loads(line["after_json"])["freeze_quantity"] == 500
