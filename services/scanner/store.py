"""The signals store as the scanner writes it: a signal once, with its place in the outbox, before it is published."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from libs.analytics.study import Findings
from libs.contracts import Decided, SignalEvent
from libs.contracts.analytics import ScanResult
from libs.contracts.topics import topic
from libs.core.clock import US_PER_DAY, Clock
from libs.core.faults import crash_point
from libs.dbaccess.outbox import Outbox
from libs.dbaccess.sqlite_session import SqliteSession
from services.scanner.insights import write
from services.scanner.scan_store import SCANS, keep

SIGNALS, DECISIONS = "signals", "decisions"
STREAMS = (SIGNALS, DECISIONS, SCANS)

_SIGNAL = """
INSERT INTO signals (signal_id, outbox_seq, strategy_id, strategy_version, exchange, symbol, timeframe, timestamp_us,
                     signal_type, leg, confidence, stop, target, metadata_json, created_at_us)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_DECISION = "INSERT OR IGNORE INTO decisions VALUES (?, '1m', ?, ?, ?, ?)"
_EARLIER = """
SELECT signal_id, strategy_id, symbol, timestamp_us, signal_type, confidence, metadata_json, exchange, timeframe, stop,
       target, leg, strategy_version
FROM signals WHERE timestamp_us < ? ORDER BY outbox_seq
"""
_OLD = (
    "DELETE FROM scan_results WHERE timestamp_us < ?",
    "DELETE FROM scan_alerts WHERE last_us < ?",
    "DELETE FROM confluence_insights WHERE timestamp_us < ?",
    "DELETE FROM regime WHERE timestamp_us < ?",
    "DELETE FROM pattern_cache WHERE timestamp_us < ?",
    "DELETE FROM feature_snapshots WHERE timestamp_us < ?",
)


class Stored(msgspec.Struct, frozen=True):
    """A message that is in the store for the first time, and its place in its stream."""

    payload: SignalEvent | Decided | ScanResult
    topic: str
    seq: int


class SignalsStore:
    """Writes in one transaction a minute. The scanner's only writer of its store."""

    def __init__(self, session: SqliteSession, clock: Clock) -> None:
        self._session = session
        self._clock = clock
        with session.transaction() as connection:
            self.outbox = Outbox(connection, STREAMS)
            self.uuid = str(connection.execute("SELECT store_uuid FROM store_identity").fetchone()[0])

    def decide(self, exchange: str, minute_us: int, signals: Sequence[SignalEvent]) -> list[Stored]:
        """Store a minute's signals and that it is decided; give what nobody was told of yet: signals, then the
        decision.

        A minute that is replayed gives the signals it gave, under the ids they have: they are known.
        """
        now_us = self._clock.now_us()
        fresh: list[Stored] = []
        with self._session.transaction() as connection:
            for signal in signals:
                known = "SELECT 1 FROM signals WHERE signal_id = ?"
                if connection.execute(known, (signal.signal_id,)).fetchone():
                    continue
                name = topic("signal", signal.strategy_id, signal.symbol)
                seq = self.outbox.append(SIGNALS, name, signal, signal.timestamp_us, now_us)
                connection.execute(_SIGNAL, _row(signal, seq, now_us))
                fresh.append(Stored(signal, name, seq))
            last = self.outbox.head(SIGNALS)
            if connection.execute(_DECISION, (exchange, minute_us, len(signals), last, now_us)).rowcount:
                decided = Decided(exchange, minute_us, len(signals), last, self.uuid)
                name = topic("decided", exchange)
                seq = self.outbox.append(DECISIONS, name, decided, minute_us, now_us)
                fresh.append(Stored(decided, name, seq))
            crash_point("scanner.decide.before")
        crash_point("scanner.decide.after")
        return fresh

    def found(self, results: Iterable[ScanResult]) -> list[Stored]:
        """Store what scans found; give what nobody was told of yet."""
        now_us = self._clock.now_us()
        with self._session.transaction() as connection:
            kept = [keep(connection, self.outbox, result, now_us) for result in results]
        return [Stored(told, topic("scan", told.scan_id), seq) for told, seq in filter(None, kept)]

    def keep_insights(self, found: Iterable[Findings]) -> int:
        """Store what analytics found; give how many rows."""
        with self._session.transaction() as connection:
            return write(connection, found, self._clock.now_us())

    def earlier(self, before_us: int) -> list[SignalEvent]:
        """Give the signals of the days before an instant, in the order they were given."""
        return [_signal(row) for row in self._session.connection.execute(_EARLIER, (before_us,))]

    def prune(self, keep_days: int, insights_keep_days: int) -> None:
        """Drop messages nobody will ask for again, and what scans and analytics said of old bars; signals stay."""
        now_us = self._clock.now_us()
        with self._session.transaction() as connection:
            self.outbox.prune(now_us - keep_days * US_PER_DAY)
            for statement in _OLD:
                connection.execute(statement, (now_us - insights_keep_days * US_PER_DAY,))


def _row(signal: SignalEvent, seq: int, now_us: int) -> tuple[object, ...]:
    return (
        signal.signal_id, seq, signal.strategy_id, signal.strategy_version, signal.exchange, signal.symbol,
        signal.timeframe, signal.timestamp_us, signal.signal_type.value, signal.leg, signal.confidence, signal.stop,
        signal.target, msgspec.json.encode(signal.metadata).decode(), now_us,
    )  # fmt: skip


def _signal(row: tuple[object, ...]) -> SignalEvent:
    values = dict(zip(SignalEvent.__struct_fields__, row, strict=True))
    values["metadata"] = msgspec.json.decode(str(values["metadata"]))
    return msgspec.convert(values, SignalEvent)
