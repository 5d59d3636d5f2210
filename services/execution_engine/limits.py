"""Risk limits of the config store, over those of the settings; read again while the engine runs."""

from __future__ import annotations

from libs.core.errors import Refused
from libs.dbaccess import DatabaseManager
from libs.dbaccess.trading import TradingStore
from libs.risk.gate import Gate
from libs.risk.limits import LimitTree, Override
from libs.settings.risk import Risk

#: The config store's scopes in the gate's words.
_SCOPES = {"account": "all", "strategy": "strategy", "instrument": "symbol"}


class ConfiguredLimits:
    """Keeps the gate's limits as the config store says. What it says wrongly changes nothing, and is told once."""

    def __init__(self, manager: DatabaseManager, gate: Gate, defaults: Risk) -> None:
        self._manager = manager
        self._gate = gate
        self._defaults = defaults
        self._seen: tuple[Override, ...] = ()
        self.error = ""

    def refresh(self, store: TradingStore, now_us: int) -> bool:
        """Read the limits and use them if they changed; say whether they did."""
        try:
            found = read_limits(self._manager)
        except FileNotFoundError:
            return False  # no config store yet: the settings hold
        if found == self._seen:
            return False
        self._seen = found
        try:
            limits = LimitTree(self._defaults, found)
        except Refused as e:
            self.error = str(e)
            with store.transaction() as entry:
                entry.risk_event("limits", "error", f"the config store's limits stay unused: {e}", now_us)
            return False
        self.error = ""
        self._gate.use_limits(limits)
        with store.transaction() as entry:
            entry.risk_event("limits", "info", f"{len(found)} limits of the config store hold", now_us)
        return True


def read_limits(manager: DatabaseManager) -> tuple[Override, ...]:
    """Give the config store's limits in the gate's words; raise `FileNotFoundError` while there is no such store."""
    with manager.config_reader() as connection:
        rows = connection.execute(
            "SELECT scope_kind, scope, limit_name, value FROM risk_limits ORDER BY scope_kind, scope, limit_name"
        ).fetchall()
    return tuple(
        Override(_SCOPES[kind], scope.rpartition(":")[2] if kind == "instrument" else scope, name, float(value))
        for kind, scope, name, value in rows
    )
