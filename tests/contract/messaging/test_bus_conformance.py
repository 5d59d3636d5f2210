"""D1, D2, D4: what every bus promises, over the sockets and in memory, on good wires and bad ones."""

from __future__ import annotations

from random import Random

import pytest

from libs.simulation.bus import Faults
from tests.kit.rigs import MemoryRig, SocketRig

BAD = Faults(loss=0.1, repetition=0.1, delay_max_s=0.05)


def _memory(data_root, **bus):
    return MemoryRig(data_root, **bus)


def _unreliable(data_root, **bus):
    return MemoryRig(data_root, faults=BAD, **bus)


@pytest.fixture(params=[SocketRig, _memory, _unreliable], ids=["sockets", "memory", "unreliable"])
def make_rig(request, data_root):
    rigs = []

    def make(**bus):
        rigs.append(request.param(data_root, **bus))
        return rigs[-1]

    yield make
    for rig in rigs:
        rig.close()


@pytest.fixture
def rig(make_rig):
    return make_rig()


def seqs(got):
    return [message.seq for message in got]


def test_live_messages_arrive_in_order_and_once(rig):
    _, got = rig.reader("candle.1m.nse.RELIANCE|")
    rig.all_live()
    sent = []
    for _ in range(50):
        sent.append(rig.owner.candle())
        rig.turn()
    rig.until(lambda: len(got) >= 50, "50 bars")

    assert [message.payload for message in got] == sent


def test_envelope_says_where_and_when(rig):
    """Schema version, stream, epoch, seq, prev and three times are on every message."""
    rig.reader("candle.1m.")
    rig.all_live()
    rig.owner.candle("TCS")
    bar = rig.owner.candle("RELIANCE")
    got = rig.readers[0][1]
    rig.until(lambda: len(got) >= 2, "two bars")
    envelope = got[1].envelope

    assert (envelope.v, envelope.stream, envelope.seq, envelope.prev) == (1, "candles", 2, 0)
    assert envelope.epoch == rig.owner.publisher.epoch
    assert envelope.event_us == bar.timestamp_us
    assert envelope.published_us > 0
    assert envelope.payload == bar


def test_a_symbol_never_matches_a_longer_one(rig):
    _, got = rig.reader("candle.1m.nse.REL|")
    rig.all_live()
    rig.owner.candle("RELIANCE")
    rig.owner.candle("REL")
    rig.until(lambda: got, "the bar")

    assert [message.payload.symbol for message in got] == ["REL"]


def test_backfill_gives_today_first(rig):
    for _ in range(20):
        rig.owner.candle()
    _, got = rig.reader("candle.1m.nse.RELIANCE|", backfill=True)
    for _ in range(20):
        rig.owner.candle()
        rig.turn()
    rig.until(lambda: len(got) >= 40, "40 bars")

    assert seqs(got) == list(range(1, 41))


def test_ticks_come_as_batches_or_one_by_one(rig):
    """Both readers of one stream get every tick that is theirs, once."""
    _, everything = rig.reader("ticks.nse|")
    _, one = rig.reader("tick.nse.TCS|")
    rig.all_live()
    for _ in range(30):
        rig.owner.ticks(["RELIANCE", "TCS", "INFY"])
        rig.turn()
    rig.until(lambda: len(one) >= 30 and sum(len(message.payload.ticks) for message in everything) >= 90, "the ticks")

    assert [tick.seq for message in everything for tick in message.payload.ticks] == list(range(1, 91))
    assert seqs(one) == list(range(2, 91, 3))


def test_batches_and_singles_are_replayed_too(rig):
    for _ in range(30):
        rig.owner.ticks(["RELIANCE", "TCS", "INFY"])
    _, everything = rig.reader("ticks.", backfill=True)
    _, one = rig.reader("tick.nse.TCS|", backfill=True)
    rig.until(lambda: len(one) >= 30 and sum(len(message.payload.ticks) for message in everything) >= 90, "the ticks")

    assert [tick.seq for message in everything for tick in message.payload.ticks] == list(range(1, 91))
    assert seqs(one) == list(range(2, 91, 3))


def test_an_owner_may_restart_and_nothing_is_missed(rig):
    _, got = rig.reader("candle.1m.")
    rig.all_live()
    for _ in range(5):
        for _ in range(10):
            rig.owner.candle()
        rig.restart_owner()
    rig.until(lambda: len(got) >= 50, "50 bars")

    assert seqs(got) == list(range(1, 51))


def test_a_reader_may_come_before_its_owner(rig):
    rig.owner.publisher.close()
    _, got = rig.reader("candle.1m.", backfill=True)
    rig.readers[0][0].poll()
    rig.restart_owner()
    for _ in range(10):
        rig.owner.candle()
    rig.until(lambda: len(got) >= 10, "10 bars")

    assert seqs(got) == list(range(1, 11))


def test_a_loss_at_the_tail_shows_by_the_heads(make_rig):
    """Nothing follows the lost message, so only a head can tell."""
    rig = make_rig()
    subscriber, got = rig.reader("candle.1m.")
    rig.all_live()
    quiet = rig.owner.publisher
    rig.owner.candle()
    # The second bar is journalled and counted, and its message never leaves.
    send, quiet._send = quiet._send, lambda _topic, _body: False
    rig.owner.candle()
    quiet._send = send
    rig.until(lambda: len(got) >= 2, "the lost bar")

    assert seqs(got) == [1, 2]
    assert subscriber.metrics.streams["candles"].replays >= 1


def test_a_small_buffer_overflows_into_a_new_join(make_rig):
    """A reader that cannot hold what comes while it catches up begins again, and still loses nothing."""
    rig = make_rig(buffer_messages_max=5, replay_records_max=7)
    for _ in range(100):
        rig.owner.candle()
    _, got = rig.reader("candle.1m.", backfill=True)
    for _ in range(100):
        rig.owner.candle()
        rig.turn()
    rig.until(lambda: len(got) >= 200, "200 bars")

    assert seqs(got) == list(range(1, 201))


def test_latest_keeps_the_newest_of_each_topic(rig):
    """D3: a slow screen sees the newest, not a queue of the old."""
    subscriber, _ = rig.reader("candle.1m.", latest=True)
    rig.readers.clear()  # it reads on its own
    rig.until(lambda: (subscriber.poll(), len(rig.owner.publisher._wanted) >= 1)[1], "the subscription")
    for _ in range(100):
        rig.owner.candle("RELIANCE")
        rig.owner.candle("TCS")
    newest = {}

    def newest_came():
        # In one read: each topic at most once.
        message = subscriber.poll()
        if message is not None:
            newest[message.topic] = newest.get(message.topic, 0) + 1
        return len(newest) == 2 or (rig.owner.candle("RELIANCE") and rig.owner.candle("TCS") and False)

    rig.until(newest_came, "the newest bars")
    subscriber.close()

    assert sum(newest.values()) < 10


#: What `make test` runs of the seeds; `make matrix` runs the rest.
_SAMPLE = 10


@pytest.mark.parametrize(
    "seed", [*range(_SAMPLE), *(pytest.param(seed, marks=pytest.mark.matrix) for seed in range(_SAMPLE, 150))]
)
def test_nothing_is_missed_or_repeated_whatever_happens(seed, data_root):
    """D2, by seed: joins, restarts, loss, repetition and delay in any order."""
    random = Random(seed)
    faults = Faults(random.uniform(0, 0.3), random.uniform(0, 0.3), random.uniform(0, 0.2))
    rig = MemoryRig(
        data_root, seed=seed, faults=faults, buffer_messages_max=random.choice([10, 1000]),
        replay_records_max=random.choice([3, 100]),
    )  # fmt: skip
    symbols = ["RELIANCE", "REL", "TCS", "INFY", "SBIN"]
    choices = [("candle.1m.",), ("candle.1m.nse.REL|",), ("ticks.nse|",), ("tick.nse.TCS|", "candle.")]
    wanted = []
    for _ in range(300):
        match random.choices(["bar", "ticks", "turn", "join", "restart"], [40, 20, 40, 3, 2])[0]:
            case "bar":
                rig.owner.candle(random.choice(symbols), random.choice(["1m", "5m"]))
            case "ticks":
                rig.owner.ticks(random.choices(symbols, k=random.randrange(1, 6)))
            case "turn":
                rig.turn()
            case "join" if len(wanted) < 6:
                topics = random.choice(choices)
                rig.reader(*topics, backfill=True)
                wanted.append(topics)
            case "restart":
                rig.restart_owner()

    def all_there():
        return all(
            _count(got) >= len(_expected(rig, topics))
            for (_, got), topics in zip(rig.readers, wanted, strict=True)
        )  # fmt: skip

    rig.until(all_there, f"everything, seed {seed}")
    for (_, got), topics in zip(rig.readers, wanted, strict=True):
        by_topic = _by_topic(got)
        assert by_topic == _expected_by_topic(rig, topics), f"seed {seed}"


def _single(topics):
    return tuple("tick.nse." if topic == "ticks.nse|" else topic for topic in topics)


def _expected(rig, topics):
    return [row for rows in rig.journal.rows.values() for row in rows if row.topic.startswith(_single(topics))]


def _count(got):
    return sum(len(getattr(message.payload, "ticks", [0])) for message in got)


def _expected_by_topic(rig, topics):
    found = {}
    for row in _expected(rig, topics):
        found.setdefault(row.topic, []).append(row.seq)
    return found


def _by_topic(got):
    found = {}
    for message in got:
        for payload in getattr(message.payload, "ticks", [message.payload]):
            topic = message.topic if not message.topic.startswith("ticks") else f"tick.nse.{payload.symbol}|"
            found.setdefault(topic, []).append(payload.seq)
    return found
