"""Days on both sides: the fleet's, played or as traded, and the backtest's; laid side by side, with causes."""

from __future__ import annotations

import errno
from collections import Counter
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from cli.parity_plan import fleet_request, link, settings_tree
from cli.parity_play import play_days
from cli.parity_sides import candle_rows, carried, fleet_rows, mishaps, run_rows, span_of
from cli.parity_stage import lay_out, stage_environment
from libs.core.clock import IST, to_datetime
from libs.core.errors import Refused
from libs.core.version import CODE_VERSION
from libs.dbaccess import DatabaseManager, EODRollover, Role
from libs.dbaccess.calendars import load_calendar
from libs.orders.instrument import Instrument
from libs.strategies.user import load_directory
from libs.trading.parity import Difference, Kind, Row, differences
from libs.trading.parity_causes import Evidence, explained, settings_that_differ, spelled
from services.backtest.data import tick_size_of
from services.backtest.request import NEXT_TICK, RunRequest
from services.backtest.runner import BacktestRunner

if TYPE_CHECKING:
    from libs.settings import Settings


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be compared. `run_id`: a run there is, instead of one that matches the fleet's settings."""

    start: date
    end: date
    fill: str = "next_bar_open"
    strategies: tuple[str, ...] = ()
    symbols: tuple[str, ...] = ()
    source: str = ""
    run_id: str = ""
    traded: bool = False
    timeout_s: float = 3600.0


def compare_days(root: Path, settings: Settings, asked: Asked, into: Path) -> dict[str, Any]:
    """Make both sides below `into` and lay them side by side; give one document. Nothing is written below `root`."""
    source = DatabaseManager(root, read_only=True, settings=settings)
    load_directory(settings.strategies.directory(str(root)))
    request = fleet_request(
        source, settings, asked.start, asked.end, strategies=asked.strategies, symbols=asked.symbols, fill=asked.fill
    )
    days = _days(source, request)
    recorded, was_filled = _candles(source, request, days)
    if missing := sorted(set(request.symbols_all) - {row.symbol for row in recorded}):
        raise FileNotFoundError(f"{root} has no candles of {', '.join(missing)} then; name other --symbols")
    if not request.instruments:
        request = msgspec.structs.replace(request, instruments=_assumed(request, recorded))
    sources = {day: _played(source, request, day, asked.source) for day in days}
    fleet_root, past_root = lay_out(source, into, request)
    fleet, played = source, None
    if not asked.traded:
        played = play_days(
            fleet_root, days, lambda day: stage_environment(fleet_root, source, day, request, sources[day]),
            asked.timeout_s,
        )  # fmt: skip
        fleet = DatabaseManager(fleet_root, read_only=True, settings=settings)
    captured, filled = _candles(fleet, request, days)
    if asked.run_id:
        past, run_id = source, asked.run_id
    else:
        past = DatabaseManager(past_root, Role.BACKTEST, settings=settings)
        run_id = _backtest(past, fleet_root if played else None, request, days)
    theirs, risk, version = _request_of(past, run_id, request)
    names, span = [each.instance for each in request.instances()], span_of(request.start, request.end)
    to_the_minute = asked.traded or request.fill == NEXT_TICK
    one = [*captured, *fleet_rows(fleet, span, names, to_the_minute=to_the_minute)]
    two = [*recorded, *run_rows(past, run_id, span, to_the_minute=to_the_minute)]
    suspended, misses = mishaps(fleet, span)
    ours = settings_tree(request, request.risk(settings.risk), CODE_VERSION)
    if asked.traded:
        ours |= {"broker": settings.execution.broker, "exit_source": settings.execution.exit_source}
        ours["fill"] = settings.execution.paper_fill
    evidence = Evidence(
        settings=settings_that_differ(ours, settings_tree(theirs, risk, version)),
        backfilled=filled | was_filled, mishaps=suspended, misses=misses, carried=carried(fleet, span[0]),
    )  # fmt: skip
    told = explained(differences(one, two), evidence)
    return {
        "date": request.start.isoformat(), "to": request.end.isoformat(), "days": [each.isoformat() for each in days],
        "fill": request.fill, "strategies": names, "symbols": list(request.symbols_all),
        "equal": not told, "fleet": {"root": str(fleet.layout.root), **_counts(one)},
        "backtest": {"root": str(past.layout.root), "run_id": run_id, **_counts(two)},
        "played": msgspec.to_builtins(played), "settings": evidence.settings, "differences": [_spell(e) for e in told],
    }  # fmt: skip


def _days(source: DatabaseManager, request: RunRequest) -> list[date]:
    """Give the days that are traded, by the calendar the recording has learned."""
    calendar = load_calendar(source.layout.root, request.exchange)
    days = calendar.trading_days(request.start, request.end)
    if not days:
        raise FileNotFoundError(
            f"there are no candles from {request.start} to {request.end}: {request.exchange} does not trade then"
        )
    return list(days)


def _candles(
    db: DatabaseManager, request: RunRequest, days: Sequence[date]
) -> tuple[list[Row], frozenset[tuple[str, int]]]:
    rows: list[Row] = []
    filled: set[tuple[str, int]] = set()
    for day in days:
        try:
            found, late = candle_rows(db, request.exchange, day, request.symbols_all)
        except FileNotFoundError as e:
            raise FileNotFoundError(f"{db.layout.root} has no candles of {day}: {e}") from e
        except OSError as e:
            if e.errno not in {errno.EROFS, errno.EACCES, errno.EPERM}:
                raise
            raise Refused(
                f"{day} is still in the live buffer, whose readers pin what they read, and nothing can be written in "
                f"{db.layout.root}: {e}. `fleet rollover --date {day}` there first, or copy the root and name the copy"
            ) from e
        if not found:
            raise FileNotFoundError(f"{db.layout.root} has no candles of {', '.join(request.symbols_all)} on {day}")
        rows += found
        filled |= late
    return rows, frozenset(filled)


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


def _played(source: DatabaseManager, request: RunRequest, day: date, wanted: str) -> str:
    """Play ticks where there are any: closed with the day, or with the day in the live buffer."""
    is_closed = source.layout.day(request.exchange, "candles", "1m", day).exists()
    has_ticks = not is_closed or source.layout.day(request.exchange, "ticks", None, day).exists()
    if request.fill == NEXT_TICK and (wanted == "candles" or not has_ticks):
        raise Refused(f"--fill next_tick needs the ticks that were captured: there are no ticks of {day} to play")
    if wanted == "ticks" and not has_ticks:
        raise Refused(f"there are no ticks of {day} to play; --source candles needs none")
    return wanted or ("ticks" if has_ticks else "candles")


def _backtest(past: DatabaseManager, fleet_root: Path | None, request: RunRequest, days: Sequence[date]) -> str:
    """Run the matching backtest: on history's own days, or on those the fleet captured, once they are closed."""
    kinds: list[tuple[str, str | None]] = [("candles", "1m")]
    if request.fill == NEXT_TICK:
        kinds.append(("ticks", None))
    for day in days:
        missing = [kind for kind in kinds if not past.layout.day(request.exchange, *kind, day).exists()]
        if not missing:
            continue
        if fleet_root is None:
            raise Refused(
                f"{day} is not in history yet, and what a backtest reads is; `fleet rollover --date {day}` puts it "
                "there once it is over"
            )
        closer = DatabaseManager(fleet_root, Role.INGESTOR, settings=past.settings)
        EODRollover(closer).execute(day, request.exchange)
        for kind in missing:
            link(closer.layout.day(request.exchange, *kind, day), past.layout.day(request.exchange, *kind, day))
    return BacktestRunner(past).execute(request)


def _request_of(db: DatabaseManager, run_id: str, asked: RunRequest) -> tuple[RunRequest, dict[str, Any], str]:
    """Read back what a run was asked, under which limits, and by which code."""
    with db.backtest_reader(run_id) as connection:
        found = connection.execute("SELECT settings_json, code_version, state FROM run").fetchall()[0]
    settings = msgspec.json.decode(found[0])
    request = msgspec.convert(settings["request"], RunRequest)
    if (request.start, request.end) != (asked.start, asked.end) or found[2] != "complete":
        raise Refused(
            f"{run_id} is {found[2]}, from {request.start} to {request.end}; expected a complete run from "
            f"{asked.start} to {asked.end}: an account that traded before is another account"
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
