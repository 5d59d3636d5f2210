"""One day on both sides: the fleet's, played or as traded, and the backtest's; laid side by side, with causes."""

from __future__ import annotations

from collections import Counter
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from cli.parity_plan import fleet_request, link, settings_tree
from cli.parity_sides import candle_rows, fleet_rows, mishaps, run_rows
from cli.parity_stage import lay_out, play_through, stage_environment
from libs.core.clock import IST, to_datetime
from libs.core.errors import Refused
from libs.core.version import CODE_VERSION
from libs.dbaccess import DatabaseManager, EODRollover, Role
from libs.orders.instrument import Instrument
from libs.strategies.user import load_directory
from libs.trading.parity import Difference, Kind, Row, differences
from libs.trading.parity_causes import Evidence, explained, settings_that_differ, spelled
from services.backtest.data import tick_size_of
from services.backtest.request import RunRequest
from services.backtest.runner import BacktestRunner

if TYPE_CHECKING:
    from libs.settings import Settings


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be compared. `run_id`: a run there is, instead of one that matches the fleet's settings."""

    day: date
    strategies: tuple[str, ...] = ()
    symbols: tuple[str, ...] = ()
    source: str = ""
    run_id: str = ""
    traded: bool = False
    timeout_s: float = 3600.0


def compare_day(root: Path, settings: Settings, asked: Asked, into: Path) -> dict[str, Any]:
    """Make both sides below `into` and lay them side by side; give one document. Nothing is written below `root`."""
    day = asked.day
    source = DatabaseManager(root, read_only=True, settings=settings)
    load_directory(settings.strategies.directory(str(root)))
    request = fleet_request(source, settings, day, strategies=asked.strategies, symbols=asked.symbols)
    recorded, _ = _candles(source, request, day)
    if not request.instruments:
        request = msgspec.structs.replace(request, instruments=_assumed(request, recorded))
    fleet_root, past_root = lay_out(source, into, day, request)
    fleet, played = source, None
    if not asked.traded:
        environment = stage_environment(fleet_root, source, day, request, asked.source or _played(source, request, day))
        played = play_through(fleet_root, environment, asked.timeout_s)
        fleet = DatabaseManager(fleet_root, read_only=True, settings=settings)
    captured, filled = _candles(fleet, request, day)
    if asked.run_id:
        past, run_id = source, asked.run_id
    else:
        past = DatabaseManager(past_root, Role.BACKTEST, settings=settings)
        run_id = _backtest(past, fleet_root if played else None, request)
    theirs, risk, version = _request_of(past, run_id, day)
    names = [each.instance for each in request.instances()]
    one = [*captured, *fleet_rows(fleet, day, names, to_the_minute=asked.traded)]
    two = [*recorded, *run_rows(past, run_id, day, to_the_minute=asked.traded)]
    suspended, misses = mishaps(fleet, day)
    ours = settings_tree(request, request.risk(settings.risk), CODE_VERSION)
    if asked.traded:
        ours |= {"broker": settings.execution.broker, "exit_source": settings.execution.exit_source}
        ours["fill"] = settings.execution.paper_fill
    evidence = Evidence(
        settings=settings_that_differ(ours, settings_tree(theirs, risk, version)),
        backfilled=filled, mishaps=suspended, misses=misses,
    )  # fmt: skip
    told = explained(differences(one, two), evidence)
    return {
        "date": day.isoformat(), "strategies": names, "symbols": list(request.symbols_all),
        "equal": not told, "fleet": {"root": str(fleet.layout.root), **_counts(one)},
        "backtest": {"root": str(past.layout.root), "run_id": run_id, **_counts(two)},
        "played": msgspec.to_builtins(played), "settings": evidence.settings, "differences": [_spell(e) for e in told],
    }  # fmt: skip


def _candles(db: DatabaseManager, request: RunRequest, day: date) -> tuple[list[Row], frozenset[tuple[str, int]]]:
    try:
        rows, filled = candle_rows(db, request.exchange, day, request.symbols_all)
    except FileNotFoundError as e:
        raise FileNotFoundError(f"{db.layout.root} has no candles of {day}: {e}") from e
    if not rows:
        raise FileNotFoundError(f"{db.layout.root} has no candles of {', '.join(request.symbols_all)} on {day}")
    return rows, filled


def _assumed(request: RunRequest, recorded: list[Row]) -> tuple[Instrument, ...]:
    """Give shares of lot 1 whose tick size follows from their prices, as a backtest assumes them."""
    prices: dict[str, list[float]] = {}
    for row in recorded:
        prices.setdefault(row.symbol, []).extend((row.values["open"], row.values["close"]))
    return tuple(
        Instrument(symbol=symbol, exchange=request.exchange, tick_size=tick_size_of(np.array(prices[symbol])))
        for symbol in request.symbols_all
        if symbol in prices
    )


def _played(source: DatabaseManager, request: RunRequest, day: date) -> str:
    """Play ticks where there are any: closed with the day, or with the day in the live buffer."""
    is_closed = source.layout.day(request.exchange, "candles", "1m", day).exists()
    return "candles" if is_closed and not source.layout.day(request.exchange, "ticks", None, day).exists() else "ticks"


def _backtest(past: DatabaseManager, fleet_root: Path | None, request: RunRequest) -> str:
    """Run the matching backtest: on history's own day, or on the one the fleet captured, once it is closed."""
    where = (request.exchange, "candles", "1m", request.start)
    if not past.layout.day(*where).exists():
        if fleet_root is None:
            raise Refused(f"{request.start} is not in history yet; `fleet rollover` puts it there once it is over")
        closer = DatabaseManager(fleet_root, Role.INGESTOR, settings=past.settings)
        EODRollover(closer).execute(request.start, request.exchange)
        link(closer.layout.day(*where), past.layout.day(*where))
    return BacktestRunner(past).execute(request)


def _request_of(db: DatabaseManager, run_id: str, day: date) -> tuple[RunRequest, dict[str, Any], str]:
    """Read back what a run was asked, under which limits, and by which code."""
    with db.backtest_reader(run_id) as connection:
        found = connection.execute("SELECT settings_json, code_version, state FROM run").fetchall()[0]
    settings = msgspec.json.decode(found[0])
    request = msgspec.convert(settings["request"], RunRequest)
    if (request.start, request.end) != (day, day) or found[2] != "complete":
        raise Refused(
            f"{run_id} is {found[2]}, from {request.start} to {request.end}; expected a complete run of {day} alone: "
            "an account that traded before is another account"
        )
    return request, settings["risk"], str(found[1])


def _counts(rows: list[Row]) -> dict[str, int]:
    counted = Counter(row.kind for row in rows)
    return {f"{kind.value}s": counted[kind] for kind in Kind} | {
        "exits": sum(row.kind is Kind.TRADE and row.name.startswith("exit") for row in rows)
    }


def _spell(each: Difference) -> dict[str, Any]:
    return {
        "what": f"{spelled(each)}: {each.what.value}", "kind": each.kind.value, "strategy_id": each.strategy_id,
        "symbol": each.symbol, "at": to_datetime(each.at_us).astimezone(IST).isoformat(), "name": each.name,
        "fields": each.fields, "cause": each.cause or "unexplained", "follows": each.follows,
    }  # fmt: skip
