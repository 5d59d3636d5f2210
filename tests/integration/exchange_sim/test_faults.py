"""Every scripted fault, seen from a client's end of a real socket."""

from __future__ import annotations

import json
import time
from http.client import HTTPConnection, RemoteDisconnected
from typing import Any
from urllib.error import URLError

import pytest
import websocket
from google.protobuf.message import DecodeError

from libs.upstox.feed_messages import feed_messages
from tests.integration.exchange_sim.conftest import KEY, MARKET, PORTFOLIO, connected, find, order, place
from tests.kit.exchange_sim import TRADING_TOKEN, Simulator
from tests.kit.processes import wait_until

#: The standard library wraps a reset that comes while it is still sending.
RESET = (ConnectionResetError, URLError)
BOOK = "/v2/order/retrieve-all"


def read(sim: Simulator, path: str = BOOK) -> tuple[int, Any]:
    return sim.ask("GET", path, token=TRADING_TOKEN)


def events_until(client: Any, status: str, times: int = 1) -> list[dict[str, Any]]:
    """Read events until so many of an order had the status."""
    events: list[dict[str, Any]] = []
    while sum(event.get("status") == status for event in events) < times:
        events.append(json.loads(client.recv()))
    return events


def statuses(events: list[dict[str, Any]]) -> list[str]:
    return [event["status"] for event in events if event["update_type"] == "order"]


def test_order_that_times_out_was_carried_out(sim):
    """The case an engine must survive: no answer, and the order lives."""
    sim.add_fault("order_timeout", op="place", delay_s=3.0, count=1)
    connection = HTTPConnection("127.0.0.1", sim.port, timeout=0.3)
    headers = {"Authorization": f"Bearer {TRADING_TOKEN}", "Content-Type": "application/json"}
    connection.request("POST", "/v3/order/place", json.dumps(order(tag="lost")), headers)
    with pytest.raises(TimeoutError):
        connection.getresponse()
    connection.close()

    assert wait_until(lambda: (find(sim, "lost") or {}).get("status") == "complete", "the order to live")


def test_patient_client_sees_its_connection_die(sim):
    sim.add_fault("order_timeout", delay_s=0.2, count=1)
    with pytest.raises((*RESET, RemoteDisconnected)):
        place(sim, tag="reset later")

    assert find(sim, "reset later")


def test_fill_may_come_before_the_acknowledgement(sim):
    sim.add_fault("fill_before_ack", delay_s=1.0, count=1)
    with connected(sim, PORTFOLIO) as client:
        begin = time.monotonic()
        connection = HTTPConnection("127.0.0.1", sim.port, timeout=30)
        headers = {"Authorization": f"Bearer {TRADING_TOKEN}", "Content-Type": "application/json"}
        connection.request("POST", "/v3/order/place", json.dumps(order(tag="early")), headers)
        events = events_until(client, "complete")
        answer = json.load(connection.getresponse())
        took = time.monotonic() - begin
        connection.close()

    assert took >= 1.0
    assert {event["order_id"] for event in events if "order_id" in event} == set(answer["data"]["order_ids"])


def test_rejection_follows_acceptance(sim):
    sim.add_fault("order_reject", message="no", count=1)
    status, answer = place(sim, tag="rejected")

    assert status == 200
    assert answer["data"]["order_ids"]
    wait_until(lambda: find(sim, "rejected")["status"] == "rejected", "the rejection")
    assert find(sim, "rejected")["message"] == "no"


def test_portfolio_events_are_lost_and_doubled(sim):
    with connected(sim, PORTFOLIO) as client:
        sim.add_fault("portfolio_lost", update_type="order", count=2)
        place(sim, tag="two lost")
        lost = statuses(events_until(client, "complete"))
        sim.add_fault("portfolio_duplicate", update_type="order")
        place(sim, tag="all twice")
        twice = statuses(events_until(client, "complete", times=2))

    assert lost[0] == "open pending"
    assert twice[:4] == ["put order req received"] * 2 + ["validation pending"] * 2


def test_portfolio_event_comes_late(sim):
    with connected(sim, PORTFOLIO) as client:
        sim.add_fault("portfolio_delay", update_type="order", delay_s=1.0, count=1)
        place(sim, tag="late")
        found = statuses(events_until(client, "put order req received"))

    assert found[0] == "validation pending"
    assert found[-1] == "put order req received"
    assert "complete" in found


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        ({"kind": "rate_limit"}, 429, "UDAPI10005"),
        ({"kind": "http_error"}, 500, "UDAPI100500"),
        ({"kind": "http_error", "status": 503, "code": "UDAPI100500"}, 503, "UDAPI100500"),
    ],
)
def test_errors_on_a_path_and_only_there(sim, fault, status, code):
    sim.add_fault(**fault, path=BOOK, count=1)
    other, _ = read(sim, "/v2/portfolio/short-term-positions")
    found, answer = read(sim)

    assert other == 200
    assert found == status
    assert answer["errors"][0]["error_code"] == answer["errors"][0]["errorCode"] == code
    assert read(sim)[0] == 200


def test_slow_answer(sim):
    sim.add_fault("slow", path=BOOK, delay_s=0.5, count=1)
    begin = time.monotonic()

    assert read(sim)[0] == 200
    assert time.monotonic() - begin >= 0.5


@pytest.mark.parametrize("when", ["before", "after"])
def test_reset_before_or_after_the_request_is_carried_out(sim, when):
    sim.add_fault("rest_reset", path="/v3/order/place", when=when, count=1)
    with pytest.raises(RESET):
        place(sim, tag=f"reset {when}")

    assert (find(sim, f"reset {when}") is not None) == (when == "after")


@pytest.mark.parametrize("status", [401, 403, 429, 503])
def test_authorisation_is_refused(sim, status):
    sim.add_fault("authorize_refused", stream="market", status=status, count=1)
    with pytest.raises(websocket.WebSocketBadStatusException) as refusal, connected(sim):
        pass

    assert refusal.value.status_code == status
    with connected(sim, PORTFOLIO), connected(sim):
        pass


def test_token_dies_everywhere_and_a_new_one_lives(sim):
    with connected(sim) as client:
        client.recv()
        sim.add_fault("token_death")
        closing = client.recv_data(control_frame=True)
        while closing[0] != websocket.ABNF.OPCODE_CLOSE:
            closing = client.recv_data(control_frame=True)

    assert int.from_bytes(closing[1][:2], "big") == 1008
    assert read(sim)[0] == 401
    new = sim.token()
    assert sim.ask("GET", BOOK, token=new)[0] == 200
    with connected(sim, token=new) as client:
        assert client.recv()


@pytest.mark.parametrize("code", [1000, 1001, 1011])
def test_stream_is_closed_with_a_code(sim, code):
    with connected(sim) as client:
        client.recv()
        sim.add_fault("close", stream="market", code=code)
        opcode, data = client.recv_data(control_frame=True)
        while opcode != websocket.ABNF.OPCODE_CLOSE:
            opcode, data = client.recv_data(control_frame=True)

    assert int.from_bytes(data[:2], "big") == code


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ({"kind": "close", "code": 1006}, websocket.WebSocketConnectionClosedException),
        ({"kind": "reset"}, (ConnectionResetError, websocket.WebSocketConnectionClosedException)),
    ],
)
def test_stream_dies_without_a_word(sim, fault, error):
    with connected(sim) as client:
        client.recv()
        sim.add_fault(**fault)
        with pytest.raises(error):
            while True:
                client.recv_data(control_frame=True)

    wait_until(lambda: not sim.state()["connections"], "the simulator to see it")


def quiet_for(client: Any, seconds: float) -> bool:
    client.settimeout(seconds)
    try:
        client.recv_data(control_frame=True)
    except websocket.WebSocketTimeoutException:
        return True
    return False


@pytest.mark.parametrize("pongs", [False, True])
def test_mute_socket_stays_open_and_says_nothing(sim, pongs):
    """A silence watchdog can only be tested against a peer that is there and silent; pongs are a matter of choice."""
    with connected(sim, keys=[KEY]) as client:
        client.recv()
        fault = sim.add_fault("mute", stream="market", pongs=pongs)
        wait_until(lambda: quiet_for(client, 1.5), "silence")
        client.ping(b"there?")
        answered = not quiet_for(client, 30.0 if pongs else 1.0)
        sim.ask("DELETE", f"/_sim/faults/{fault}")
        client.settimeout(30)
        opcode, _ = client.recv_data(control_frame=True)

        assert answered == pongs
        assert opcode in {websocket.ABNF.OPCODE_BINARY, websocket.ABNF.OPCODE_PING, websocket.ABNF.OPCODE_PONG}
        assert any(one["frames_dropped"] for one in sim.state()["connections"])


def test_disconnected_for_a_while(sim):
    with connected(sim) as client:
        client.recv()
        sim.add_fault("disconnect", stream="market", duration_s=4.0)
        with pytest.raises((ConnectionError, websocket.WebSocketConnectionClosedException)):
            while True:
                client.recv()
        with pytest.raises((ConnectionError, websocket.WebSocketException)), connected(sim):
            pass
        with connected(sim, PORTFOLIO):
            pass
        assert read(sim)[0] == 200

        def back() -> bool:
            try:
                with connected(sim) as again:
                    return bool(again.recv())
            except (ConnectionError, websocket.WebSocketException):
                return False

        assert wait_until(back, "the end of the outage")


def test_disconnect_may_take_rest_along(sim):
    sim.add_fault("disconnect", rest=True, duration_s=60)
    with pytest.raises(RESET):
        read(sim)
    sim.clear_faults()

    assert read(sim)[0] == 200


def test_garbage_is_no_protobuf_and_the_stream_goes_on(sim):
    def decodes(payload: bytes) -> bool:
        try:
            feed_messages().FeedResponse.FromString(payload)
        except DecodeError:
            return False
        return True

    with connected(sim, keys=[KEY]) as client:
        client.recv()
        sim.add_fault("garbage", count=1)
        seen = [decodes(client.recv()) for _ in range(6)]

    assert seen.count(False) == 1
    assert seen[-1]


def test_probability_and_count_reach_the_state(sim):
    sim.add_fault("http_error", path=BOOK, probability=0.5)
    statuses = [read(sim)[0] for _ in range(40)]

    assert 5 < statuses.count(500) < 35
    assert sim.state()["faults_struck"]["http_error"] >= statuses.count(500)


def test_unknown_fault_is_refused_with_the_choices(sim):
    status, answer = sim.ask("POST", "/_sim/faults", {"kind": "earthquake"})

    assert status == 400
    assert "order_timeout" in answer["errors"][0]["message"]


def test_a_code_works_once(sim):
    _, answer = read(sim, MARKET + "/authorize")
    address = answer["data"]["authorized_redirect_uri"]
    assert address == answer["data"]["authorizedRedirectUri"]
    websocket.create_connection(address, timeout=30).shutdown()

    with pytest.raises(websocket.WebSocketBadStatusException) as refusal:
        websocket.create_connection(address, timeout=30)
    assert refusal.value.status_code == 401
