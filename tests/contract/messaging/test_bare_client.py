"""DESIGN §4: anyone with bare ZeroMQ and msgpack can read the bus. This client knows only docs/reference/bus.md.

It imports zmq and an untyped msgpack decoder and encoder, nothing of ours (`msgspec.msgpack` stands in for the
`msgpack` package, which is not among our dependencies).
"""

from __future__ import annotations

import ast
import secrets
from pathlib import Path

import zmq
from msgspec.msgpack import decode, encode

from tests.kit.processes import wait_until
from tests.kit.rigs import SocketRig


class BareClient:
    """Reads one stream of one owner, as the reference page tells it to."""

    def __init__(self, publish, replay, stream, topics, *, today):
        self.context = zmq.Context()
        self.sub, self.dealer = self.context.socket(zmq.SUB), self.context.socket(zmq.DEALER)
        self.sub.connect(publish)
        self.dealer.connect(replay)
        self.stream, self.topics, self.today = stream, topics, today
        self.base, self.last, self.epoch, self.got = None, {}, "", []
        self.held, self.replaying = [], False
        for topic in (*topics, f"head.{stream}|"):
            self.sub.subscribe(topic)
        self.join()

    def join(self):
        self.nonce = f"sync.{secrets.token_hex(8)}|"
        self.live = self.replaying = False
        self.sub.subscribe(self.nonce)

    def poll(self):
        while self.sub.poll(0):
            topic, body = self.sub.recv_multipart()
            self.on_message(topic.decode(), decode(body))
        while self.dealer.poll(0):
            self.on_replay(decode(self.dealer.recv()))

    def on_message(self, topic, message):
        if topic == self.nonce:
            self.sub.unsubscribe(self.nonce)
            (head,) = [head for head in message["payload"]["heads"] if head["stream"] == self.stream]
            self.epoch = head["epoch"]
            if self.base is None:
                self.base = head["opening"] if self.today else head["seq"]
            self.catch_up(head["seq"])
        elif topic.startswith("head."):
            (head,) = message["payload"]["heads"]
            mine = {name: seq for name, seq in head["topics"].items() if name.startswith(tuple(self.topics))}
            if self.live and head["epoch"] != self.epoch:
                self.join()
            elif self.live and any(seq > self.last.get(name, self.base) for name, seq in mine.items()):
                self.catch_up(head["seq"])
            elif self.live:
                self.base = max(self.base, head["seq"])
        elif not self.live:
            self.held.append((topic, message))
        elif message["epoch"] != self.epoch:
            self.held.append((topic, message))
            self.join()
        elif message["prev"] > max(self.last.get(topic, 0), self.base):
            self.held.append((topic, message))
            self.catch_up(message["seq"] - 1)
        else:
            self.take(topic, message)

    def take(self, topic, message):
        if message["seq"] > max(self.last.get(topic, 0), self.base):
            self.last[topic] = message["seq"]
            self.got.append((topic, message["seq"], message["payload"]))

    def catch_up(self, upto):
        self.live, self.upto = False, upto
        if self.base >= upto:
            self.go_live()
            return
        request = {"type": "replay", "request_id": secrets.token_hex(4), "stream": self.stream, "topics": self.topics}
        self.dealer.send(encode(request | {"after_seq": self.base, "upto_seq": upto, "limit": 0}))

    def on_replay(self, reply):
        for topic, body in reply["messages"]:
            self.take(topic, decode(body))
        self.base = reply["covered_seq"]
        self.catch_up(self.upto)

    def go_live(self):
        self.live = True
        held, self.held = self.held, []
        for topic, message in held:
            if message["epoch"] == self.epoch:
                self.on_message(topic, message)

    def close(self):
        self.sub.close(0)
        self.dealer.close(0)
        self.context.term()


def test_the_client_knows_nothing_of_ours():
    """Else the page could lack something and nobody would notice."""
    tree = ast.parse(Path(__file__).read_text("utf-8"))
    names = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}

    assert not {name for name in names if name and name.split(".")[0] in {"libs", "services", "cli"}}


def test_a_client_of_bare_parts_reads_today_and_live(data_root):
    """Today's bars first, a restart of the owner, a lost message, and live to the end: no hole, no repeat."""
    rig = SocketRig(data_root, replay_records_max=7)
    for _ in range(50):
        rig.owner.candle("RELIANCE")
        rig.owner.candle("TCS")
    run = data_root / "run"
    client = BareClient(
        f"ipc://{run}/ingestor.publish", f"ipc://{run}/ingestor.replay", "candles", ["candle.1m.nse.RELIANCE|"],
        today=True,
    )  # fmt: skip

    def has(count):
        rig.turn()
        client.poll()
        return len(client.got) >= count

    wait_until(lambda: has(50), "today's bars")
    for _ in range(20):
        rig.owner.candle("RELIANCE")
        rig.owner.candle("TCS")
        has(0)
    wait_until(lambda: has(70), "the live bars")
    rig.restart_owner()
    for _ in range(20):
        rig.owner.candle("RELIANCE")
    wait_until(lambda: has(90), "the bars after the restart")
    send, rig.owner.publisher._send = rig.owner.publisher._send, lambda _topic, _body: False
    rig.owner.candle("RELIANCE")
    rig.owner.publisher._send = send
    wait_until(lambda: has(91), "the lost bar")
    client.close()
    rig.close()

    journal = [row for row in rig.journal.rows["candles"] if row.topic == "candle.1m.nse.RELIANCE|"]
    assert [seq for _, seq, _ in client.got] == [row.seq for row in journal]
    assert [payload["timestamp_us"] for _, _, payload in client.got] == [row.payload.timestamp_us for row in journal]
    assert {payload["type"] for _, _, payload in client.got} == {"bar"}
