"""Journals for bus tests: one in memory, one in a file that survives kill -9."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

import msgspec

from libs.contracts import OHLCVBar, Tick
from libs.messaging import Publisher, Record

#: Where "today" begins in a `FileJournal`: so many before its head, so that a long test's backfill stays short.
OPENING_AGO = 3000


class ListJournal:
    """A `ReplaySource` in memory. `forget` plays a journal whose segments were deleted."""

    def __init__(self, streams: Sequence[str] = ("ticks", "candles", "signals", "orders")) -> None:
        self.streams = streams
        self.rows: dict[str, list[Record]] = {stream: [] for stream in streams}
        self.opened: dict[str, int] = {}
        self.heads: dict[str, int] = {}

    def append(self, stream: str, record: Record) -> None:
        self.rows[stream].append(record)
        self.heads[stream] = record.seq

    def forget(self, stream: str, upto_seq: int) -> None:
        self.rows[stream] = [row for row in self.rows[stream] if row.seq > upto_seq]

    def head(self, stream: str) -> int:
        return self.heads.get(stream, 0)

    def oldest(self, stream: str) -> int:
        return self.rows[stream][0].seq if self.rows[stream] else self.head(stream) + 1

    def opening(self, stream: str) -> int:
        return self.opened.get(stream, 0)

    def read(self, stream: str, topics: Sequence[str], after_seq: int, upto_seq: int, limit: int) -> Iterable[Record]:
        prefixes, rows = tuple(topics), self.rows[stream]
        start = bisect_right(rows, after_seq, key=lambda row: row.seq)
        matching = (row for row in rows[start : start + max(upto_seq - after_seq, 0)] if row.topic.startswith(prefixes))
        return islice((row for row in matching if row.seq <= upto_seq), limit)

    def last_by_topic(self, stream: str) -> dict[str, int]:
        return {row.topic: row.seq for row in self.rows[stream]}


class FileJournal(ListJournal):
    """A journal in a file: every record is one unbuffered write, so that kill -9 loses nothing that was appended."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        for stream, record in read_journal(path):
            super().append(stream, record)
        self._file = path.open("ab", buffering=0)
        # A torn record at the end, where a kill cut a write short, is cut off.
        self._file.truncate(sum(len(_framed(stream, row)) for stream, rows in self.rows.items() for row in rows))

    def append(self, stream: str, record: Record) -> None:
        self._file.write(_framed(stream, record))
        super().append(stream, record)

    def opening(self, stream: str) -> int:
        return max(0, self.head(stream) - OPENING_AGO)


def read_journal(path: Path) -> Iterator[tuple[str, Record]]:
    """Read what a living or dead owner wrote, up to the last whole record."""
    for stream, record, _ in tail_journal(path, 0):
        yield stream, msgspec.structs.replace(record, payload=_typed(stream, record.payload))


def tail_journal(path: Path, place: int) -> Iterator[tuple[str, Record, int]]:
    """Read on from a place in the file; with each record comes the place behind it. Payloads are plain maps."""
    if not path.exists():
        return
    with path.open("rb") as file:
        file.seek(place)
        data = file.read()
    start = 0
    while len(data) - start >= 4:
        end = start + 4 + int.from_bytes(data[start : start + 4], "big")
        if end > len(data):
            return
        stream, record = _entries.decode(data[start + 4 : end])
        yield stream, record, place + end
        start = end


_entries = msgspec.msgpack.Decoder(tuple[str, Record])


def _framed(stream: str, record: Record) -> bytes:
    body = msgspec.msgpack.encode((stream, record))
    return len(body).to_bytes(4, "big") + body


def _typed(stream: str, payload: object) -> object:
    return msgspec.convert(payload, Tick if stream == "ticks" else OHLCVBar)


def bar(seq: int, symbol: str = "RELIANCE", timeframe: str = "1m") -> OHLCVBar:
    return OHLCVBar(symbol, timeframe, seq * 60_000_000, 10.0, 11.0, 9.5, 10.5, 100 + seq, seq=seq)


def tick(seq: int, symbol: str = "RELIANCE") -> Tick:
    return Tick(symbol, seq * 1000, 10.0 + seq % 7, 1, 9.95, 10.05, seq, seq)


class Owner:
    """An owner as the ingestor is one: journals first, then publishes."""

    def __init__(self, journal: ListJournal, publisher: Publisher) -> None:
        self.journal = journal
        self.publisher = publisher
        self.seq = {stream: journal.head(stream) for stream in journal.streams}

    def candle(self, symbol: str = "RELIANCE", timeframe: str = "1m") -> OHLCVBar:
        seq = self.seq["candles"] = self.seq["candles"] + 1
        payload, topic = bar(seq, symbol, timeframe), f"candle.{timeframe}.nse.{symbol}|"
        self.journal.append("candles", Record(topic, seq, payload, payload.timestamp_us))
        self.publisher.publish(topic, payload, seq=seq)
        return payload

    def ticks(self, symbols: Sequence[str]) -> list[Tick]:
        payloads = []
        for symbol in symbols:
            seq = self.seq["ticks"] = self.seq["ticks"] + 1
            payloads.append(tick(seq, symbol))
            self.journal.append("ticks", Record(f"tick.nse.{symbol}|", seq, payloads[-1], payloads[-1].timestamp_us))
        self.publisher.publish_ticks("nse", payloads)
        return payloads
