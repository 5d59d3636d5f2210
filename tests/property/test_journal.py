"""C3: whatever is appended comes back, and damage is either a cut tail or a loud error."""

from __future__ import annotations

import os
import random
import shutil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from libs.dbaccess import StoreCorrupt
from libs.dbaccess.journal import Journal, Kind
from libs.dbaccess.journal.format import bodies, decode_header
from libs.settings.journal import Journal as JournalSettings

STREAMS = ("ticks", "candles")
SMALL = JournalSettings(segment_bytes_max=4096, lease_span=1000)

RECORD = st.tuples(
    st.sampled_from([Kind.TICK, Kind.BAR, Kind.LATE, Kind.GAP, Kind.MARKET, Kind.MINUTE_CLOSED]),
    st.sampled_from(STREAMS),
    st.sampled_from(["tick.nse.M&M|", "tick.nse.ÅÄ|", "candle.1m.nse.ACC|", ""]),
    st.binary(max_size=300),
)


@pytest.fixture(scope="module", autouse=True)
def quick_disk():
    """What survives the machine is simulated here, so no test waits for the real disk."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        yield


def written(directory, seed=1, count=250):
    """A journal of several segments, closed by death; what it held."""
    rng = random.Random(seed)
    journal = Journal.open(directory, STREAMS, settings=SMALL, boot="b")
    for _ in range(count):
        for _ in range(rng.randrange(1, 4)):
            journal.add(Kind.TICK, rng.choice(STREAMS), f"t{rng.randrange(5)}|", rng.randbytes(rng.randrange(60)))
        journal.commit()
    return list(journal.records())


@settings(max_examples=25, deadline=None)
@given(batches=st.lists(st.lists(RECORD, min_size=1, max_size=20), max_size=30), span=st.sampled_from([1, 50, 1000]))
def test_what_was_appended_comes_back(tmp_path_factory, batches, span):
    """In order, with seqs that count each stream and `prev` that counts each topic, before and after a reopening."""
    directory = tmp_path_factory.mktemp("journal")
    journal = Journal.open(
        directory, STREAMS, settings=JournalSettings(segment_bytes_max=4096, lease_span=span), boot="b"
    )
    expected = []
    next_seq, heads = dict.fromkeys(STREAMS, 1), {}
    for batch in batches:
        for kind, stream, topic, payload in batch:
            seq = journal.add(kind, stream, topic, payload)
            assert seq == next_seq[stream]
            expected.append((kind, stream, seq, heads.get(topic, 0) if topic else None, topic, payload))
            next_seq[stream] += 1
            heads[topic] = seq
        journal.commit()

    def seen(records):
        return [(r.kind, r.stream, r.seq, r.prev if r.topic else None, r.topic, r.payload) for r in records]

    assert seen(journal.records()) == expected
    for again in (Journal.open(directory, STREAMS, settings=SMALL, boot="b"), journal):
        assert seen(again.records()) == expected
        for stream in STREAMS:
            mine = [record for record in expected if record[1] == stream]
            assert seen(again.read(stream, 0)) == mine
            assert (
                seen(again.read(stream, len(mine) // 3, 2 * len(mine) // 3))
                == mine[len(mine) // 3 : 2 * len(mine) // 3]
            )
            assert seen(again.read(stream, 0, topics=["tick.nse.M&M|"])) == [r for r in mine if r[4] == "tick.nse.M&M|"]
            assert again.next_seq(stream) == next_seq[stream]
        assert all(again.last_on(topic) == seq for topic, seq in heads.items() if topic)


def test_a_range_is_found_through_the_marks(tmp_path):
    """One segment with many marks: each range begins and ends exactly where it should, for either stream."""
    rng = random.Random(5)
    journal = Journal.open(tmp_path, STREAMS, boot="b")
    seqs = {stream: [] for stream in STREAMS}
    while journal._segments[-1].index.size < 600_000:
        for _ in range(rng.randrange(1, 30)):
            stream = rng.choices(STREAMS, (20, 1))[0]
            seqs[stream].append(journal.add(Kind.TICK, stream, "t|", bytes(rng.randrange(120))))
        journal.commit()
    assert len(journal._segments[-1].index.marks) > 5

    for again in (journal, Journal.open(tmp_path, STREAMS, boot="b")):
        for stream in STREAMS:
            for _ in range(15):
                after = rng.randrange(len(seqs[stream]))
                upto = rng.randrange(after, len(seqs[stream]) + 1)
                assert [record.seq for record in again.read(stream, after, upto)] == list(range(after + 1, upto + 1))


def test_a_tail_cut_anywhere_leaves_exactly_the_whole_records(tmp_path):
    """Cut at every byte of the last records; the rest is kept, the tail is reported and set aside."""
    records = written(tmp_path / "whole", count=130)
    last = max((tmp_path / "whole").glob("*.journal"))
    data = last.read_bytes()
    _, start = decode_header(data, last)
    ends = [start, *(end for _, end in bodies(data, start, len(data)))]
    assert len(ends) > 5
    before = len(records) - (len(ends) - 1)
    for size in range(ends[-4], len(data)):
        directory = tmp_path / "cut"
        shutil.copytree(tmp_path / "whole", directory)
        (directory / last.name).write_bytes(data[:size])
        with Journal.open(directory, STREAMS, settings=SMALL, boot="b") as journal:
            whole = sum(end <= size for end in ends) - 1

            kept = [record for record in journal.records() if record.kind is not Kind.SKIP]
            assert kept == records[: before + whole]
            assert journal.recovered.torn_bytes == size - ends[whole]
            assert bool(journal.recovered.torn_kept) is (size not in ends)
        shutil.rmtree(directory)


@pytest.mark.parametrize("index_is_there", [True, False])
@pytest.mark.parametrize("seed", range(15))
def test_a_flipped_byte_in_an_older_segment_is_named(tmp_path, seed, index_is_there):
    """Found at opening, with the file and the offset; nothing is cut, nothing is skipped over."""
    rng = random.Random(seed)
    written(tmp_path, seed)
    path = rng.choice(sorted(tmp_path.glob("*.journal"))[:-1])
    data = bytearray(path.read_bytes())
    position = rng.randrange(len(data))
    data[position] ^= 1 << rng.randrange(8)
    path.write_bytes(data)
    if not index_is_there:
        path.with_suffix(".idx").unlink()

    with pytest.raises(StoreCorrupt, match=rf"{path.name}: offset \d+"):
        Journal.open(tmp_path, STREAMS, settings=SMALL, boot="b")
    assert path.read_bytes() == data


@pytest.mark.parametrize("seed", range(8))
def test_a_flipped_byte_under_a_reader_is_named(tmp_path, seed):
    """The disk may go bad while the journal is open: a replay must not pass damage on."""
    rng = random.Random(seed)
    written(tmp_path, seed)
    journal = Journal.open(tmp_path, STREAMS, settings=SMALL, boot="b")
    path = rng.choice(sorted(tmp_path.glob("*.journal")))
    data = bytearray(path.read_bytes())
    _, start = decode_header(bytes(data), path)
    data[rng.randrange(start, len(data))] ^= 1 << rng.randrange(8)
    path.write_bytes(data)

    with pytest.raises(StoreCorrupt, match=path.name):
        list(journal.records())


@pytest.mark.parametrize("seed", range(12))
def test_no_seq_is_used_twice_whatever_dies(tmp_path, seed):
    """Processes die, machines die and take the unsynced tail along: a published seq never comes again.

    A record counts as published once its commit returned, as the ingestor publishes.
    """
    rng = random.Random(seed)
    boot, used = 0, dict.fromkeys(STREAMS, 0)
    for _ in range(12):
        span = rng.choice((1, 20, 500))
        shape = JournalSettings(segment_bytes_max=4096, lease_span=span)
        journal = Journal.open(tmp_path, STREAMS, settings=shape, boot=f"boot-{boot}")
        durable = None
        for _ in range(rng.randrange(60)):
            for _ in range(rng.randrange(1, 6)):
                stream = rng.choice(STREAMS)
                seq = journal.add(Kind.TICK, stream, "t|", bytes(rng.randrange(80)))
                assert seq > used[stream]
                used[stream] = seq
            journal.commit()
            if rng.random() < 0.2:
                journal.sync()
                durable = {path: path.stat().st_size for path in tmp_path.glob("*.journal")}
        match rng.choice(("closed", "killed", "machine")):
            case "closed":
                journal.close()
            case "machine" if durable:
                boot += 1
                for path, size in durable.items():  # what was not synced is lost; sealed segments were synced
                    if path == max(tmp_path.glob("*.journal")):
                        path.write_bytes(path.read_bytes()[:size])
            case _:
                pass
    seqs = [
        (record.stream, record.seq) for record in Journal.open(tmp_path, STREAMS, settings=SMALL, boot="x").records()
    ]
    assert len(seqs) == len(set(seqs))
