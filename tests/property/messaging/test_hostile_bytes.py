"""Malformed, oversized and hostile frames are counted and dropped; they never crash anyone, on any socket."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from random import Random

import msgspec
import pytest
import zmq
from hypothesis import given, settings
from hypothesis import strategies as st

from libs.contracts.bus import CommandRequest, Envelope, Heads, ReplayReply, ReplayRequest, StreamHead, TickBatch
from libs.core.clock import SystemClock
from libs.dbaccess import DatabaseManager, Role, Store
from libs.dbaccess.outbox import Outbox
from libs.messaging import CommandClient, CommandServer, MalformedMessage, Publisher, Subscriber
from libs.messaging.codec import Codec, encode
from libs.messaging.endpoints import Endpoints
from libs.messaging.metrics import PublisherMetrics
from libs.messaging.replay import ReplayServer
from libs.runtime.outbox import OutboxSource
from libs.settings import load_settings
from libs.settings.bus import Bus
from tests.kit.journals import ListJournal, Owner, bar, tick
from tests.kit.processes import wait_until
from tests.kit.roots import copy_stores

TOPICS = [
    b"candle.1m.nse.X|",
    b"ticks.nse|",
    b"head.candles|",
    b"sync.0|",
    b"telemetry.health.ops|",
    b"alert.x|",
    b"|",
    b"",
]
VALID = [
    encode(Envelope(1, "candles", "e", 5, 4, 1, 2, 3, bar(5))),
    encode(Envelope(1, "ticks", "e", 5, 4, 1, 2, 3, TickBatch([tick(4), tick(5)]))),
    encode(Envelope(1, "candles", "e", 5, 0, 1, 2, 3, Heads([StreamHead("candles", "e", 5, topics={"a|": 1})]))),
    encode(ReplayRequest("r", "candles", ["candle."], 0, 10)),
    encode(ReplayReply("r", "candles", "e", [("candle.1m.nse.X|", b"garbage")], 10)),
    encode(CommandRequest("c", "halt", {"reason": "x"})),
]
DEEP = b"\x91" * 20_000  # a list in a list in a list
HUGE = b"\xdd\xff\xff\xff\xff"  # a list that says it has four thousand million items


def spoilt(random):
    """Valid bytes with damage, valid bytes in the wrong place, or plain noise."""
    body = bytearray(random.choice(VALID))
    match random.randrange(6):
        case 0:
            return bytes(body)
        case 1:
            return bytes(body[: random.randrange(len(body))])
        case 2:
            for _ in range(random.randrange(1, 6)):
                body[random.randrange(len(body))] = random.randrange(256)
            return bytes(body)
        case 3:
            return random.choice([DEEP, HUGE, b"", b"\xc1", b"\x80"])
        case _:
            return random.randbytes(random.randrange(200))


@given(
    topic=st.sampled_from(TOPICS) | st.binary(max_size=600), body=st.sampled_from([*VALID, DEEP, HUGE]) | st.binary()
)
@settings(max_examples=300, deadline=None)
def test_the_codec_gives_an_envelope_or_says_why_not(topic, body):
    try:
        text, envelope = Codec().decode(topic, body)
    except MalformedMessage:
        return

    assert text.encode() == topic
    assert isinstance(envelope, Envelope)


@given(body=st.binary() | st.sampled_from([*VALID, DEEP, HUGE]))
@settings(max_examples=300, deadline=None)
def test_the_replay_server_answers_or_counts(body):
    metrics = PublisherMetrics()
    server = ReplayServer(ListJournal(), epoch="e", settings=Bus(), clock=SystemClock(), metrics=metrics)

    answer = server.answer(body)

    assert (answer is None) == (metrics.malformed == 1)


@pytest.mark.parametrize(
    "request_", [
        ReplayRequest("r", "candles", ["candle."], -(2**63), 2**63 - 1, -5), ReplayRequest("r", "nothing", [""], 0, 1),
        ReplayRequest("r", "candles", ["x"] * 6000, 0, 1), ReplayRequest("r", "candles", [], 10, 0, 2**62),
        ReplayRequest("r", "ticks", ["ticks", "ticks.", "ticks|", "ticks.|", "ticks..|"], 0, 99),
    ],
)  # fmt: skip
def test_absurd_requests_get_a_bounded_answer(request_):
    journal = ListJournal()
    server = ReplayServer(journal, epoch="e", settings=Bus(), clock=SystemClock(), metrics=PublisherMetrics())

    reply = msgspec.msgpack.decode(server.answer(encode(request_)), type=ReplayReply)

    assert reply.request_id == "r"
    assert reply.messages == []


def test_no_number_is_too_large_for_a_store_to_be_asked(data_root):
    """SQLite's numbers end where MessagePack's do not; the scanner and the engine answer out of it."""
    copy_stores(data_root)
    with DatabaseManager(data_root, Role.SCANNER).writer_session(Store.SIGNALS) as session:
        source = OutboxSource(Outbox(session.connection, ["signals"]), SystemClock().now_us)
        server = ReplayServer(source, epoch="e", settings=Bus(), clock=SystemClock(), metrics=PublisherMetrics())
        for after, upto in ((2**64 - 1, 1), (2**63, 2**64 - 1), (-(2**63), -(2**63))):
            request = ReplayRequest("r", "signals", ["signal."], after, upto)
            reply = msgspec.msgpack.decode(server.answer(encode(request)), type=ReplayReply)

            assert (reply.messages, reply.refused) == ([], "")


@pytest.fixture
def settings_(data_root):
    return load_settings(environment={"TRADEFLEET_DATA": str(data_root), "TRADEFLEET_BUS_HEAD_INTERVAL_MS": "100"})


@pytest.fixture
def raw(settings_):
    """Bare sockets that connect to, or bind as, a service."""
    context, opened = zmq.Context(), []

    def make(kind, name, *, bind=False):
        socket = context.socket(kind)
        socket.linger = 0
        address = Endpoints(settings_).address("ingestor", name, bind=bind)
        (socket.bind if bind else socket.connect)(address)
        opened.append(socket)
        return socket

    yield make
    for socket in opened:
        socket.close()
    context.term()


def noise(random, frames_max=4):
    return [spoilt(random) for _ in range(random.randrange(1, frames_max))]


def test_an_owner_lives_through_hostile_clients(settings_, raw):
    """Its publish and replay sockets take garbage from many, and a good reader is served as ever."""
    random = Random(7)
    with Publisher.open("ingestor", settings=settings_, source=ListJournal()) as publisher:
        owner = Owner(publisher._source, publisher)
        upstream, dealer, request = raw(zmq.XSUB, "publish"), raw(zmq.DEALER, "replay"), raw(zmq.DEALER, "replay")
        oversized = b"x" * (settings_.bus.request_bytes_max + 1)
        for number in range(400):
            upstream.send_multipart(random.choice([noise(random), [b"\1" + random.randbytes(20)], [b"\0never"]]))
            dealer.send_multipart(noise(random))
            if number % 100 == 0:
                request.send(oversized)  # ends that connection, and no other
            publisher.pump()
        wait_until(lambda: (publisher.pump(), publisher.metrics.malformed > 100)[1], "the garbage to be counted")
        with Subscriber.open(["candle.1m."], settings=settings_, backfill=True) as subscriber:
            got = []

            def served():
                owner.candle()
                publisher.pump()
                message = subscriber.poll(0.01)
                if message is not None:
                    got.append(message.seq)
                return len(got) >= 20

            wait_until(served, "a good reader to be served")

    assert got == list(range(1, len(got) + 1))


def test_a_command_server_lives_through_hostile_clients(settings_, raw):
    random, done = Random(8), []
    with CommandServer.open("ingestor", lambda request: done.append(request.name), settings=settings_) as server:
        dealer = raw(zmq.DEALER, "command")
        for _ in range(400):
            dealer.send_multipart(noise(random))
            server.pump()
        wait_until(lambda: (server.pump(), server.metrics.malformed > 100)[1], "the garbage to be counted")
        with CommandClient("ingestor", settings=settings_) as client, ThreadPoolExecutor(1) as pool:
            call = pool.submit(client.call, "status", timeout_ms=60_000)
            wait_until(lambda: (server.pump(), call.done())[1], "a good client to be served")

    assert call.result() is None
    assert "status" in done


@pytest.mark.parametrize("latest", [False, True])
def test_a_reader_lives_through_a_hostile_publisher(settings_, raw, latest):
    """Whoever sits at the owner's address may send anything; the reader counts, and its process lives."""
    random = Random(9)
    publish, router = raw(zmq.XPUB, "publish", bind=True), raw(zmq.ROUTER, "replay", bind=True)
    with Subscriber.open(["candle.", "ticks.", "telemetry."], settings=settings_, latest=latest) as subscriber:
        end = time.monotonic() + 60
        while subscriber.metrics.malformed < 300 and time.monotonic() < end:
            topic = random.choice(TOPICS)
            if publish.poll(0):
                topic = publish.recv()[1:] if random.random() < 0.7 else topic
            publish.send_multipart([topic if topic.endswith(b"|") else topic + b"x|", *noise(random)])
            while router.poll(0):
                identity, request = router.recv_multipart()
                answers = noise(random)
                if random.random() < 0.5:
                    asked = msgspec.msgpack.decode(request)
                    answers = [encode(ReplayReply(asked["request_id"], asked["stream"], "e", [("a|", b"?")], 10**9))]
                router.send_multipart([identity, *answers])
            subscriber.poll(0.001)

        assert subscriber.metrics.malformed >= 300
