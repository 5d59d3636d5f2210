"""Which scans run over what: from the config store, or from the settings while that names none."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from libs.core.errors import FleetError
from libs.dbaccess import DatabaseManager
from libs.scanners import registry
from libs.scanners.interface import BaseScan
from libs.settings import Settings

_CONFIGURED = """
SELECT scan_id, scan, expression, timeframe, watchlist_id, parameters_json
FROM scan_configs WHERE is_enabled = 1 AND exchange = ? ORDER BY scan_id
"""
_LISTED = """
SELECT name, symbol FROM watchlists JOIN watchlist_items USING (watchlist_id)
WHERE watchlist_id = ? AND exchange = ? ORDER BY position, symbol
"""


class ScanConfig(NamedTuple):
    """A scan as it is to run; `symbols` None is the whole market, `watchlist` names a list otherwise."""

    scan_id: str
    scan: str
    timeframe: str
    parameters: str
    watchlist: str = ""
    symbols: tuple[str, ...] | None = None

    def make(self) -> BaseScan[Any]:
        """Make the scan; refuses parameters that are none."""
        return registry.make(self.scan, **json.loads(self.parameters))


class ChosenScans(NamedTuple):
    """What is to run, and what cannot."""

    scans: tuple[ScanConfig, ...]
    broken: tuple[str, ...] = ()


def choose_scans(manager: DatabaseManager, settings: Settings) -> ChosenScans:
    """Read the enabled scans of the config store; the settings' when it has none or is not there."""
    try:
        with manager.config_reader() as connection:
            found = [
                _config(connection, settings.data.exchange, row)
                for row in connection.execute(_CONFIGURED, (settings.data.exchange,))
            ]
    except FileNotFoundError:
        found = []
    if not found:
        found = [ScanConfig(name, name, "1m", "{}") for name in settings.scanner.scans]
    good: list[ScanConfig] = []
    broken: list[str] = []
    for config in found:
        try:
            config.make()
        except (FleetError, ValueError, TypeError) as e:
            broken.append(f"{config.scan_id}: {e}")
        else:
            good.append(config)
    return ChosenScans(tuple(good), tuple(broken))


def _config(connection: Any, exchange: str, row: tuple[Any, ...]) -> ScanConfig:
    scan_id, scan, expression, timeframe, watchlist, parameters = row
    if expression:
        scan, parameters = "expression", json.dumps({"expression": expression})
    if watchlist is None:
        return ScanConfig(scan_id, scan, timeframe, parameters)
    listed = connection.execute(_LISTED, (watchlist, exchange)).fetchall()
    name = str(listed[0][0]) if listed else f"watchlist {watchlist}"
    return ScanConfig(scan_id, scan, timeframe, parameters, name, tuple(str(symbol) for _, symbol in listed))
