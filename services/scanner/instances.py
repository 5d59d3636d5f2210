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
    """What is to run, and where it was read."""

    instances: tuple[StrategyInstance, ...]
    origin: str


def choose(manager: DatabaseManager, settings: Settings) -> Chosen:
    """Read the enabled strategies of the config store; the settings' when it has none or is not there."""
    try:
        with manager.config_reader() as connection:
            found = _configured(connection)
    except FileNotFoundError:
        found = ()
    if found:
        return Chosen(found, "config store")
    return Chosen(_defaults(settings), "settings")


def _configured(connection: Any) -> tuple[StrategyInstance, ...]:
    instances = []
    for name, strategy, exchange, timeframe, symbols, watchlist, parameters in connection.execute(_CONFIGURED):
        if symbols is None:
            names = tuple(row[0] for row in connection.execute(_LISTED, (watchlist, exchange)))
        else:
            names = tuple(msgspec.json.decode(symbols, type=list[str]))
        instances.append(
            StrategyInstance(
                strategy=strategy, symbols=names, name=name, timeframe=timeframe, exchange=exchange,
                parameters=msgspec.json.decode(parameters),
            )
        )  # fmt: skip
    return tuple(instances)


def _defaults(settings: Settings) -> tuple[StrategyInstance, ...]:
    wanted = settings.scanner
    return tuple(
        StrategyInstance(strategy=name, symbols=tuple(wanted.symbols), exchange=settings.data.exchange)
        for name in wanted.strategies
    )
