"""Reading a range back, for replay. Beside the writer, from any thread: what is committed never changes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping

from libs.core.errors import Refused
from libs.dbaccess.errors import StoreCorrupt
from libs.dbaccess.journal.format import BODY, FRAME, Record, bodies, decode
from libs.dbaccess.journal.segments import Segment

_CHUNK_BYTES = 1024 * 1024


class RangeGone(Refused):
    """The wanted seqs were dropped from the journal after they went into the store; read them there."""

    def __init__(self, stream: str, wanted: int, oldest: int) -> None:
        self.oldest = oldest
        super().__init__(f"{stream}: seq {wanted} is gone from the journal, which begins at {oldest}; read the store")


def oldest_seq(segments: list[Segment], stream: str, default: int) -> int:
    """The first seq of a stream that the segments can give; the default when none knows the stream."""
    for segment in segments:
        if stream in segment.header.streams:
            return segment.header.next[segment.header.streams.index(stream)]
    return default


def read_range(
    segments: list[Segment], stream: str, after: int, upto: int, topics: Iterable[str] | None
) -> Iterator[Record]:
    """Give a stream's records with `after < seq <= upto`. The list is the reader's: the writer makes a new one."""
    oldest = oldest_seq(segments, stream, upto + 1)
    if after + 1 < oldest and after < upto:
        raise RangeGone(stream, after + 1, oldest)
    return _range(segments, stream, after, upto, topics)


def read_all(segments: list[Segment], after: Mapping[str, int]) -> Iterator[Record]:
    """Give all streams' records in the order they were written, but for what the reader has already."""
    for segment in segments:
        index = segment.index
        size = index.size
        for record in records_of(segment, size, index.marks[0][0] if index.marks else size):
            if record.seq > after.get(record.stream, 0):
                yield record


def _range(
    segments: list[Segment], stream: str, after: int, upto: int, topics: Iterable[str] | None
) -> Iterator[Record]:
    wanted = None if topics is None else frozenset(topic.encode() for topic in topics)
    passed = after
    for segment in segments:
        if passed >= upto:
            return
        if stream not in segment.header.streams:
            continue
        number = segment.header.streams.index(stream)
        if segment.last(number) <= passed:
            continue
        size = segment.index.size
        offset = segment.index.offset_before(number, passed + 1)
        try:
            for record in records_of(segment, size, offset, wanted):
                if record.seq > upto and record.stream == stream:
                    return
                if record.stream == stream and record.seq > passed:
                    yield record
                    passed = record.seq
        except FileNotFoundError as e:
            raise RangeGone(stream, passed + 1, segment.last(number) + 1) from e


def records_of(segment: Segment, size: int, offset: int, topics: Collection[bytes] | None = None) -> Iterator[Record]:
    """Give a segment's records between an offset where one begins and its committed size, of all topics or of some."""
    streams = segment.header.streams
    for data, bounds in _chunks(segment, size, offset):
        for begin, stop in bounds:
            if topics is not None:
                topic_begin = begin + BODY.size
                topic_length = int.from_bytes(data[topic_begin - 2 : topic_begin], "little")
                if data[topic_begin : topic_begin + topic_length] not in topics:
                    continue
            yield decode(data, begin, stop, streams)


def _chunks(segment: Segment, size: int, offset: int) -> Iterator[tuple[bytes, list[tuple[int, int]]]]:
    """Give pieces of the file with the bounds of the sound bodies in each."""
    with segment.path.open("rb") as file:
        wanted = _CHUNK_BYTES
        while offset < size:
            file.seek(offset)
            data = file.read(min(wanted, size - offset))
            bounds = list(bodies(data, 0, len(data)))
            if not bounds:
                whole = FRAME.unpack_from(data)[0] + FRAME.size if len(data) >= FRAME.size else size
                if len(data) < whole <= size - offset:
                    wanted = whole  # one record longer than a chunk
                    continue
                raise StoreCorrupt(f"{segment.path}: offset {offset}: a record does not match its checksum")
            yield data, bounds
            offset += bounds[-1][1]
            wanted = _CHUNK_BYTES
