"""Journals for bus tests: one in memory, one in a file that survives kill -9."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from libs.contracts import OHLCVBar, Tick
from libs.messaging import Publisher, Record


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
        return _some(self.rows[stream], tuple(topics), after_seq, upto_seq, limit)

    def last_by_topic(self, stream: str) -> dict[str, int]:
        return {row.topic: row.seq for row in self.rows[stream]}


def _some(rows: list[Record], topics: tuple[str, ...], after: int, upto: int, limit: int) -> Iterator[Record]:
    for row in rows:
        if limit and after < row.seq <= upto and row.topic.startswith(topics):
            yield row
            limit -= 1


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
