"""Bytes of a journal segment: a header, then records, each with its length and checksum before it.

Little endian. A record is `length u32, crc32 u32` and a body of that length: `kind u8, stream u8, seq u64, prev u64,
topic length u16, topic, payload`. The checksum is the body's. `prev` is the seq before it on the same topic.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from enum import IntEnum
from pathlib import Path
from zlib import crc32

import msgspec

from libs.dbaccess.errors import StoreCorrupt

MAGIC = b"TFJ1"
FRAME = struct.Struct("<II")
BODY = struct.Struct("<BBQQH")
BODY_BYTES_MAX = 16 * 1024 * 1024
_SMALLEST = BODY.size


class Kind(IntEnum):
    """What a record is about. Numbers are for ever: they are on disk."""

    TICK = 1
    BAR = 2
    LATE = 3
    GAP = 4
    MARKET = 5
    MINUTE_CLOSED = 6
    SKIP = 7
    QUARANTINE = 8
    BACKFILL = 9


class Record(msgspec.Struct, frozen=True):
    """One record. A `SKIP` says that no seq after `prev` up to its own was used for certain."""

    kind: Kind
    stream: str
    seq: int
    prev: int
    topic: str
    payload: bytes


class Header(msgspec.Struct, frozen=True):
    """The beginning of a segment: whose it is, and the next seq of each stream when it was begun."""

    epoch: str
    number: int
    streams: tuple[str, ...]
    next: tuple[int, ...]


def encode_header(header: Header) -> bytes:
    body = msgspec.msgpack.encode(header)
    return MAGIC + FRAME.pack(len(body), crc32(body)) + body


def decode_header(data: bytes, path: Path) -> tuple[Header, int]:
    """Give the header and the offset of the first record."""
    start = len(MAGIC) + FRAME.size
    if len(data) < start or data[: len(MAGIC)] != MAGIC:
        raise StoreCorrupt(f"{path}: offset 0: not a journal segment")
    length, checksum = FRAME.unpack_from(data, len(MAGIC))
    body = data[start : start + length]
    if len(body) != length or crc32(body) != checksum:
        raise StoreCorrupt(f"{path}: offset 0: the segment's header does not match its checksum")
    return msgspec.msgpack.decode(body, type=Header), start + length


def encode(kind: int, stream: int, seq: int, prev: int, topic: bytes, payload: bytes) -> bytes:
    body = BODY.pack(kind, stream, seq, prev, len(topic)) + topic + payload
    return FRAME.pack(len(body), crc32(body)) + body


def bodies(data: bytes | memoryview, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Give the bounds of each whole, sound body in `[start, end)`; stop before the first that is not."""
    view = memoryview(data)
    unpack, offset = FRAME.unpack_from, start
    while offset + FRAME.size <= end:
        length, checksum = unpack(view, offset)
        begin = offset + FRAME.size
        offset = begin + length
        if length < _SMALLEST or offset > end or crc32(view[begin:offset]) != checksum:
            return
        yield begin, offset


def decode(data: bytes | memoryview, begin: int, end: int, streams: tuple[str, ...]) -> Record:
    """Give the record of a sound body."""
    kind, stream, seq, prev, topic_length = BODY.unpack_from(data, begin)
    topic_begin = begin + BODY.size
    payload_begin = topic_begin + topic_length
    topic = str(data[topic_begin:payload_begin], "utf-8")
    return Record(Kind(kind), streams[stream], seq, prev, topic, bytes(data[payload_begin:end]))
