"""H1 to H3: a real api on a loopback port: who may do what, what it says, and what it leaves behind."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given
from hypothesis import settings as examples

from cli.main import main
from libs.core.clock import SystemClock
from libs.dbaccess import DatabaseManager
from libs.messaging import Subscriber
from services.api.app import HANDLERS
from services.api.guards import ROLES
from tests.kit.paths import PROJECT
from tests.kit.processes import wait_until
from tests.kit.roots import make_stores, settings
from tests.kit.short import tmp_path  # noqa: F401  # a fixture: sockets have short paths

PASSWORD = "a long enough password"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def started(folder):
    """One api on a new root, of which nothing is left at the end: its process, a client, what it runs with, its log."""
    root, port = folder / "d", free_port()
    root.mkdir(mode=0o700)
    make_stores(root)
    environment = {"TRADEFLEET_DATA": str(root), "TRADEFLEET_API_PORT": str(port)}
    log = folder / "log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "services.api"], cwd=PROJECT, env=os.environ | environment, stderr=out
        )
    try:
        wait_until(lambda: "api.started" in log.read_text() or process.poll() is not None, "the api to start")
        assert process.poll() is None, log.read_text()
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            yield process, client, environment, log
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def api(tmp_path):  # noqa: F811  # the short one
    """An api of the test's own, with no user yet."""
    with started(tmp_path) as parts:
        yield parts


@pytest.fixture(scope="module")
def shared():
    """One api for the tests that leave it as it is, with asha the admin and vik the viewer."""
    with tempfile.TemporaryDirectory(prefix="tf") as folder, started(Path(folder)) as parts:
        _, client, _, log = parts
        secret = re.search(r"welcome#([\w-]+)", log.read_text())
        assert secret
        client.post("/api/first-admin", json={"secret": secret[1], "name": "asha", "password": PASSWORD})
        logged_in(client, "asha")
        client.post("/api/passwords", json={"name": "vik", "password": PASSWORD, "role": "viewer"})
        yield parts


@pytest.fixture
def user(monkeypatch, capsys):
    """`fleet user`, called in this process: a new one costs half a second each time."""

    def user(environment, *words, password=PASSWORD):
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(sys, "stdin", io.StringIO(password + "\n"))
        code = main(["user", *words])
        shown = capsys.readouterr()
        return subprocess.CompletedProcess(words, code, shown.out, shown.err)

    return user


def logged_in(client, name, password=PASSWORD):
    answer = client.post("/api/session", json={"name": name, "password": password})
    assert answer.status_code == 200, answer.text
    client.headers["x-csrf-token"] = answer.json()["csrf_token"]
    return answer


def routes():
    for handler in HANDLERS:
        for path in handler.paths:
            for method in sorted(handler.http_methods - {"HEAD", "OPTIONS"}):
                yield handler, path, method


def test_every_route_says_who_may_use_it_and_is_documented():
    """A route without a role would admit nobody; one without a line in the reference nobody would find."""
    page = (PROJECT / "docs" / "reference" / "http.md").read_text("utf-8")
    rolesless = [path for handler, path, _ in routes() if handler.opt.get("role") not in ROLES]
    public = {path for handler, path, _ in routes() if handler.opt["role"] == "public" and path.startswith("/api")}
    changing = {(p, h.opt["role"]) for h, p, m in routes() if m != "GET" and h.opt["role"] != "admin"}
    listed = set(re.findall(r"^\| `(?:GET|POST|DELETE) ([^`]+)`", page, re.MULTILINE))
    there = {re.sub(r":str", "", path) for handler, path, _ in routes() if path.startswith(("/api", "/metrics"))}

    assert not rolesless
    assert public == {"/api/session", "/api/first-admin"}
    assert {path for path, _ in changing} == {"/api/session", "/api/first-admin", "/api/preferences"}
    assert listed - {"/schema"} == there


def test_who_may_do_what(shared, user):
    """Strangers see only what needs no login, viewers read, admins change; every change is in the audit log."""
    _, client, environment, log = shared
    client.cookies.clear()
    info = client.get("/api/system/info").json()
    phone = dict(logged_in(client, "vik").cookies)  # a session of vik's that is ended below, by an admin
    client.cookies.clear()
    closed = {
        path: client.get(path).status_code for path in ("/api/orders", "/api/audit", "/api/live", "/api/services")
    }
    proxied = client.get("/api/system/info", headers={"x-forwarded-for": "10.0.0.1"}).status_code
    rebound = client.get("/api/system/info", headers={"host": "evil.example"}).status_code
    headers = [client.get(path).headers for path in ("/overview", "/api/orders")]
    schema = client.get("/schema").json()
    added = user(environment, "add", "ravi", "--role", "viewer", "--password-stdin")  # through the living api
    cookie = logged_in(client, "VIK").headers["set-cookie"].lower()
    tablet = dict(client.cookies)  # another session of vik's, which goes on
    read = client.get("/api/orders").json()
    refused = client.post("/api/config/watchlist.save", json={"arguments": {"name": "a", "symbols": ["ACME"]}})
    for value in ("symbol=TCS", "symbol=INFY"):
        client.post("/api/preferences", json={"key": "charts", "value": value})
    preferred = client.get("/api/preferences").json()
    logged_in(client, "asha")
    saved = client.post("/api/config/watchlist.save", json={"arguments": {"name": "a", "symbols": ["ACME", "TCS"]}})
    wrong = {"instance": "x", "strategy": "sma_cross", "timeframe": "1m", "symbols": ["ACME"], "parameters": {"no": 1}}
    parameters = client.post("/api/config/strategy.save", json={"arguments": wrong})
    limit = {"scope_kind": "strategy", "scope": "x", "limit_name": "account_trades_day_max", "value": 5}
    limits = [
        client.post("/api/config/limit.save", json={"arguments": arguments}).status_code
        for arguments in (limit, limit | {"scope_kind": "account", "scope": ""}, limit | {"limit_name": "no_such"})
    ]
    halted = client.post("/api/engine/halt", json={"arguments": {"reason": "test"}})  # no engine runs
    desk = dict(client.cookies)
    own = client.get("/api/session").json()["session_id"]
    sessions = client.get("/api/sessions").json()["rows"]
    of_vik = min((row for row in sessions if row["name"] == "vik"), key=lambda row: row["created_at_us"])
    living = httpx.get(f"{client.base_url}/api/orders", cookies=phone).status_code
    ended = [
        client.post("/api/config/sessions.revoke", json={"arguments": {"name": "vik", "session_id": session_id}})
        for session_id in (of_vik["session_id"], of_vik["session_id"], own)
    ]
    after = [httpx.get(f"{client.base_url}/api/orders", cookies=each).status_code for each in (phone, tablet, desk)]
    unnamed = client.post("/api/engine/modify", json={"arguments": {}}).status_code  # no engine runs
    audit = client.get("/api/audit").json()["rows"]
    lists = client.get("/api/watchlists").json()["rows"]
    choice = next(row for row in audit if row["action"] == "preference.save")
    others = client.get("/api/preferences").json()
    without = httpx.post(
        str(client.base_url) + "/api/config/watchlist.remove", json={"arguments": {"name": "a"}},
        cookies=dict(client.cookies),
    )  # fmt: skip

    vik = {"name": "vik", "password": PASSWORD}
    another = [
        httpx.post(f"{client.base_url}/api/session", json=vik, cookies=dict(client.cookies), headers=headers_)
        for headers_ in ({}, {"origin": "http://evil.example"})
    ]

    assert info["database"]["status"] == "ok"
    assert set(info["database"]["urls"]) == set(info["database"]["databases"])
    assert set(closed.values()) == {401}
    assert (proxied, rebound) == (401, 403)
    assert all("script-src 'self'" in each["content-security-policy"] for each in headers)
    assert "/api/orders" in schema["paths"]
    assert added.returncode == 0, added.stderr
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert read == {"rows": [], "limit": 100, "offset": 0, "next_offset": None}
    assert (refused.status_code, refused.json()["error"]["kind"]) == (403, "forbidden")
    assert saved.status_code == 200
    assert json.loads(lists[0]["symbols_json"]) == ["ACME", "TCS"]
    assert parameters.status_code == 409
    assert "no parameter 'no'" in parameters.json()["error"]["message"]
    assert limits == [409, 200, 409]  # what the engine would not take is not stored
    assert (halted.status_code, unnamed) == (503, 503)
    assert (living, [each.status_code for each in ended], after) == (200, [200, 404, 404], [401, 200, 200])
    assert own in {row["session_id"] for row in sessions}
    assert f"vik/{of_vik['session_id']}" in {row["subject_key"] for row in audit}
    assert {"execution_engine.halt", "watchlist.save", "user.add", "session.begin"} <= {row["action"] for row in audit}
    assert preferred == {"charts": "symbol=INFY"}
    assert others == {}, "a choice is one's own"
    assert [json.loads(choice[each])["value"] for each in ("before_json", "after_json")] == [
        "symbol=TCS",
        "symbol=INFY",
    ]
    assert (choice["actor"], choice["subject_key"]) == ("vik", "vik/charts")
    assert without.status_code == 403
    assert [each.status_code for each in another] == [200, 403], "who is logged in may log in as somebody else"
    assert PASSWORD not in log.read_text() + json.dumps(audit)


@pytest.mark.parametrize("examples_each", [1, pytest.param(25, marks=pytest.mark.matrix)])
def test_nothing_asked_as_the_schema_says_breaks_the_api(shared, examples_each):
    """Whatever fits the schema, and what almost does, is answered or refused in the one shape, never with a 500."""
    _, client, _, log = shared
    logged_in(client, "asha")
    scopes = ["read", "trade", "config"]
    token = client.post(
        "/api/config/token.add",
        json={"arguments": {"name": "asha", "token_name": f"fuzz-{examples_each}", "scopes": scopes}},
    ).json()["result"]["token"]
    schema = schemathesis.openapi.from_dict(client.get("/schema").json())
    asked, broken = {}, []
    with httpx.Client(base_url=client.base_url, timeout=60, headers={"authorization": f"Bearer {token}"}) as stranger:
        for found in schema.get_all_operations():
            operation = found.ok()
            if operation.path == "/api/live":  # never ends
                continue

            @examples(max_examples=examples_each, deadline=None, database=None, derandomize=True,
                      suppress_health_check=list(HealthCheck))  # fmt: skip
            @given(operation.as_strategy())
            def ask(case):
                call = case.as_transport_kwargs(base_url=str(client.base_url))
                call["headers"] = dict(call.get("headers") or {}) | dict(stranger.headers)
                call.pop("cookies", None)
                answer = stranger.request(**call)
                asked.setdefault(case.operation.label, set()).add(answer.status_code)
                if answer.status_code == 500:
                    broken.append((case.operation.label, answer.url, call.get("json")))

            ask()

    assert broken == [], [line for line in log.read_text().splitlines() if "api.failed" in line][-3:]
    assert len(asked) >= 45
    assert sum(200 in statuses for statuses in asked.values()) >= 25


def test_a_change_is_stored_told_and_replayed(shared):
    """A strategy of the user's own is checked by its own parameters; who came late is told."""
    _, client, environment, _ = shared
    root = Path(environment["TRADEFLEET_DATA"])
    (root / "strategies").mkdir(exist_ok=True)
    shipped = (PROJECT / "libs" / "strategies" / "sma_cross.py").read_text("utf-8")
    (root / "strategies" / "mine.py").write_text(shipped.replace("sma_cross", "mine").replace("SmaCross", "Mine"))
    logged_in(client, "asha")
    arguments = {"instance": "mine-1", "strategy": "mine", "timeframe": "1m", "symbols": ["ACME"], "parameters": {}}
    saved = client.post("/api/config/strategy.save", json={"arguments": arguments})
    wrong = client.post("/api/config/strategy.save", json={"arguments": arguments | {"parameters": {"fast": -1}}})
    own = [row["strategy"] for row in client.get("/api/strategies").json()["rows"] if row["is_own"]]
    told = settings(**environment)
    with Subscriber.open(("config.strategy_configs",), settings=told, clock=SystemClock(), backfill=True) as subscriber:
        message = next(iter(subscriber))
    removed = [
        client.post("/api/config/strategy.remove", json={"arguments": {"instance": "mine-1"}}).status_code
        for _ in range(2)
    ]
    left = client.get("/api/strategy-configs").json()["rows"]
    first = client.get("/api/candles", params={"symbol": "ACME"})
    again = client.get("/api/candles", params={"symbol": "ACME"}, headers={"if-none-match": first.headers["etag"]})
    empty = [
        client.get(path).status_code
        for path in ("/api/ticks?symbol=ACME", "/api/coverage", "/api/backups", "/api/risk")
    ]
    report = client.get("/api/runs/run_20260101_000000_0123abcd/report").status_code

    assert saved.status_code == 200, saved.text
    assert wrong.status_code == 409
    assert (removed, left) == ([200, 404], [])
    assert own == ["mine"]
    assert message.payload == {"table": "strategy_configs", "key": "mine-1"}
    assert message.envelope.seq > 0
    assert again.status_code == 304
    assert empty == [200] * 4
    assert report == 404


def test_tokens_throttling_and_the_end(api, user):
    """A token reads and no more, revoking ends it at once, guessing locks a name, and users outlive the process."""
    process, client, environment, log = api
    secret = re.search(r"welcome#([\w-]+)", log.read_text())
    assert secret
    first = {"secret": secret[1], "name": "asha", "password": PASSWORD}
    made, again = (client.post("/api/first-admin", json=first).status_code for _ in range(2))
    token = user(environment, "token", "asha", "--scope", "read").stdout.strip()
    bearer = {"authorization": f"Bearer {token}"}
    read = client.get("/api/candles", params={"symbol": "ACME"}, headers=bearer)
    change = client.post("/api/engine/halt", json={"arguments": {"reason": "x"}}, headers=bearer)
    with client.stream("GET", "/api/live", params={"families": "telemetry"}, headers=bearer) as stream:
        told = next(line for line in stream.iter_lines() if line.startswith("data: [{"))
    user(environment, "token", "asha", "--revoke")
    ended = client.get("/api/orders", headers=bearer)
    guesses = [client.post("/api/session", json={"name": "asha", "password": "guess"}).status_code for _ in range(6)]
    locked = client.post("/api/session", json={"name": "asha", "password": PASSWORD}).status_code
    last = user(environment, "remove", "asha")
    missing = user(environment, "remove", "nobody")
    process.send_signal(signal.SIGTERM)
    code = process.wait(60)
    offline = user(environment, "passwd", "asha", "--password-stdin", password="another long password")
    with DatabaseManager(Path(environment["TRADEFLEET_DATA"]), settings=settings()).config_reader() as connection:
        hashes = connection.execute("SELECT password_hash FROM users").fetchall()
    listed = json.loads(user(environment, "list", "--json").stdout)

    assert (made, again) == (200, 401)
    assert read.json()["rows"] == []
    assert change.status_code == 403
    assert "telemetry.health.api|" in told
    assert ended.status_code == 401
    assert guesses == [401] * 5 + [429]
    assert locked == 429
    assert (last.returncode, missing.returncode) == (1, 4)
    assert code == 0, log.read_text()
    assert offline.returncode == 0, offline.stderr
    assert hashes[0][0].startswith("$argon2id$")
    assert [(row["name"], row["role"]) for row in listed] == [("asha", "admin")]
