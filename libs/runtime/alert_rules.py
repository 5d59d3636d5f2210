"""Which alert goes to which address: rules of the config store, by the addresses' names. Never an address itself."""

from __future__ import annotations

import msgspec

from libs.contracts.health import Severity
from libs.core.clock import IST, to_datetime
from libs.dbaccess import DatabaseManager

#: The config store's words where they are not an alert's.
_SEVERITIES = {"error": Severity.CRITICAL}
_SQL = (
    "SELECT name, target_secret, severity_min, quiet_from, quiet_to FROM alert_settings WHERE is_enabled = 1 "
    "ORDER BY name"
)
_NAMED = "SELECT DISTINCT target_secret FROM alert_settings"


class Rule(msgspec.Struct, frozen=True):
    """What one address is told: from a severity on, and in its quiet hours (IST) only what is critical."""

    name: str
    target: str
    severity_min: Severity
    quiet_from: str = ""
    quiet_to: str = ""

    def lets_through(self, severity: Severity, now_us: int) -> bool:
        """Whether the address is told."""
        if severity.rank < self.severity_min.rank:
            return False
        return severity is Severity.CRITICAL or not self._is_quiet(now_us)

    def _is_quiet(self, now_us: int) -> bool:
        if not self.quiet_from:
            return False
        now = to_datetime(now_us).astimezone(IST).strftime("%H:%M")
        if self.quiet_from <= self.quiet_to:
            return self.quiet_from <= now < self.quiet_to
        return now >= self.quiet_from or now < self.quiet_to


class Rules(msgspec.Struct, frozen=True):
    """All rules that are switched on, and every address some rule names: with none left on it is told nothing."""

    rules: tuple[Rule, ...] = ()
    named: frozenset[str] = frozenset()


def read_rules(manager: DatabaseManager) -> Rules:
    """Read the rules beside the store's writer; none while there is no config store."""
    try:
        with manager.config_reader() as connection:
            rows = connection.execute(_SQL).fetchall()
            named = frozenset(str(row[0]) for row in connection.execute(_NAMED).fetchall())
    except FileNotFoundError:
        return Rules()
    found = (
        Rule(name, target, _SEVERITIES.get(severity) or Severity(severity), quiet_from or "", quiet_to or "")
        for name, target, severity, quiet_from, quiet_to in rows
    )
    return Rules(tuple(found), named)
