"""Segment files and the index of each: where seqs are, which seqs and topics a segment holds.

A sealed segment has its index beside it (`.idx`, rebuilt when missing) with a checksum of the whole file, so that
opening the journal finds a flipped byte anywhere without decoding every record.
"""

from __future__ import annotations

import os
from bisect import bisect_right
from pathlib import Path
from zlib import crc32

import msgspec

from libs.dbaccess.errors import StoreCorrupt
from libs.dbaccess.files import PRIVATE_FILE, sync_directory, write_atomically
from libs.dbaccess.journal.format import BODY, Header, bodies, decode_header, encode_header

SUFFIX = ".journal"
#: A mark is noted at most every so many bytes; a read starts at a mark.
MARK_EVERY_BYTES = 64 * 1024


class Index(msgspec.Struct):
    """What a segment holds. `marks` are (offset, next seq of each stream there).

    `heads` are the last seqs of topics at the segment's end, of this and earlier segments; known once it is sealed.
    """

    header: Header
    size: int
    checksum: int
    next: list[int]
    marks: list[tuple[int, tuple[int, ...]]]
    heads: dict[str, int]

    def note(self, offset: int) -> None:
        """Remember where a record or a batch begins, when the last mark is far enough behind."""
        if not self.marks or offset - self.marks[-1][0] >= MARK_EVERY_BYTES:
            self.marks.append((offset, tuple(self.next)))

    def offset_before(self, stream: int, seq: int) -> int:
        """Give an offset that no record of the stream with that seq or a later one lies before."""
        position = bisect_right(self.marks, seq, key=lambda mark: mark[1][stream] if stream < len(mark[1]) else 0)
        return self.marks[max(0, position - 1)][0] if self.marks else self.size


class Segment:
    """One file and its index. The path says its number."""

    def __init__(self, path: Path, index: Index) -> None:
        self.path = path
        self.index = index

    @property
    def header(self) -> Header:
        return self.index.header

    def last(self, stream: int) -> int:
        """The last seq of a stream up to the end of this segment."""
        return self.index.next[stream] - 1 if stream < len(self.index.next) else 0


def segment_path(directory: Path, number: int) -> Path:
    return directory / f"{number:08d}{SUFFIX}"


def segment_paths(directory: Path) -> list[Path]:
    """List the segments in order, refusing a hole between them."""
    paths = sorted(directory.glob("????????" + SUFFIX))
    numbers = [int(path.stem) for path in paths]
    if numbers and numbers != list(range(numbers[0], numbers[0] + len(numbers))):
        raise StoreCorrupt(f"{directory}: a segment is missing between {paths[0].name} and {paths[-1].name}")
    return paths


def create(directory: Path, header: Header) -> Segment:
    """Make a segment with its header: whole under its name, or not there."""
    data = encode_header(header)
    path = segment_path(directory, header.number)
    write_atomically(path, data)
    return Segment(path, Index(header, len(data), crc32(data), list(header.next), [], {}))


def scan(path: Path) -> tuple[Segment, int]:
    """Read a whole segment; give it up to its last sound record, and how many bytes follow that."""
    data = path.read_bytes()
    header, start = decode_header(data, path)
    index = Index(header, start, 0, list(header.next), [], {})
    end = start
    for begin, stop in bodies(data, start, len(data)):
        index.note(end)
        _, stream, seq, _, topic_length = BODY.unpack_from(data, begin)
        if seq < index.next[stream]:
            raise StoreCorrupt(f"{path}: offset {end}: {header.streams[stream]} has seq {seq} twice")
        index.next[stream] = seq + 1
        topic_begin = begin + BODY.size
        if topic_length:
            index.heads[str(data[topic_begin : topic_begin + topic_length], "utf-8")] = seq
        end = stop
    index.size = end
    index.checksum = crc32(memoryview(data)[:end])
    return Segment(path, index), len(data) - end


def load_sealed(path: Path) -> Segment:
    """Give a segment that is not the last, checked from its first byte to its last."""
    found = _stored_index(path)
    data = path.read_bytes()
    if found and len(data) == found.size and crc32(data) == found.checksum:
        return Segment(path, found)
    segment, rest = scan(path)
    if rest or (found and (segment.index.size, segment.index.checksum) != (found.size, found.checksum)):
        raise StoreCorrupt(
            f"{path}: offset {segment.index.size}: a record does not match its checksum, and this is not the last "
            "segment; keep the file, restore from the store or set the directory aside"
        )
    write_index(segment)
    return segment


def write_index(segment: Segment) -> None:
    write_atomically(_index_path(segment.path), _sealed(msgspec.msgpack.encode(segment.index)), sync=False)


def remove(segment: Segment) -> None:
    segment.path.unlink(missing_ok=True)
    _index_path(segment.path).unlink(missing_ok=True)


def cut(segment: Segment) -> Path:
    """Cut a torn tail off the file; the bytes are kept beside it for whoever wants to know."""
    size = segment.index.size
    descriptor = os.open(segment.path, os.O_RDWR)
    try:
        tail = segment.path.read_bytes()[size:]
        kept = segment.path.with_name(f"{segment.path.stem}.{size}.torn")
        write_atomically(kept, tail)
        os.ftruncate(descriptor, size)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return kept


def open_for_append(segment: Segment) -> int:
    """Open a segment for unbuffered writes at its end."""
    return os.open(segment.path, os.O_WRONLY | os.O_APPEND, PRIVATE_FILE)


def sweep(directory: Path) -> None:
    """Remove what a death half way leaves: temporary files, indexes without their segment."""
    for path in directory.glob(".*.tmp"):
        path.unlink(missing_ok=True)
    for path in directory.glob("*.idx"):
        if not path.with_suffix(SUFFIX).exists():
            path.unlink(missing_ok=True)
    sync_directory(directory)


def _index_path(path: Path) -> Path:
    return path.with_suffix(".idx")


def _sealed(data: bytes) -> bytes:
    return crc32(data).to_bytes(4, "little") + data


def _stored_index(path: Path) -> Index | None:
    """Read the index beside a segment; None when there is none that can be trusted."""
    try:
        data = _index_path(path).read_bytes()
    except FileNotFoundError:
        return None
    if len(data) < 4 or crc32(data[4:]) != int.from_bytes(data[:4], "little"):
        return None
    try:
        return msgspec.msgpack.decode(data[4:], type=Index)
    except msgspec.DecodeError:
        return None
