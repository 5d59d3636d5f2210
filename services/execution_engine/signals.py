"""Signals, each once: from the bus because it is quick, from the scanner's store because it is certain."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

import msgspec

from libs.contracts.signals import Decided, SignalEvent, SignalType
from libs.core.clock import day_start_us
from libs.dbaccess import DatabaseManager
from libs.messaging import Received
from services.execution_engine.deciding import SignalPlace
from services.execution_engine.engine import Engine

_BATCH = 500
#: No place in an outbox is beyond it.
_ALL = 1 << 62
_SIGNALS = (
    "SELECT outbox_seq, signal_id, strategy_id, symbol, timestamp_us, signal_type, confidence, metadata_json, "
    "exchange, timeframe, stop, target, leg, strategy_version FROM signals"
)
_NEWER = f"{_SIGNALS} WHERE outbox_seq > ? AND outbox_seq <= ? AND timestamp_us >= ? ORDER BY outbox_seq LIMIT ?"
_NAMED = f"{_SIGNALS} WHERE signal_id = ?"
_DECIDED = """
SELECT exchange, bar_us, signals, outbox_seq_last, (SELECT store_uuid FROM store_identity) FROM decisions
WHERE timeframe = '1m' AND bar_us <= ? ORDER BY bar_us DESC LIMIT 1
"""


class SignalSource:
    """Feeds the engine signals in the order of the scanner's outbox, without a hole."""

    def __init__(
        self, manager: DatabaseManager, engine: Engine, *, may_begin: Callable[[], bool] = lambda: True
    ) -> None:
        self._manager = manager
        self._engine = engine
        self._may_begin = may_begin
        self._epoch = ""
        self.taken_from_bus = 0
        self.taken_from_store = 0
        self.rescans = 0

    @property
    def cursor(self) -> SignalPlace:
        """How far the scanner's store was read."""
        return self._engine.cursor

    def on_message(self, message: Received) -> None:
        """Take a signal off the bus; where it does not follow the cursor, ask the store."""
        signal = message.payload
        if not isinstance(signal, SignalEvent) or not self._is_ready():
            return
        cursor = self._engine.cursor
        follows = message.seq == cursor.outbox_seq + 1 and message.envelope.epoch == self._epoch
        if not follows:
            self.catch_up()
            self._epoch = message.envelope.epoch
            return
        self.taken_from_bus += 1
        self._engine.on_signal(
            signal, SignalPlace(cursor.store_uuid, message.seq), published_us=message.envelope.published_us
        )

    def catch_up(self, upto: int = _ALL) -> int:
        """Read what the store holds beyond the cursor, up to a place; another store from today's first signal on."""
        if not self._is_ready():
            return 0
        try:
            with self._manager.signals_reader() as connection:
                return self._read(connection, upto)
        except FileNotFoundError:
            return 0  # the scanner has not made its store yet

    def last_decided(self, minute_us: int) -> Decided | None:
        """Say what the scanner's store knows of the last decided minute that is not after this one."""
        if not self._is_ready():
            return None
        try:
            with self._manager.signals_reader() as connection:
                row = connection.execute(_DECIDED, (minute_us,)).fetchone()
        except FileNotFoundError:
            return None  # the scanner has not made its store yet
        return Decided(*row) if row else None

    def _is_ready(self) -> bool:
        """Nothing could be decided without a price and a time, nor before our books were held against the broker's."""
        return self._engine.market.is_known and self._may_begin()

    def _read(self, connection: Any, upto: int) -> int:
        engine = self._engine
        uuid = str(connection.execute("SELECT store_uuid FROM store_identity").fetchone()[0])
        since_us = 0
        after = engine.cursor.outbox_seq
        if uuid != engine.cursor.store_uuid:
            # Another store: it was wiped, or it is the first we see. What was decided before stays decided.
            since_us, after = day_start_us(engine.desk.gate.state.day), 0
            self.rescans += 1
        count = 0
        while True:
            rows = connection.execute(_NEWER, (after, upto, since_us, _BATCH)).fetchall()
            for row in rows:
                after = int(row[0])
                engine.on_signal(_signal(row), SignalPlace(uuid, after))
                count += 1
            if len(rows) < _BATCH:
                break
        if uuid != engine.cursor.store_uuid:
            engine.pass_over(SignalPlace(uuid, after))
        self.taken_from_store += count
        return count


def stored_signals(manager: DatabaseManager, signal_ids: Iterable[str]) -> list[SignalEvent]:
    """Read signals by their ids; those that are not in the scanner's store are left out."""
    found = []
    # The scanner may not have made its store yet, or it was wiped.
    with suppress(FileNotFoundError), manager.signals_reader() as connection:
        for signal_id in signal_ids:
            row = connection.execute(_NAMED, (signal_id,)).fetchone()
            if row is not None:
                found.append(_signal(row))
    return found


def _signal(row: Any) -> SignalEvent:
    return SignalEvent(
        row[1], row[2], row[3], row[4], SignalType(row[5]), row[6], msgspec.json.decode(row[7]), row[8], row[9],
        row[10], row[11], row[12], row[13],
    )  # fmt: skip
