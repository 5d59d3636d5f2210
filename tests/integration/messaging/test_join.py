"""D2, D4: joining, backfill and loss on the real sockets, owner and reader in one process."""

from __future__ import annotations

import msgspec
import pytest

from libs.messaging import GapUnrecoverable, Publisher, Subscriber
from libs.settings import load_settings
from tests.kit.journals import ListJournal, Owner
from tests.kit.processes import wait_until


@pytest.fixture
def settings(data_root):
    return load_settings(environment={"TRADEFLEET_DATA": str(data_root), "TRADEFLEET_BUS_HEAD_INTERVAL_MS": "100"})


@pytest.fixture
def journal():
    return ListJournal()


@pytest.fixture
def owner(settings, journal):
    with Publisher.open("ingestor", settings=settings, source=journal) as publisher:
        yield Owner(journal, publisher)


def collect(owner, subscriber, count):
    """Pump both sides until the reader has so many messages."""
    got = []

    def enough():
        owner.publisher.pump()
        while (message := subscriber.poll()) is not None:
            got.append(message)
        return len(got) >= count

    wait_until(enough, f"{count} messages")
    return got


def settle(owner, subscriber):
    wait_until(lambda: (owner.publisher.pump(), subscriber.poll(), subscriber.joined)[2], "the join")


def test_backfill_gives_today_then_live(owner, settings):
    """D4: the earlier bars first, then the new ones, each once."""
    for _ in range(10):
        owner.candle()
    with Subscriber.open(["candle.1m.nse.RELIANCE|"], settings=settings, backfill=True) as subscriber:
        early = collect(owner, subscriber, 10)
        settle(owner, subscriber)
        for _ in range(10):
            owner.candle()
        late = collect(owner, subscriber, 10)

    assert [message.seq for message in early + late] == list(range(1, 21))
    assert all(message.replayed for message in early)
    assert not any(message.replayed for message in late)


def test_backfill_begins_with_today(owner, journal, settings):
    """What the journal still holds of yesterday is not today's."""
    for _ in range(10):
        owner.candle()
    journal.opened["candles"] = 6
    with Subscriber.open(["candle.1m."], settings=settings, backfill=True) as subscriber:
        got = collect(owner, subscriber, 4)

    assert [message.seq for message in got] == [7, 8, 9, 10]


def test_without_backfill_only_what_comes_is_read(owner, settings):
    for _ in range(10):
        owner.candle()
    with Subscriber.open(["candle.1m."], settings=settings) as subscriber:
        settle(owner, subscriber)
        owner.candle()
        got = collect(owner, subscriber, 1)

    assert [message.seq for message in got] == [11]


def test_a_position_resumes_after_it(owner, settings):
    for _ in range(10):
        owner.candle()
    with Subscriber.open(["candle.1m."], settings=settings, positions={"candles": 4}) as subscriber:
        got = collect(owner, subscriber, 6)

    assert [message.seq for message in got] == [5, 6, 7, 8, 9, 10]


def test_a_range_gone_from_the_journal_is_reported(owner, journal, settings):
    """It is said loudly, names the store, and reading goes on with what there is."""
    for _ in range(10):
        owner.candle()
    journal.forget("candles", 6)
    reports = []
    with Subscriber.open(["candle.1m."], settings=settings, backfill=True, on_gap=reports.append) as subscriber:
        got = collect(owner, subscriber, 4)

    assert [message.seq for message in got] == [7, 8, 9, 10]
    assert [(gap.stream, gap.from_seq, gap.upto_seq) for gap in reports] == [("candles", 1, 6)]
    assert "store of ingestor" in str(reports[0])


def test_strict_raises_for_a_range_that_is_gone(owner, journal, settings):
    for _ in range(10):
        owner.candle()
    journal.forget("candles", 6)
    with (
        Subscriber.open(["candle.1m."], settings=settings, backfill=True, strict=True) as subscriber,
        pytest.raises(GapUnrecoverable),
    ):
        collect(owner, subscriber, 4)


def test_a_full_queue_drops_counts_and_is_replayed(data_root, journal):
    """D2: the publisher never waits for a slow reader, says how many it missed, and the reader gets them all."""
    settings = load_settings(environment={"TRADEFLEET_DATA": str(data_root)})
    bus = msgspec.structs.replace(settings.bus, send_queue_max=50, receive_queue_max=50, head_interval_ms=100)
    settings = msgspec.structs.replace(settings, bus=bus)
    with Publisher.open("ingestor", settings=settings, source=journal) as publisher:
        owner = Owner(journal, publisher)
        with Subscriber.open(["ticks.nse|"], settings=settings) as subscriber:
            settle(owner, subscriber)
            for _ in range(1000):
                owner.ticks(["RELIANCE", "TCS"] * 20)
            got = collect(owner, subscriber, 1)
            while sum(len(message.payload.ticks) for message in got) < 40_000:
                got += collect(owner, subscriber, 1)
            gaps = subscriber.metrics.streams["ticks"].gaps

    assert publisher.metrics.streams["ticks"].dropped > 0
    assert gaps > 0
    assert [tick.seq for message in got for tick in message.payload.ticks] == list(range(1, 40_001))


def test_single_ticks_are_sent_only_for_symbols_someone_wants(owner, settings):
    """The XPUB sees the subscriptions: nobody encodes what nobody reads."""
    with Subscriber.open(["tick.nse.TCS|"], settings=settings) as subscriber:
        settle(owner, subscriber)
        for _ in range(10):
            owner.ticks(["RELIANCE", "TCS", "INFY"])
        got = collect(owner, subscriber, 10)

    assert {message.topic for message in got} == {"tick.nse.TCS|"}
    assert owner.publisher.metrics.streams["ticks"].sent == 10


def test_a_new_epoch_continues_the_stream(settings, journal):
    """A restarted owner has a new epoch and the same journal: its reader misses nothing and repeats nothing."""
    with Publisher.open("ingestor", settings=settings, source=journal) as publisher:
        owner = Owner(journal, publisher)
        subscriber = Subscriber.open(["candle.1m."], settings=settings)
        settle(owner, subscriber)
        for _ in range(5):
            owner.candle()
        got = collect(owner, subscriber, 5)
    with subscriber, Publisher.open("ingestor", settings=settings, source=journal) as publisher:
        publisher.prime("candles", journal.last_by_topic("candles"), journal.head("candles"))
        owner = Owner(journal, publisher)
        for _ in range(5):
            owner.candle()
        got += collect(owner, subscriber, 5)
        epochs = subscriber.metrics.streams["candles"].epochs

    assert [message.seq for message in got] == list(range(1, 11))
    assert epochs == 1
