"""Which strategies run on what: from the config store, or from the settings while that names none."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, NamedTuple

import msgspec

from libs.core.errors import Refused
from libs.dbaccess import DatabaseManager
from libs.settings import Settings
from libs.trading.strategy_host import StrategyInstance
from services.scanner.watchlists import listed

_CONFIGURED = """
SELECT instance, strategy, exchange, timeframe, symbols_json, watchlist_id, parameters_json
FROM strategy_configs WHERE is_enabled = 1 ORDER BY instance
"""
_ANY = "SELECT EXISTS (SELECT 1 FROM strategy_configs)"


class Chosen(NamedTuple):
    """What is to run, where it was read, and what of it cannot be read."""

    instances: tuple[StrategyInstance, ...]
    origin: str
    broken: tuple[str, ...] = ()


def choose(manager: DatabaseManager, settings: Settings) -> Chosen:
    """Read the enabled strategies of the config store; the settings' when it names none or is not there.

    Who disables the last strategy wants none to run, not the settings' ones.
    """
    with suppress(FileNotFoundError), manager.config_reader() as connection:
        if connection.execute(_ANY).fetchone()[0]:
            found, broken = _configured(connection)
            return Chosen(found, "config store", broken)
    return Chosen(_defaults(settings), "settings")


def analysed(settings: Settings, instances: tuple[StrategyInstance, ...]) -> set[str]:
    """Say which symbols are analysed: the settings', or those the strategies run on."""
    return set(settings.scanner.analytics_symbols) or {symbol for each in instances for symbol in each.symbols}


def _configured(connection: Any) -> tuple[tuple[StrategyInstance, ...], tuple[str, ...]]:
    instances: list[StrategyInstance] = []
    broken: list[str] = []
    for name, strategy, exchange, timeframe, symbols, watchlist, parameters in connection.execute(_CONFIGURED):
        try:
            names = _symbols(connection, exchange, watchlist, symbols)
            given = msgspec.json.decode(parameters, type=dict[str, Any])
        except msgspec.DecodeError as e:
            broken.append(f"{name}: its symbols or parameters cannot be read: {e}")
            continue
        except Refused as e:
            broken.append(f"{name}: {e}")
            continue
        instances.append(
            StrategyInstance(
                strategy=strategy, symbols=names, name=name, timeframe=timeframe, exchange=exchange, parameters=given
            )
        )
    return tuple(instances), tuple(broken)


def _symbols(connection: Any, exchange: str, watchlist: int, symbols: str | None) -> tuple[str, ...]:
    if symbols is None:
        return listed(connection, watchlist, exchange).symbols
    names = tuple(msgspec.json.decode(symbols, type=list[str]))
    if not names:
        raise Refused("it has no symbol; give it one")
    return names


def _defaults(settings: Settings) -> tuple[StrategyInstance, ...]:
    wanted = settings.scanner
    return tuple(
        StrategyInstance(strategy=name, symbols=tuple(wanted.symbols), exchange=settings.data.exchange)
        for name in wanted.strategies
    )
