"""`python -m bench.bus [--rounds N]`: the bus beside bare pyzmq with the same payloads, two processes over ipc.

Ours goes through the public doors, headers, sequence, heads and metrics on. Bare is a PUB and a SUB with a topic frame
and the encoded ticks. Rounds are interleaved, and each figure is the median of its rounds.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator

import msgspec
import zmq

from bench.table import Measure, percentile, print_measures
from libs.contracts import Tick
from libs.messaging import Publisher, Subscriber
from libs.settings import load_settings
from libs.settings.model import Settings

SINGLES, BATCHED, PACED = 60_000, 1_280_000, 20_000
BATCH = 64
PACE_PER_S = 10_000
QUEUE = 1_000_000  # nothing may be dropped: the time of all is measured
TOPIC = "tick.nse.RELIANCE|"


def settings_in(root: str) -> Settings:
    found = load_settings(environment={"TRADEFLEET_DATA": root})
    bus = msgspec.structs.replace(found.bus, send_queue_max=QUEUE, receive_queue_max=QUEUE)
    return msgspec.structs.replace(found, bus=bus)


def ticks(count: int) -> list[Tick]:
    return [Tick("RELIANCE", n, 1394.5, 12, 1394.45, 1394.5, 48_210 + n, n, "nse", n) for n in range(1, count + 1)]


# The reader's process: says "ready", reads so many ticks, says "done" and its latencies.


def read_ours(root: str, count: int, *, batched: bool) -> None:
    late, seen, began = [], 0, 0.0
    with Subscriber.open(["ticks.nse|" if batched else TOPIC], settings=settings_in(root)) as subscriber:
        while not subscriber.joined:
            subscriber.poll(0.01)
        say("ready")
        began = time.process_time()
        while seen < count:
            message = subscriber.poll(1)
            if message is not None:
                late.append(time.time_ns() // 1000 - message.envelope.published_us)
                seen += len(message.payload.ticks) if batched else 1
        say_done(late, began)


def read_bare(root: str, count: int, *, batched: bool) -> None:
    late, seen = [], 0
    decode = msgspec.msgpack.Decoder(list[Tick] if batched else Tick).decode
    context = zmq.Context()
    socket = context.socket(zmq.SUB)
    socket.rcvhwm = QUEUE
    socket.connect(f"ipc://{root}/bare")
    socket.subscribe(b"tick")
    say("ready")
    began = time.process_time()
    while seen < count:
        _, body = socket.recv_multipart()
        payload = decode(body)
        late.append(time.time_ns() // 1000 - (payload[-1] if batched else payload).received_us)
        seen += len(payload) if batched else 1
    say_done(late, began)
    context.destroy(0)


def say_done(late: list[int], began: float) -> None:
    spent = time.process_time() - began
    say(f"done {spent} {percentile(late, 0.5)} {percentile(late, 0.99)}")


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


class Run(msgspec.Struct):
    """Seconds from the first send to the reader's "done", processor seconds of the busier end, latencies."""

    seconds: float
    core_seconds: float
    p50_us: int
    p99_us: int


# The publisher's side.


def publish_ours(count: int, *, batched: bool, paced: bool) -> Run:
    payloads = ticks(count)
    with (
        tempfile.TemporaryDirectory(prefix="bus") as root,
        Publisher.open("ingestor", settings=settings_in(root)) as publisher,
        reader("ours", root, count, batched) as process,
    ):
        wait_line(process, publisher.pump)

        def single(n: int) -> None:
            publisher.publish(TOPIC, payloads[n], seq=n + 1)
            if n % 64 == 0:
                publisher.pump()

        def batch(n: int) -> None:
            publisher.publish_ticks("nse", payloads[n : n + BATCH])
            publisher.pump()

        return timed_send(process, batch if batched else single, publisher.pump, count, batched=batched, paced=paced)


def publish_bare(count: int, *, batched: bool, paced: bool) -> Run:
    payloads, encode, topic = ticks(count), msgspec.msgpack.Encoder().encode, TOPIC.encode()
    with tempfile.TemporaryDirectory(prefix="bus") as root:
        context = zmq.Context()
        socket = context.socket(zmq.XPUB)  # a PUB that shows when the reader has subscribed
        socket.sndhwm = QUEUE
        socket.bind(f"ipc://{root}/bare")
        with reader("bare", root, count, batched) as process:
            wait_line(process, lambda: None)
            socket.recv()

            def single(n: int) -> None:
                tick = payloads[n]
                if paced:
                    tick = msgspec.structs.replace(tick, received_us=time.time_ns() // 1000)
                socket.send_multipart((topic, encode(tick)))

            def batch(n: int) -> None:
                socket.send_multipart((topic, encode(payloads[n : n + BATCH])))

            one = batch if batched else single
            run = timed_send(process, one, lambda: None, count, batched=batched, paced=paced)
        context.destroy(0)
        return run


def timed_send(
    process: subprocess.Popen[str], one: Callable[[int], None], pump: Callable[[], None], count: int, *,
    batched: bool, paced: bool,
) -> Run:  # fmt: skip
    started, core = time.perf_counter(), time.process_time()
    for n in range(0, count, BATCH if batched else 1):
        if paced:
            while time.perf_counter() - started < n / PACE_PER_S:
                pass
        one(n)
    mine = time.process_time() - core
    words = wait_line(process, pump).split()
    return Run(time.perf_counter() - started, max(mine, float(words[1])), int(words[2]), int(words[3]))


def reader(kind: str, root: str, count: int, batched: bool) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "bench.bus", "--read", kind, root, str(count), str(int(batched))],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


def wait_line(process: subprocess.Popen[str], pump: Callable[[], None]) -> str:
    assert process.stdout is not None
    poller = zmq.Poller()
    poller.register(process.stdout.fileno(), zmq.POLLIN)
    while not poller.poll(5):
        pump()
    return process.stdout.readline()


def measures(rounds: int) -> Iterator[Measure]:
    for name, count, batched in (("one by one", SINGLES, False), (f"{BATCH} a frame", BATCHED, True)):
        bare, ours = pairs(rounds, count, batched=batched, paced=False)
        for what, spent in (("", lambda run: run.seconds), (", busier end's core", lambda run: run.core_seconds)):
            rates = [count / statistics.median(map(spent, runs)) for runs in (ours, bare)]
            ratio = rates[0] / rates[1]
            yield Measure(
                f"bus, {name}{what}", f"{rates[0] / 1000:,.0f} k ticks/s", f"bare {rates[1] / 1000:,.0f} k ticks/s",
                ratio, "0.8", ratio >= 0.8,
            )  # fmt: skip
    bare, ours = pairs(rounds, PACED, batched=False, paced=True)
    for name, place in (("p50", lambda run: run.p50_us), ("p99", lambda run: run.p99_us)):
        mine, theirs = (statistics.median(map(place, runs)) for runs in (ours, bare))
        goal, met = ("at most 2x bare", mine <= 2 * theirs) if name == "p99" else ("", None)
        yield Measure(
            f"bus, {name} at {PACE_PER_S // 1000} k/s", f"{mine:,.0f} us", f"bare {theirs:,.0f} us", theirs / mine,
            goal, met,
        )  # fmt: skip


def pairs(rounds: int, count: int, *, batched: bool, paced: bool) -> tuple[list[Run], list[Run]]:
    """Bare and ours in turn, so that a noisy minute hits both."""
    runs = [
        (publish_bare(count, batched=batched, paced=paced), publish_ours(count, batched=batched, paced=paced))
        for _ in range(rounds)
    ]
    return [bare for bare, _ in runs], [ours for _, ours in runs]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--read", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.read:
        kind, root, count, batched = options.read
        read = {"ours": read_ours, "bare": read_bare}[kind]
        read(root, int(count), batched=batched == "1")
        return 0
    return 0 if print_measures(measures(options.rounds)) else 1


if __name__ == "__main__":
    sys.exit(main())
