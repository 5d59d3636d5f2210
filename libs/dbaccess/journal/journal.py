"""The journal's one writer: add records, commit them with one write, and only then tell anybody.

`commit` returns when the records are the kernel's: a killed process loses none of them. `sync` makes them the disk's;
only records up to `synced` may go into a store that is not written by the same sync.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import NoReturn, Self
from zlib import crc32

from libs.core.errors import Refused, RetryLater
from libs.core.faults import crash_point
from libs.dbaccess.errors import StoreCorrupt
from libs.dbaccess.files import sync_directory
from libs.dbaccess.journal.format import BODY, BODY_BYTES_MAX, FRAME, Header, Kind, Record
from libs.dbaccess.journal.lease import Lease, this_boot, write_lease
from libs.dbaccess.journal.opening import Opened, Recovered, open_directory
from libs.dbaccess.journal.reading import oldest_seq, read_all, read_range
from libs.dbaccess.journal.segments import Segment, create, open_for_append, remove, write_index
from libs.settings.journal import Journal as Settings


class Journal:
    """One writer thread; `sync` and the reads may come from any thread. The caller holds the store's writer lock."""

    def __init__(self, directory: Path, opened: Opened, settings: Settings, boot: str) -> None:
        self.directory = directory
        self.epoch = opened.epoch
        self.recovered: Recovered = opened.recovered
        self._settings = settings
        self._boot = boot
        self._segments = opened.segments
        self._next = {stream: seq + 1 for stream, seq in opened.known.items()}
        self._pending = bytearray()
        self._pending_heads: list[tuple[str, int]] = []  # topics of the records in line, and the seq before each
        self._heads: dict[str, int] = {}
        for segment in self._segments:
            self._heads.update(segment.index.heads)
        self._committed = dict(self._next)
        self._synced = {stream: seq - 1 for stream, seq in self._next.items()}
        self._broken = ""
        self._guard = threading.Lock()  # over the file descriptor and the lease's file, which `sync` uses too
        self._lease: dict[str, int] = {}
        self._numbers = {stream: n for n, stream in enumerate(self._segments[-1].header.streams)}
        self._fd = open_for_append(self._segments[-1])

    @classmethod
    def open(
        cls,
        directory: Path,
        streams: Collection[str],
        *,
        watermarks: Mapping[str, int] | None = None,
        settings: Settings | None = None,
        boot: str | None = None,
    ) -> Journal:
        """Open or begin a journal; `recovered` then says what was found.

        `watermarks` are the last seqs the stores hold: the next seq of a stream is beyond its own, whatever was lost.
        """
        boot = this_boot() if boot is None else boot
        opened = open_directory(directory, tuple(streams), watermarks or {}, boot)
        journal = cls(directory, opened, settings or Settings(), boot)
        journal._begin(opened.recovered)
        return journal

    def next_seq(self, stream: str) -> int:
        """The seq the next record of a stream gets, so that it can be written into the payload."""
        return self._next[stream]

    def head(self, stream: str) -> int:
        """The last seq of a stream that is committed."""
        return self._committed[stream] - 1

    def synced(self, stream: str) -> int:
        """The last seq of a stream that is on disk for certain."""
        return self._synced[stream]

    def last_on(self, topic: str) -> int:
        """The last seq on a topic, added or committed; 0 when it has none in the journal."""
        return self._heads.get(topic, 0)

    def heads(self) -> dict[str, int]:
        """The last committed seq of each topic."""
        return self._heads | dict(reversed(self._pending_heads))

    def add(self, kind: Kind, stream: str, topic: str, payload: bytes) -> int:
        """Put a record in line for the next commit; give its seq."""
        seq = self._next[stream]
        if seq > self._lease[stream]:
            self._extend_lease()
        previous = self._heads.get(topic, 0)
        name = topic.encode()
        body = BODY.pack(kind, self._numbers[stream], seq, previous, len(name)) + name + payload
        if len(body) > BODY_BYTES_MAX:
            raise Refused(f"a journal record of {len(body)} bytes; {BODY_BYTES_MAX} at most")
        self._pending += FRAME.pack(len(body), crc32(body))
        self._pending += body
        self._pending_heads.append((topic, previous))
        self._heads[topic] = seq
        self._next[stream] = seq + 1
        return seq

    def commit(self) -> None:
        """Write all added records with one write. When this returns they outlive the process; tell about them now."""
        data = self._pending
        if not data:
            return
        segment = self._segments[-1]
        if segment.index.size >= self._settings.segment_bytes_max:
            segment = self._rotated()
        index = segment.index
        crash_point("journal.write.before")
        self._write(data, index.size)
        crash_point("journal.write.after")
        index.note(index.size)
        index.checksum = crc32(data, index.checksum)
        index.next = [self._next[stream] for stream in index.header.streams]
        index.size += len(data)
        self._committed = dict(self._next)
        self._pending = bytearray()
        self._pending_heads.clear()

    def append(self, kind: Kind, stream: str, topic: str, payload: bytes) -> int:
        """Add one record and commit it."""
        seq = self.add(kind, stream, topic, payload)
        self.commit()
        return seq

    def sync(self) -> None:
        """Force everything committed so far to the disk, and look ahead for the lease."""
        committed = self._committed
        crash_point("journal.sync.before")
        with self._guard:
            descriptor = os.dup(self._fd)
        try:
            os.fsync(descriptor)
        except OSError as e:
            self._broken = f"{self._segments[-1].path}: the disk refused a sync: {e}"
            raise StoreCorrupt(self._broken) from e
        finally:
            os.close(descriptor)
        crash_point("journal.sync.after")
        self._synced = {stream: seq - 1 for stream, seq in committed.items()}
        reserve = self._settings.lease_span // 2
        if any(self._lease[stream] - seq < reserve for stream, seq in committed.items()):
            self._extend_lease()

    def oldest(self, stream: str) -> int:
        """The first seq of a stream the journal can still give."""
        return oldest_seq(self._segments, stream, self._committed[stream])

    def read(
        self, stream: str, after: int, upto: int | None = None, topics: Iterable[str] | None = None
    ) -> Iterator[Record]:
        """Give the committed records of a stream with `after < seq <= upto`, in order, of all topics or of some.

        Raises `RangeGone` when records after `after` were dropped, and `StoreCorrupt` at a damaged record.
        """
        head = self.head(stream)
        return read_range(self._segments, stream, after, head if upto is None else min(upto, head), topics)

    def records(self, after: Mapping[str, int] | None = None) -> Iterator[Record]:
        """Give every record that is still here, of all streams, in the order they were written.

        `after` leaves out, for a stream it names, what the reader has already.
        """
        return read_all(self._segments, after or {})

    def drop_through(self, watermarks: Mapping[str, int]) -> int:
        """Remove the sealed segments whose every record is at or below its stream's watermark; give how many."""
        dropped = 0
        while len(self._segments) > 1:
            first = self._segments[0]
            last = {stream: first.last(n) for n, stream in enumerate(first.header.streams)}
            begun = dict(zip(first.header.streams, first.header.next, strict=True))
            if any(seq >= begun[stream] and seq > watermarks.get(stream, 0) for stream, seq in last.items()):
                break
            self._segments = self._segments[1:]
            crash_point("journal.drop.before")
            remove(first)
            dropped += 1
        if dropped:
            sync_directory(self.directory)
        return dropped

    def close(self) -> None:
        """Sync, and give the rest of the lease back, so that no seq is skipped even after a new boot."""
        if self._fd < 0:
            return
        if not self._broken:
            self.sync()
            self._put_lease({stream: seq - 1 for stream, seq in self._committed.items()})
        os.close(self._fd)
        self._fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _write(self, data: bytearray, size: int) -> None:
        if self._broken:
            raise StoreCorrupt(self._broken)
        try:
            written = os.write(self._fd, data)
        except OSError as e:
            self._take_back(size, f"{e}")
        else:
            if written != len(data):
                self._take_back(size, f"{written} of {len(data)} bytes were written")

    def _take_back(self, size: int, why: str) -> NoReturn:
        """Undo a write that was not whole, so that its seqs can be used again."""
        path = self._segments[-1].path
        self._pending = bytearray()
        while self._pending_heads:
            topic, previous = self._pending_heads.pop()
            self._heads[topic] = previous
        self._next = dict(self._committed)
        try:
            os.ftruncate(self._fd, size)
        except OSError as e:
            self._broken = f"{path}: offset {size}: a broken write ({why}) could not be cut off: {e}"
            raise StoreCorrupt(self._broken) from e
        raise RetryLater(f"{path}: nothing was written: {why}")

    def _rotated(self) -> Segment:
        try:
            return self._rotate()
        except OSError as e:
            self._take_back(self._segments[-1].index.size, f"no new segment could be made: {e}")

    def _rotate(self) -> Segment:
        """Seal the segment and begin the next. Everything in the old one is on disk before the new one is there."""
        old = self._segments[-1]
        crash_point("journal.rotate.before")
        self.sync()
        old.index.heads = self.heads()
        write_index(old)
        crash_point("journal.rotate.sealed")
        streams = (*old.header.streams, *(s for s in self._committed if s not in old.header.streams))
        follows = dict(zip(old.header.streams, old.index.next, strict=True)) | self._committed
        header = Header(self.epoch, old.header.number + 1, streams, tuple(follows[stream] for stream in streams))
        fresh = create(self.directory, header)
        crash_point("journal.rotate.after")
        with self._guard:
            os.close(self._fd)
            self._fd = open_for_append(fresh)
            self._segments = [*self._segments, fresh]
            self._numbers = {stream: n for n, stream in enumerate(streams)}
            self._put_lease(self._lease)
        return fresh

    def _begin(self, recovered: Recovered) -> None:
        """Take the lease anew, before any seq is used; then note what was skipped."""
        for stream, (_, leased) in recovered.skipped.items():
            self._next[stream] = leased + 1
        self._extend_lease()
        if any(stream not in self._numbers for stream in self._next):
            self._rotate()
        for stream, (known, leased) in recovered.skipped.items():
            body = BODY.pack(Kind.SKIP, self._numbers[stream], leased + 1, known, 0)
            self._pending += FRAME.pack(len(body), crc32(body)) + body
            self._next[stream] = leased + 2
        self.commit()
        self.sync()

    def _extend_lease(self) -> None:
        with self._guard:
            through = {stream: seq - 1 + self._settings.lease_span for stream, seq in self._next.items()}
            self._put_lease(through)
            self._lease = through

    def _put_lease(self, through: Mapping[str, int]) -> None:
        number = self._segments[-1].header.number
        write_lease(self.directory / "lease", Lease(self.epoch, self._boot, number, dict(through)))
