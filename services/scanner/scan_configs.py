"""Which scans run over what: from the config store, or from the settings while that names none."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from typing import Any, NamedTuple

from libs.core.errors import FleetError
from libs.dbaccess import DatabaseManager
from libs.scanners import registry
from libs.scanners.interface import BaseScan
from libs.settings import Settings
from services.scanner.watchlists import listed

_CONFIGURED = """
SELECT scan_id, scan, expression, timeframe, watchlist_id, parameters_json
FROM scan_configs WHERE is_enabled = 1 AND exchange = ? ORDER BY scan_id
"""
_ANY = "SELECT EXISTS (SELECT 1 FROM scan_configs)"


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
    """Read the enabled scans of the config store; the settings' when it names none or is not there.

    Who disables the last scan wants none to run, not the settings' ones.
    """
    exchange = settings.data.exchange
    defaults = [ScanConfig(name, name, "1m", "{}") for name in settings.scanner.scans]
    with suppress(FileNotFoundError), manager.config_reader() as connection:
        if connection.execute(_ANY).fetchone()[0]:
            rows = connection.execute(_CONFIGURED, (exchange,)).fetchall()
            return _sorted((row[0], partial(_config, connection, exchange, row)) for row in rows)
    return _sorted((config.scan_id, partial(ScanConfig._make, config)) for config in defaults)


def _sorted(wanted: Iterable[tuple[str, Callable[[], ScanConfig]]]) -> ChosenScans:
    """Tell what can run from what cannot."""
    good: list[ScanConfig] = []
    broken: list[str] = []
    for scan_id, read in wanted:
        try:
            config = read()
            config.make()
        except (FleetError, ValueError, TypeError) as e:
            broken.append(f"{scan_id}: {e}")
        else:
            good.append(config)
    return ChosenScans(tuple(good), tuple(broken))


def _config(connection: Any, exchange: str, row: tuple[Any, ...]) -> ScanConfig:
    scan_id, scan, expression, timeframe, watchlist_id, parameters = row
    if expression:
        scan, parameters = "expression", json.dumps({"expression": expression})
    if watchlist_id is None:
        return ScanConfig(scan_id, scan, timeframe, parameters)
    watchlist = listed(connection, watchlist_id, exchange)
    return ScanConfig(scan_id, scan, timeframe, parameters, watchlist.name, watchlist.symbols)
