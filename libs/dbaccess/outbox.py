"""Messages stored before they are published: each stream's numbers, and what a replay is answered from."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence

import msgspec

from libs.core.ids import random_id

_encode = msgspec.msgpack.Encoder().encode


class StoredMessage(msgspec.Struct, frozen=True):
    """One message of the outbox; `payload` is the struct's own msgpack."""

    topic: str
    seq: int
    prev: int
    timestamp_us: int
    recorded_us: int
    payload: bytes


class Outbox:
    """Numbers the messages of a store's streams. Its counts follow the transaction that `begin` opened."""

    def __init__(self, connection: sqlite3.Connection, streams: Sequence[str]) -> None:
        self._connection = connection
        for stream in streams:
            connection.execute("INSERT OR IGNORE INTO streams VALUES (?, ?, 0)", (stream, random_id()))
        self._heads = {
            str(stream): int(seq) for stream, seq in connection.execute("SELECT stream, seq_last FROM streams")
        }
        rows = connection.execute("SELECT stream, topic, max(seq) FROM outbox GROUP BY stream, topic").fetchall()
        self._by_topic = {(str(stream), str(topic)): int(seq) for stream, topic, seq in rows}

    @property
    def streams(self) -> list[str]:
        return list(self._heads)

    def head(self, stream: str) -> int:
        """Give the last number of a stream."""
        return self._heads.get(stream, 0)

    def last_by_topic(self, stream: str) -> dict[str, int]:
        """Give the last number on each topic of a stream."""
        return {topic: seq for (name, topic), seq in self._by_topic.items() if name == stream}

    def append(self, stream: str, topic: str, payload: object, timestamp_us: int, recorded_us: int) -> int:
        """Write a message inside the caller's transaction and give its number."""
        seq = self._heads[stream] + 1
        prev = self._by_topic.get((stream, topic), 0)
        self._connection.execute(
            "INSERT INTO outbox VALUES (?, ?, ?, ?, ?, ?, ?)",
            (stream, seq, topic, prev, timestamp_us, recorded_us, _encode(payload)),
        )
        self._connection.execute("UPDATE streams SET seq_last = ? WHERE stream = ?", (seq, stream))
        self._heads[stream] = seq
        self._by_topic[stream, topic] = seq
        return seq

    def oldest(self, stream: str) -> int:
        """Give the lowest number that can still be read, one above the head when there is none."""
        row = self._connection.execute("SELECT min(seq) FROM outbox WHERE stream = ?", (stream,)).fetchone()
        return int(row[0]) if row[0] is not None else self.head(stream) + 1

    def opening(self, stream: str, since_us: int) -> int:
        """Give the number after which what was recorded since an instant begins."""
        row = self._connection.execute(
            "SELECT min(seq) FROM outbox WHERE stream = ? AND recorded_at_us >= ?", (stream, since_us)
        ).fetchone()
        return int(row[0]) - 1 if row[0] is not None else self.head(stream)

    def read(
        self, stream: str, topics: Sequence[str], after_seq: int, upto_seq: int, limit: int
    ) -> Iterator[StoredMessage]:
        """Give messages with after_seq < seq <= upto_seq whose topic starts with one of `topics`."""
        wanted = tuple(topics)
        count = 0
        rows = self._connection.execute(
            "SELECT topic, seq, prev, timestamp_us, recorded_at_us, payload FROM outbox "
            "WHERE stream = ? AND seq > ? AND seq <= ? ORDER BY seq",
            (stream, after_seq, upto_seq),
        ).fetchmany
        while chunk := rows(500):
            for row in chunk:
                if not str(row[0]).startswith(wanted):
                    continue
                yield StoredMessage(*row)
                count += 1
                if count >= limit:
                    return

    def prune(self, before_us: int) -> None:
        """Drop what was recorded before an instant, inside the caller's transaction; numbers go on."""
        self._connection.execute("DELETE FROM outbox WHERE recorded_at_us < ?", (before_us,))
