"""One request is followed by its id: through the api's log to the owner it asks, and back to who asked."""

from __future__ import annotations

import json
import re
import threading

import pytest
import structlog

from libs.core.errors import Refused
from libs.messaging import CommandServer
from libs.runtime.commands import logged
from libs.runtime.logs import get_logger
from tests.kit.api import log_in, running_api
from tests.kit.short import tmp_path  # noqa: F401  # a fixture: sockets have short paths


@pytest.fixture
def api(tmp_path):  # noqa: F811  # the short one
    """An api with an engine that takes commands; asha is logged in."""
    asked, over = [], threading.Event()

    def engine(request):
        asked.append(request.command_id)
        get_logger().info("engine.at_work")
        if request.name != "halt":
            raise Refused("only halt")
        return {"state": "halted"}

    def serve(settings):
        with CommandServer.open("execution_engine", logged(engine), settings=settings) as server:
            while not over.wait(0.005):
                server.pump()

    with running_api(tmp_path / "d") as running:
        log_in(running.client, "asha")
        thread = threading.Thread(target=serve, args=(running.settings,))
        thread.start()
        try:
            yield running, asked
        finally:
            over.set()
            thread.join(30)


@pytest.fixture
def lines():
    """Every line that any part logs, with what is bound to it."""
    with structlog.testing.capture_logs(processors=[structlog.contextvars.merge_contextvars]) as found:
        yield found


def test_a_request_is_followed_to_its_owner_and_back(api, lines):
    """Its id is in the answer, the audit log, every line of the api and of the engine, and never a command's twice."""
    api, asked = api
    order = {"arguments": {"reason": "why"}}
    done, again = (
        api.client.post("/api/engine/halt", json=order, headers={"X-Request-ID": "desk-7"}) for _ in range(2)
    )
    refused = api.client.post("/api/engine/resume", json=order)
    made = refused.headers["x-request-id"]
    # What would break out of a log line or a header is not taken, nor what is too long.
    spoiling = [
        api.client.get(path, headers={b"X-Request-ID": given.encode()}).headers["x-request-id"]
        for path, given in (
            ("/login", "a b"),
            ("/no/such", "x" * 65),
            ("/login", "-"),
            ("/login", "é"),
            ("/api/orders", 'a"b'),
        )
    ]
    own = [line for line in lines if line.get("command_id", "").startswith("desk-7.")]
    theirs = [line for line in lines if line.get("command_id", "").startswith(f"{made}.")]
    answered = [line for line in lines if line["event"] == "api.request" and line["request_id"] in {"desk-7", made}]

    assert [each.headers["x-request-id"] for each in (done, again)] == ["desk-7"] * 2
    assert [each.status_code for each in (done, again, refused)] == [200, 200, 409]
    assert len(set(asked)) == 3, "a second halt with the id of the first would not be done"
    assert [line["event"] for line in own] == ["engine.at_work", "command.done"] * 2
    assert [line["event"] for line in theirs] == ["engine.at_work", "command.refused"]
    assert theirs[1]["reason"] == "only halt"
    assert {line["sender"] for line in (own[1], theirs[1])} == {"asha"}
    assert [(line["path"], line["status"], line["user"]) for line in answered] == [
        ("/api/engine/halt", 200, "asha"), ("/api/engine/halt", 200, "asha"), ("/api/engine/resume", 409, "asha"),
    ]  # fmt: skip
    assert all(re.fullmatch("[0-9a-f]{16}", each) for each in spoiling), spoiling
    assert json.loads(api.audit("execution_engine.resume")[0]["after_json"])["request_id"] == made
