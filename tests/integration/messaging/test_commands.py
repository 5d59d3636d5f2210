"""Commands to owners: done once, refused, or of unknown outcome, and never a crash."""

from __future__ import annotations

import threading

import pytest

from libs.contracts.bus import CommandRequest
from libs.core.errors import Corrupt, OutcomeUnknown, Refused, RetryLater
from libs.messaging import CommandClient, CommandServer
from libs.settings import load_settings
from tests.kit.processes import DEADLINE_S, wait_until

LONG_MS = int(DEADLINE_S * 1000)


@pytest.fixture
def settings(data_root):
    return load_settings(environment={"TRADEFLEET_DATA": str(data_root)})


class Store:
    """Counts what was really done."""

    def __init__(self):
        self.done = []

    def handle(self, request: CommandRequest):
        match request.name:
            case "halt":
                self.done.append(request.arguments["reason"])
                return {"state": "halted", "count": len(self.done)}
            case "impossible":
                raise Refused("market closed")
            case "busy":
                raise RetryLater("still reconciling")
            case "long":
                self.done.append(request.command_id)
                return {"state": "under way"} if len(self.done) < 3 else {"closed": 7}
            case "broken":
                raise Corrupt("two positions for one key")
            case _:
                return object()  # a result that cannot be sent


@pytest.fixture
def store():
    return Store()


@pytest.fixture
def server(settings, store):
    """A command server in a thread of its own, as an owner's loop would be."""
    stop, started, failure = threading.Event(), threading.Event(), []
    servers = []

    def serve():
        with CommandServer.open("execution_engine", store.handle, settings=settings) as server:
            servers.append(server)
            started.set()
            while not stop.wait(0.002):
                try:
                    server.pump()
                except Corrupt as e:
                    failure.append(e)

    thread = threading.Thread(target=serve)
    thread.start()
    assert started.wait(DEADLINE_S)
    servers[0].failure = failure
    yield servers[0]
    stop.set()
    thread.join()


@pytest.fixture
def client(settings):
    with CommandClient("execution_engine", settings=settings) as client:
        yield client


def test_a_command_is_done_and_answered(server, client, store):
    assert client.call("halt", {"reason": "drill"}, timeout_ms=LONG_MS) == {"state": "halted", "count": 1}
    assert store.done == ["drill"]


def test_a_repeat_gets_the_first_answer_and_does_nothing(server, client, store):
    """After `OutcomeUnknown` the sender repeats with the same id; the owner may have done it already."""
    first = client.call("halt", {"reason": "drill"}, command_id="c-1", timeout_ms=LONG_MS)
    again = client.call("halt", {"reason": "drill"}, command_id="c-1", timeout_ms=LONG_MS)

    assert first == again
    assert store.done == ["drill"]
    assert server.metrics.repeated == 1


def test_what_is_under_way_is_asked_again(server, client, store):
    """No answer yet is not the first answer: whoever asks again by the id learns how it ended, and then always that."""
    answers = [client.call("long", {}, command_id="one") for _ in range(5)]

    assert answers == [{"state": "under way"}] * 2 + [{"closed": 7}] * 3
    assert store.done == ["one"] * 3


@pytest.mark.parametrize(
    ("name", "error", "words"),
    [
        ("impossible", Refused, "market closed"),
        ("busy", RetryLater, "still reconciling"),
        ("halt", OutcomeUnknown, "KeyError"),  # its argument is missing
    ],
)
def test_errors_arrive_as_the_kind_they_were(server, client, name, error, words):
    with pytest.raises(error, match=words):
        client.call(name, timeout_ms=LONG_MS)


def test_a_broken_invariant_is_answered_and_stops_the_owner(server, client):
    """The client learns it, and the owner's own loop gets the error."""
    with pytest.raises(OutcomeUnknown, match="two positions"):
        client.call("broken", timeout_ms=LONG_MS)

    wait_until(lambda: server.failure, "the owner's own error")
    assert [str(error) for error in server.failure] == ["two positions for one key"]


def test_a_result_that_cannot_be_sent_is_still_a_success(server, client):
    assert client.call("odd", timeout_ms=LONG_MS) is None


def test_without_an_owner_nothing_was_asked(client):
    """Not sent is not unknown: it is safe to try again."""
    with pytest.raises(RetryLater, match="execution_engine"):
        client.call("halt", {"reason": "drill"}, timeout_ms=100)


def test_a_mute_owner_means_unknown_and_the_late_command_is_not_done(settings, store, client):
    """The owner is there and hangs; when it comes back it must not do what its sender has given up on."""
    with CommandServer.open("execution_engine", store.handle, settings=settings) as server:
        # Over a loaded machine the connection may take longer than the wait: then nothing was asked, and we ask again.
        for _ in range(100):
            try:
                client.call("halt", {"reason": "late"}, timeout_ms=300)
            except OutcomeUnknown:
                break
            except RetryLater:
                continue
        else:
            pytest.fail("never connected")
        server.pump()

        assert store.done == []
        assert server.metrics.expired == 1
