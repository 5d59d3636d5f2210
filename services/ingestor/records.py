"""Journal records and what they hold; the journal as the bus replays it."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

import msgspec

from libs.contracts import Backfilled, FeedGap, MinuteClosed, OHLCVBar, SessionChanged, Tick
from libs.dbaccess.journal import Journal, Kind
from libs.dbaccess.journal import Record as Journalled
from libs.messaging import Record
from services.ingestor.rows import LateTick, Quarantine

TICKS, CANDLES = "ticks", "candles"
STREAMS = (TICKS, CANDLES)
#: Records nobody subscribes to: they take a seq and have no topic.
NO_TOPIC = ""

encode = msgspec.msgpack.Encoder().encode

_PAYLOADS: dict[Kind, Any] = {
    Kind.TICK: Tick,
    Kind.BAR: OHLCVBar,
    Kind.LATE: LateTick,
    Kind.GAP: FeedGap,
    Kind.MARKET: SessionChanged,
    Kind.MINUTE_CLOSED: MinuteClosed,
    Kind.QUARANTINE: Quarantine,
    Kind.BACKFILL: Backfilled,
}
_DECODERS = {kind: msgspec.msgpack.Decoder(payload) for kind, payload in _PAYLOADS.items()}


def payload_of(record: Journalled) -> Any:
    """Decode what a record holds; None for one that only skips."""
    decoder = _DECODERS.get(record.kind)
    return decoder.decode(record.payload) if decoder else None


class JournalSource:
    """The journal as a `ReplaySource`.

    Candles lie thin among the ticks, and everyone asks for them: the newest are kept in memory as they were written.
    """

    streams: Collection[str] = STREAMS

    def __init__(self, journal: Journal, candles_max: int) -> None:
        self._journal = journal
        self._candles: deque[Journalled] = deque(maxlen=candles_max)
        self._openings: dict[str, int] = dict.fromkeys(STREAMS, 0)

    def remember(self, record: Journalled) -> None:
        """Keep a record of the candles' stream at hand."""
        self._candles.append(record)

    def begin_day(self) -> None:
        """Today begins after what is committed now."""
        self._openings = {stream: self._journal.head(stream) for stream in STREAMS}

    def open_at(self, stream: str, seq: int) -> None:
        """Today begins after a seq, found in the journal at start."""
        self._openings[stream] = seq

    def head(self, stream: str) -> int:
        return self._journal.head(stream)

    def oldest(self, stream: str) -> int:
        return self._journal.oldest(stream)

    def opening(self, stream: str) -> int:
        return max(self._openings[stream], self._journal.oldest(stream) - 1)

    def read(self, stream: str, topics: Sequence[str], after_seq: int, upto_seq: int, limit: int) -> Iterable[Record]:
        prefixes = tuple(topics)
        given = 0
        for record in self._records(stream, prefixes, after_seq, upto_seq):
            if record.topic and record.topic.startswith(prefixes):
                payload = payload_of(record)
                yield Record(
                    record.topic, record.seq, payload, payload.timestamp_us, getattr(payload, "received_us", 0),
                    record.prev,
                )  # fmt: skip
                given += 1
                if given >= limit:
                    return

    def _records(self, stream: str, prefixes: tuple[str, ...], after: int, upto: int) -> Iterator[Journalled]:
        if stream == CANDLES and self._candles and self._candles[0].seq <= max(after + 1, self.oldest(stream)):
            return (record for record in list(self._candles) if after < record.seq <= upto)
        wanted = [topic for topic in self._journal.heads() if topic and topic.startswith(prefixes)]
        return self._journal.read(stream, after, upto, topics=wanted)
