"""Which strategies run on what: from the config store, or from the settings while that names none."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from libs.dbaccess import DatabaseManager
from libs.settings import Settings
from libs.trading.strategy_host import StrategyInstance

_CONFIGURED = """
SELECT instance, strategy, exchange, timeframe, symbols_json, watchlist_id, parameters_json
FROM strategy_configs WHERE is_enabled = 1 ORDER BY instance
"""
_LISTED = "SELECT symbol FROM watchlist_items WHERE watchlist_id = ? AND exchange = ? ORDER BY position, symbol"


class Chosen(NamedTuple):
    """What is to run, where it was read, and what of it cannot be read."""

    instances: tuple[StrategyInstance, ...]
    origin: str
    broken: tuple[str, ...] = ()


def choose(manager: DatabaseManager, settings: Settings) -> Chosen:
    """Read the enabled strategies of the config store; the settings' when it has none or is not there."""
    try:
        with manager.config_reader() as connection:
            found, broken = _configured(connection)
    except FileNotFoundError:
        found, broken = (), ()
    if found or broken:
        return Chosen(found, "config store", broken)
    return Chosen(_defaults(settings), "settings")


def _configured(connection: Any) -> tuple[tuple[StrategyInstance, ...], tuple[str, ...]]:
    instances: list[StrategyInstance] = []
    broken: list[str] = []
    for name, strategy, exchange, timeframe, symbols, watchlist, parameters in connection.execute(_CONFIGURED):
        try:
            if symbols is None:
                names = tuple(row[0] for row in connection.execute(_LISTED, (watchlist, exchange)))
            else:
                names = tuple(msgspec.json.decode(symbols, type=list[str]))
            given = msgspec.json.decode(parameters, type=dict[str, Any])
        except msgspec.DecodeError as e:
            broken.append(f"{name}: its symbols or parameters cannot be read: {e}")
            continue
        instances.append(
            StrategyInstance(
                strategy=strategy, symbols=names, name=name, timeframe=timeframe, exchange=exchange, parameters=given
            )
        )
    return tuple(instances), tuple(broken)


def _defaults(settings: Settings) -> tuple[StrategyInstance, ...]:
    wanted = settings.scanner
    return tuple(
        StrategyInstance(strategy=name, symbols=tuple(wanted.symbols), exchange=settings.data.exchange)
        for name in wanted.strategies
    )
