"""C3: the journal across deaths of the process and of the machine, with a full disk, and while it is being read."""

from __future__ import annotations

import errno
import os
import signal
import threading

import pytest

from libs.core.errors import RetryLater
from libs.dbaccess import StoreCorrupt
from libs.dbaccess.journal import Journal, Kind, RangeGone
from libs.settings.journal import Journal as JournalSettings
from tests.kit.processes import run_code

STREAMS = ("ticks", "candles")
SMALL = JournalSettings(segment_bytes_max=4096, lease_span=50)

WRITER = """
    import sys
    from pathlib import Path
    from libs.dbaccess.journal import Journal, Kind
    from libs.settings.journal import Journal as Settings
    small = Settings(segment_bytes_max=4096, lease_span=50)
    journal = Journal.open(Path(sys.argv[1]), ("ticks", "candles"), settings=small)
    for batch in range(120):
        seqs = [journal.add(Kind.TICK, "ticks", f"t{n}|", b"%100d" % journal.next_seq("ticks")) for n in range(3)]
        journal.commit()
        print(*seqs, flush=True)                  # what the world was told
        if batch % 7 == 6:
            journal.sync()
        if batch % 40 == 39:
            journal.drop_through({"ticks": seqs[-1] - 60, "candles": 0})
    journal.close()
"""

POINTS = [
    "journal.write.before", "journal.write.after", "journal.sync.before", "journal.sync.after",
    "journal.rotate.before", "journal.rotate.sealed", "journal.rotate.after",
    "journal.lease.before", "journal.lease.after", "journal.drop.before",
]  # fmt: skip


def opened(directory, boot="b", **watermarks):
    return Journal.open(directory, STREAMS, settings=SMALL, boot=boot, watermarks=watermarks)


def fill(journal, count, stream="ticks"):
    for _ in range(count):
        journal.append(Kind.TICK, stream, "t|", b"x" * 20)


@pytest.mark.parametrize("point", POINTS)
def test_killed_at_every_point(tmp_path, point):
    """kill -9 at the first hit, then at the third: what was told is there, seqs have no hole and no repeat."""
    told: list[int] = []
    for at in (point, f"{point}:3"):
        done = run_code(WRITER, tmp_path, TRADEFLEET_CRASH_AT=at)
        assert done.returncode == -signal.SIGKILL, done.stderr
        told += [int(word) for word in done.stdout.split()]

        with Journal.open(tmp_path, STREAMS, settings=SMALL) as journal:
            records = list(journal.read("ticks", journal.oldest("ticks") - 1))
            kept = [int(record.payload) for record in records]
            assert kept == list(range(journal.oldest("ticks"), journal.head("ticks") + 1))
            assert {seq for seq in told if seq >= journal.oldest("ticks")} <= set(kept)
            assert not journal.recovered.skipped
            assert not journal.recovered.torn_bytes
            for topic in ("t0|", "t1|", "t2|"):
                chain = [record for record in records if record.topic == topic]
                assert [record.prev for record in chain[1:]] == [record.seq for record in chain[:-1]]
                assert journal.last_on(topic) == (chain[-1].seq if chain else 0)
    assert len(told) == len(set(told))
    assert told == sorted(told)


def test_after_a_crash_of_the_machine_seqs_go_on_after_the_lease(tmp_path):
    """The unsynced tail may be gone, though its seqs were published: a skip record says what is not known."""
    fill(opened(tmp_path), 10)
    journal = opened(tmp_path, boot="another")

    assert journal.recovered.skipped["ticks"] == (10, 50)
    assert journal.next_seq("ticks") == 52
    skip = list(journal.read("ticks", 10))
    assert [(record.kind, record.seq, record.prev) for record in skip] == [(Kind.SKIP, 51, 10)]


def test_after_a_clean_end_nothing_is_skipped_even_after_a_new_boot(tmp_path):
    with opened(tmp_path) as journal:
        fill(journal, 10)
    journal = opened(tmp_path, boot="another")

    assert not journal.recovered.skipped
    assert journal.next_seq("ticks") == 11


def test_an_unknown_boot_counts_as_a_new_one(tmp_path):
    fill(opened(tmp_path, boot=""), 10)

    assert opened(tmp_path, boot="").recovered.skipped


def test_a_torn_tail_skips_to_the_lease(tmp_path):
    """More than a torn write may have been cut: the seqs behind it could have been published."""
    fill(opened(tmp_path), 10)
    path = next(tmp_path.glob("*.journal"))
    data = bytearray(path.read_bytes())
    data[-70] ^= 0xFF
    path.write_bytes(data)
    journal = opened(tmp_path)

    assert journal.recovered.torn_bytes > 70
    assert journal.recovered.torn_kept.read_bytes() == bytes(data[-journal.recovered.torn_bytes :])
    assert journal.next_seq("ticks") > 50


def test_a_lost_segment_skips_to_the_lease(tmp_path):
    journal = opened(tmp_path)
    fill(journal, 100)
    last = max(tmp_path.glob("*.journal"))
    assert last.stem > "00000001"
    last.unlink()
    again = opened(tmp_path)

    assert again.recovered.skipped["ticks"][1] >= 100
    assert again.next_seq("ticks") > 100


def test_a_hole_between_segments_is_corrupt(tmp_path):
    fill(opened(tmp_path), 300)
    sorted(tmp_path.glob("*.journal"))[1].unlink()

    with pytest.raises(StoreCorrupt, match="missing between"):
        opened(tmp_path)


def test_the_stores_watermark_wins_over_a_shorter_journal(tmp_path):
    """The journal's directory was set aside; the store knows which seqs it has."""
    journal = opened(tmp_path, ticks=700)

    assert journal.next_seq("ticks") == 701
    assert journal.next_seq("candles") == 1
    assert list(journal.read("ticks", 700)) == []
    with pytest.raises(RangeGone, match="begins at 701"):
        fill(journal, 1)
        journal.read("ticks", 500)


def test_the_epoch_lives_as_long_as_the_directory(tmp_path):
    with opened(tmp_path / "a") as journal:
        epoch = journal.epoch

    assert opened(tmp_path / "a").epoch == epoch
    assert opened(tmp_path / "b").epoch != epoch


def test_segments_that_went_into_the_store_are_dropped(tmp_path):
    """Only when every stream's records are below its watermark, and never the one that is being written."""
    journal = opened(tmp_path)
    fill(journal, 150)
    journal.append(Kind.BAR, "candles", "c|", b"bar")
    fill(journal, 150)
    files = len(list(tmp_path.glob("*.journal")))

    assert journal.drop_through({"ticks": 150}) > 0
    assert [r.payload for r in journal.read("candles", 0)] == [b"bar"]
    assert journal.drop_through({"ticks": 300}) == 0
    journal.drop_through({"ticks": 300, "candles": 1})
    assert len(list(tmp_path.glob("*.journal"))) == 1 < files
    with pytest.raises(RangeGone, match="read the store"):
        journal.read("ticks", 10)
    assert [record.seq for record in journal.read("ticks", journal.oldest("ticks") - 1)][-1] == 300
    assert opened(tmp_path).next_seq("ticks") == 301


def test_a_full_disk_refuses_and_uses_no_seq(tmp_path, monkeypatch):
    """Half a write is cut off again; when there is room the same seqs go in."""
    journal = opened(tmp_path)
    fill(journal, 3)
    write = os.write

    def half(descriptor, data):
        write(descriptor, bytes(data)[: len(data) // 2])
        return len(data) // 2

    def full(descriptor, data):
        raise OSError(errno.ENOSPC, "No space left on device")

    for failing in (half, full):
        monkeypatch.setattr(os, "write", failing)
        with pytest.raises(RetryLater, match="nothing was written"):
            fill(journal, 1)
    monkeypatch.undo()
    fill(journal, 2)

    assert [record.seq for record in opened(tmp_path).read("ticks", 0)] == [1, 2, 3, 4, 5]


def test_a_disk_that_refuses_a_sync_stops_the_journal(tmp_path, monkeypatch):
    """After a failed sync the kernel may have thrown the pages away; going on would promise what is lost."""
    journal = opened(tmp_path)
    fill(journal, 3)

    def refuse(descriptor):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(StoreCorrupt, match="refused a sync"):
        journal.sync()
    with pytest.raises(StoreCorrupt):
        fill(journal, 1)


def test_synced_follows_sync_and_not_commit(tmp_path):
    journal = opened(tmp_path)
    fill(journal, 3)

    assert (journal.head("ticks"), journal.synced("ticks")) == (3, 0)
    journal.sync()
    assert journal.synced("ticks") == 3


def test_added_is_not_committed(tmp_path):
    journal = opened(tmp_path)
    journal.add(Kind.TICK, "ticks", "t|", b"")

    assert journal.head("ticks") == 0
    assert list(journal.read("ticks", 0)) == []
    assert opened(tmp_path).next_seq("ticks") == 1


def test_a_stream_added_later_has_its_own_seqs(tmp_path):
    with Journal.open(tmp_path, ("ticks",), settings=SMALL, boot="b") as journal:
        fill(journal, 5)
    journal = opened(tmp_path)
    journal.append(Kind.BAR, "candles", "c|", b"bar")

    assert [(record.stream, record.seq) for record in journal.records()][-2:] == [("ticks", 5), ("candles", 1)]
    assert [record.seq for record in opened(tmp_path).read("candles", 0)] == [1]


def test_a_stream_nobody_writes_any_more_is_no_obstacle(tmp_path):
    with opened(tmp_path) as journal:
        fill(journal, 5)
        fill(journal, 7, "candles")
    with Journal.open(tmp_path, ("ticks",), settings=SMALL, boot="b") as journal:
        fill(journal, 200)
    journal = opened(tmp_path)

    assert (journal.next_seq("ticks"), journal.next_seq("candles")) == (206, 8)
    assert [record.seq for record in journal.read("candles", 0)] == list(range(1, 8))


def test_readers_and_sync_beside_the_writer(tmp_path):
    """Replay and sync run in other threads; every read is a whole prefix."""
    journal = opened(tmp_path)
    stop = threading.Event()
    problems: list[object] = []

    def read():
        while not stop.is_set():
            head = journal.head("ticks")
            seqs = [record.seq for record in journal.read("ticks", 0, head)]
            if seqs != list(range(1, head + 1)):
                problems.append((head, seqs[-3:]))

    def sync():
        while not stop.is_set():
            before = journal.head("ticks")
            journal.sync()
            if journal.synced("ticks") < before:
                problems.append(("synced", before))

    threads = [threading.Thread(target=work) for work in (read, sync)]
    for thread in threads:
        thread.start()
    fill(journal, 1500)
    stop.set()
    for thread in threads:
        thread.join()

    assert not problems
    assert len(list(tmp_path.glob("*.journal"))) > 5


def test_a_lease_that_does_not_match_its_checksum_is_corrupt(tmp_path):
    fill(opened(tmp_path), 1)
    path = tmp_path / "lease"
    path.write_bytes(path.read_bytes().replace(b'"ticks":50', b'"ticks":10'))

    with pytest.raises(StoreCorrupt, match="lease"):
        opened(tmp_path)


def test_segments_of_another_journal_are_refused(tmp_path):
    with opened(tmp_path / "a") as journal:
        fill(journal, 200)
    with opened(tmp_path / "b") as journal:
        fill(journal, 200)
    for path in (tmp_path / "a").glob("00000001.*"):
        path.write_bytes((tmp_path / "b" / path.name).read_bytes())

    with pytest.raises(StoreCorrupt, match="segments of 2 journals"):
        opened(tmp_path / "a")
