"""Instruments that an admin corrected in the config store, over those of the broker's file; read while we run."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from libs.dbaccess import DatabaseManager
from libs.dbaccess.trading import TradingStore
from libs.orders.instrument import Instrument, Kind
from libs.risk.state import RiskState
from services.execution_engine.plans import instruments_path

#: What holds now and was last changed by hand; the next import of the broker's file makes it the broker's again.
_SQL = """
SELECT DISTINCT i.symbol, i.tick_size, i.lot_size, i.freeze_quantity
FROM audit_log a JOIN instruments i
ON a.subject_key = i.exchange || ':' || i.symbol AND a.at_us = i.imported_at_us
WHERE a.subject = 'instruments' AND a.action = 'instrument.save' AND i.exchange = ? AND i.valid_to IS NULL
AND i.instrument_type = 'EQ' ORDER BY i.symbol
"""


class CorrectedInstruments:
    """Keeps the gate's instruments as the broker's file and the corrections say."""

    def __init__(
        self, manager: DatabaseManager, state: RiskState, exchange: str, known: Callable[[], Sequence[Instrument]]
    ) -> None:
        self._manager = manager
        self._state = state
        self._exchange = exchange
        self._known = known
        self._seen: tuple[Instrument, ...] = ()
        #: How many shares the broker's file has: none until the ingestor has kept it for the first time.
        self.listed = len(known())

    def refresh(self, store: TradingStore, now_us: int) -> bool:
        """Read the corrections and use them if they changed; say whether they did.

        The file itself is looked for while there is none: on a new machine the engine may be there before it.
        """
        if not self.listed and instruments_path(self._manager.layout.market, self._exchange).exists():
            self.reload()
        try:
            found = self._read()
        except FileNotFoundError:
            return False
        if found == self._seen:
            return False
        self._seen = found
        self.reload()
        with store.transaction() as entry:
            entry.risk_event("instruments", "info", f"{len(found)} instruments corrected by hand hold", now_us)
        return True

    def reload(self) -> None:
        """Learn the broker's file anew, and the corrections over it."""
        listed = self._known()
        self.listed = len(listed)
        for instrument in (*listed, *self._seen):
            self._state.on_instrument(instrument)

    def _read(self) -> tuple[Instrument, ...]:
        with self._manager.config_reader() as connection:
            rows = connection.execute(_SQL, (self._exchange,)).fetchall()
        return tuple(
            Instrument(
                symbol=symbol, exchange=self._exchange, kind=Kind.EQUITY, tick_size=tick, lot_size=lot,
                freeze_quantity=freeze or 0,
            )
            for symbol, tick, lot, freeze in rows
        )  # fmt: skip
