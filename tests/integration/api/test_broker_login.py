"""The daily login at the broker, from the dashboard's side, through the simulator's own dialog."""

from __future__ import annotations

import logging
import stat
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from tests.kit.api import log_in, running_api
from tests.kit.exchange_sim import running_simulator
from tests.kit.short import tmp_path  # noqa: F401  # a fixture: sockets have short paths


@pytest.fixture(scope="module")
def sim():
    with running_simulator(record_ticks=False) as running:
        yield running


@pytest.fixture
def api(tmp_path, sim):  # noqa: F811  # the short one
    """An api that reaches the simulator, has a place for the token, and asks for it only when told."""
    upstox = {"ACCESS_TOKEN_FILE": str(tmp_path / "secrets" / "token"), "CLIENT_ID": "app-1"}
    named = {f"TRADEFLEET_UPSTOX_{name}": value for name, value in upstox.items()}
    with running_api(tmp_path / "d", TRADEFLEET_EXCHANGE_SIM_PORT=str(sim.port), **named) as running:
        yield running


def sent_back(url):
    """Go to the broker's dialog as a browser would; give what it sends back, and to where."""
    target = urlsplit(httpx.get(url).headers["location"])
    return target.path, {name: values[0] for name, values in parse_qs(target.query).items()}


def state_of(client):
    return client.get("/api/broker").json()["state"]


def test_a_login_from_the_dashboard(api, sim, caplog, capfd):
    """Needs a login, logs in, is valid; the broker kills the token, and it is dead. Nobody is ever shown it."""
    caplog.set_level(logging.DEBUG)
    file, client = api.root.parent / "secrets" / "token", api.client
    log_in(client, "asha")
    before = client.get("/api/broker").json()
    url = client.post("/api/broker/login").json()["url"]
    path, returned = sent_back(url)
    page = client.get(path)
    done = client.post("/api/broker/token", json=returned)
    token = file.read_text("utf-8").strip()
    again = client.post("/api/broker/token", json=returned)
    checked = client.post("/api/broker/check").json()
    sim.add_fault("token_death")
    dead = client.post("/api/broker/check").json()
    sim.clear_faults()
    audit = api.audit("broker.login")
    # The test's own client logs what it asks.
    logged = [line.getMessage() for line in caplog.records if not line.name.startswith(("httpx", "httpcore"))]
    said = "".join([done.text, again.text, str(audit), str(checked), *logged, *capfd.readouterr()])

    assert (before["state"], before["login"]) == ("needs_login", "")
    assert path == "/broker"
    assert page.status_code == 200
    assert done.json()["state"] in {"valid", "expiring"}, done.text
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert again.status_code == 409, "a login came back twice"
    assert checked["state"] == done.json()["state"]
    assert dead["state"] == "dead"
    assert [line["actor"] for line in audit] == ["asha", "asha"]
    assert "done" in audit[1]["after_json"]
    assert len(token) > 20
    for secret in (token, token.split(".")[2], returned["code"]):
        assert secret not in said


def test_what_comes_back_uninvited_is_refused(api):
    """A code that was not asked for, a state of somebody else's, a viewer, a program: the broker is never asked."""
    client, url = api.client, "/api/broker/token"
    log_in(client, "vik")
    viewer = [
        client.post("/api/broker/login").status_code,
        client.post(url, json={"code": "c", "state": "s"}).status_code,
    ]
    with httpx.Client(base_url=client.base_url) as other:
        log_in(other, "asha")
        _, theirs = sent_back(other.post("/api/broker/login").json()["url"])
        log_in(client, "asha")
        uninvited = client.post(url, json=theirs)
        _, mine = sent_back(client.post("/api/broker/login").json()["url"])
        mixed = client.post(url, json={"code": mine["code"], "state": theirs["state"]})
        used_up = client.post(url, json=mine)
        without = httpx.post(f"{client.base_url}{url}", json=theirs, cookies=dict(other.cookies))
        forged = other.post(url, json=theirs, headers={"origin": "http://evil.example"})
        made = {"name": "asha", "token_name": "program", "scopes": ["read", "config"]}
        token = client.post("/api/config/token.add", json={"arguments": made}).json()["result"]["token"]
        program = httpx.post(f"{client.base_url}/api/broker/login", headers={"authorization": f"Bearer {token}"})
        kept = (api.root.parent / "secrets").exists()
        good = other.post(url, json=theirs)

    assert viewer == [403, 403]
    assert [each.status_code for each in (uninvited, mixed, used_up)] == [409] * 3
    assert [each.status_code for each in (without, forged, program)] == [403] * 3
    assert not kept
    assert good.status_code == 200, good.text
    assert state_of(client) in {"valid", "expiring"}
