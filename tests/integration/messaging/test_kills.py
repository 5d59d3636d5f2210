"""D2, D4: joins against a busy owner that is killed at random instants. No hole, no repeat, for anyone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from bisect import bisect_left, bisect_right
from random import Random

import pytest

from libs.messaging import Subscriber
from libs.settings import load_settings
from tests.kit.journals import OPENING_AGO, tail_journal
from tests.kit.owner import SYMBOLS
from tests.kit.paths import PROJECT
from tests.kit.processes import DEADLINE_S, first_line, wait_until

CHOICES = (
    ("candle.1m.",), ("candle.1m.nse.REL|",), ("ticks.nse|",), ("tick.nse.TCS|", "candle.1m.nse.TCS|"),
    ("tick.nse.RELIANCE|", "tick.nse.REL|"),
)  # fmt: skip


class BusyOwner:
    """The owner's process, and the journal it leaves."""

    def __init__(self, data_root):
        self.data_root = data_root
        self.starts = 0
        self.place, self.topics, self.heads = 0, {}, {}
        self.start()

    def start(self):
        self.starts += 1
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.kit.owner", str(self.data_root), str(self.starts)],
            cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def kill(self):
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.communicate()

    def journal(self):
        """Seqs by topic, and the last seq by stream; reads on from where it was."""
        for stream, record, place in tail_journal(self.data_root / "journal.bin", self.place):
            self.place = place
            self.topics.setdefault(record.topic, []).append(record.seq)
            self.heads[stream] = record.seq
        return self.topics, self.heads


class Reader:
    """A subscriber and what it got, by single topic."""

    def __init__(self, data_root, topics, **options):
        settings = load_settings(environment={"TRADEFLEET_DATA": str(data_root)})
        self.topics = topics
        self.subscriber = Subscriber.open(topics, settings=settings, **options)
        self.got = {}
        self.last = {}

    def read(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            message = self.subscriber.poll(0.02)
            if message is not None:
                self.take(message)

    def take(self, message):
        for payload in getattr(message.payload, "ticks", [message.payload]):
            single = message.topic if not message.topic.startswith("ticks") else f"tick.nse.{payload.symbol}|"
            self.got.setdefault(single, []).append(payload.seq)
            self.last[message.stream] = payload.seq

    def check(self, journal, what):
        """What came of each topic is a run out of the journal: nothing missing in it, nothing twice."""
        for topic, seqs in self.got.items():
            begin = bisect_left(journal[topic], seqs[0])
            assert seqs == journal[topic][begin : begin + len(seqs)], f"{what}, {topic}"

    def check_beginning(self, journal, heads, what):
        """Today's first messages came first. Where today begins moves with the head; at the end it was furthest on."""
        for topic, seqs in self.got.items():
            opening = max(0, heads["ticks" if topic.startswith("tick.") else "candles"] - OPENING_AGO)
            assert seqs[0] <= journal[topic][bisect_right(journal[topic], opening)], f"{what}, {topic}"


def storm(data_root, seed, joins, kills):
    """So many joins while the owner dies so often; and one reader that lives through it all."""
    random = Random(seed)
    owner = BusyOwner(data_root)
    witness = Reader(data_root, ("ticks.nse|", "candle."), positions={"ticks": 0, "candles": 0})
    kill_at = set(random.sample(range(joins), kills))
    checked = 0
    try:
        first_line(owner.process)
        for number in range(joins):
            backfill = random.random() < 0.5
            reader = Reader(data_root, random.choice(CHOICES), backfill=backfill)
            reader.read(random.uniform(0, 0.1))
            if number in kill_at:
                time.sleep(random.uniform(0, 0.02))
                owner.kill()
                reader.read(random.uniform(0, 0.05))
                owner.start()
            witness.read(0.02)
            wait_until(lambda reader=reader: (reader.read(0.02), reader.got)[1], f"join {number} of seed {seed}")
            reader.read(random.uniform(0, 0.1))
            reader.subscriber.close()
            assert not reader.subscriber.gaps
            journal, heads = owner.journal()
            reader.check(journal, f"seed {seed}, join {number}")
            if backfill:
                reader.check_beginning(journal, heads, f"seed {seed}, join {number}")
            checked += sum(map(len, reader.got.values()))
        owner.kill()
        heads = dict(owner.journal()[1])
        owner.start()
        wait_until(lambda: (witness.read(0.05), _reached(witness, heads))[1], "the witness to catch up", DEADLINE_S * 2)
    finally:
        owner.kill()
        witness.subscriber.close()
    journal, _ = owner.journal()
    witness.check(journal, f"seed {seed}, the witness")
    assert {topic: seqs[0] for topic, seqs in witness.got.items()} == {
        topic: seqs[0] for topic, seqs in journal.items()
    }
    assert set(witness.got) == {f"{family}.nse.{symbol}|" for family in ("tick", "candle.1m") for symbol in SYMBOLS}
    assert checked > joins


def _reached(reader, heads):
    return all(reader.last.get(stream, 0) >= seq for stream, seq in heads.items())


def test_joins_under_kills_miss_and_repeat_nothing(data_root):
    """A sample; `make matrix` does 200 joins and 40 kills."""
    storm(data_root, seed=1, joins=8, kills=3)


@pytest.mark.matrix
@pytest.mark.timeout(1800)
def test_two_hundred_joins_under_forty_kills(data_root):
    storm(data_root, seed=2, joins=200, kills=40)
