"""A stage of its own for recorded days: data roots, and the settings of the processes that play them."""

from __future__ import annotations

import gzip
import json
import os
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from cli.exits import WrongUsage
from cli.parity_plan import link
from libs.core.errors import Refused

if TYPE_CHECKING:
    from libs.dbaccess import DatabaseManager
    from libs.orders.instrument import Instrument
    from libs.settings import Settings
    from services.backtest.request import RunRequest

_NEVER = 3_600_000
#: A replayed day runs faster than the clock on the wall, so nothing may be given up by that clock.
_PATIENT = {
    "execution": {
        "broker": "paper", "barrier_timeout_ms": _NEVER, "market_silence_ms": _NEVER, "feed_stale_s": _NEVER,
        "heartbeat_lost_s": _NEVER,
    },
    "strategies": {"time_budget_per_bar_ms": 60_000},
    "scanner": {"minute_wait_ms": _NEVER, "strategies": [], "symbols": [], "scans": []},
    "runtime": {"start_seconds": 0},
    "bus": {"transport": "ipc", "curve": False, "addresses": {}},
}  # fmt: skip
#: What else of the settings decides how the day is captured and traded.
_KEPT = ("data", "ingestor", "risk", "live", "journal", "sqlite", "query", "log")


def lay_out(source: DatabaseManager, into: Path, request: RunRequest) -> tuple[Path, Path]:
    """Make the fleet's root and the backtest's, both with the days before; give them.

    The backtest's has the days themselves where history has them; else those the fleet closes go there.
    """
    from libs.core.clock import SystemClock
    from libs.dbaccess.init import init_all
    from libs.dbaccess.layout import Layout, closed_days
    from services.backtest.request import NEXT_TICK

    if source.layout.root.resolve() in (into.resolve(), *into.resolve().parents):
        raise WrongUsage(f"--into {into} is inside the recording's own data root; name another place")
    if into.exists() and any(into.iterdir()):
        raise Refused(f"--into {into} is not empty; name a directory that is, or is not there yet")
    roots = (into / "fleet", into / "past")
    first, exchange = request.start, request.exchange
    closed = closed_days(source.layout.series(exchange, "candles", "1m"))
    oldest = warm_from(source, request)
    ticks = closed_days(source.layout.series(exchange, "ticks", None)) if request.fill == NEXT_TICK else []
    for root in roots:
        root.mkdir(mode=0o700, parents=True)
        layout = Layout(root)
        init_all(layout, settings=source.settings, clock=SystemClock())
        learned = source.layout.calendar(exchange)
        if learned.exists():
            link(learned, layout.calendar(exchange))
        last = request.end if root == roots[1] else first - timedelta(days=1)
        for each, path in closed:
            if oldest <= each <= last:
                link(path, layout.day(exchange, "candles", "1m", each))
        for each, path in ticks:
            if first <= each <= last:
                link(path, layout.day(exchange, "ticks", None, each))
    kept = source.layout.market / f"instruments_{exchange}.json.gz"
    target = roots[0] / "market_data" / kept.name
    if kept.exists():
        link(kept, target)
    else:
        target.write_bytes(_instruments_file(request.instruments))
    _configure(roots[0], source.settings, request)
    return roots


def warm_from(source: DatabaseManager, request: RunRequest) -> date:
    """Give the day of the oldest bar that warms a strategy up on the first day."""
    from libs.core.clock import trading_date
    from libs.dbaccess import MarketDataQuery
    from libs.dbaccess.calendars import load_calendar
    from services.backtest.form import make_host

    oldest = request.start
    needed = make_host(request, load_calendar(source.layout.root, request.exchange)).warmup_needed()
    with MarketDataQuery(source, closed_days_only=True) as query:
        for (exchange, symbol, timeframe), count in needed.items():
            for found in query.last_candle_columns(symbol, exchange, timeframe, count, before=request.start):
                if len(found.timestamps):
                    oldest = min(oldest, trading_date(int(found.timestamps[0])))
    return oldest


def _instruments_file(instruments: tuple[Instrument, ...]) -> bytes:
    """Spell what is assumed of shares as the broker's file does: prices in paise."""
    rows = [
        {"segment": f"{each.exchange.upper()}_EQ", "exchange": each.exchange.upper(), "instrument_type": "EQ",
         "trading_symbol": each.symbol, "name": each.symbol, "tick_size": each.tick_size * 100,
         "lot_size": each.lot_size, "instrument_key": f"{each.exchange.upper()}_EQ|ASSUMED-{number:05d}"}
        for number, each in enumerate(instruments)
    ]  # fmt: skip
    return gzip.compress(json.dumps(rows).encode())


def _configure(root: Path, settings: Settings, request: RunRequest) -> None:
    """Write the strategies and limits into the config store of the stage, as the api would."""
    from libs.core.clock import SystemClock
    from libs.dbaccess import DatabaseManager, Role

    scopes = {"all": "account", "strategy": "strategy", "symbol": "instrument"}
    clock = SystemClock()
    manager = DatabaseManager(root, Role.API, settings=settings, clock=clock)
    with manager.config_writer() as connection:
        for each in request.instances():
            connection.execute(
                "INSERT INTO strategy_configs (instance, strategy, is_enabled, exchange, timeframe, symbols_json, "
                "parameters_json, updated_at_us) VALUES (?, ?, 1, ?, ?, ?, ?, ?)",
                (each.instance, each.strategy, each.exchange, each.timeframe, json.dumps(list(each.symbols)),
                 json.dumps(each.parameters), clock.now_us()),
            )  # fmt: skip
        for row in request.overrides:
            scope = f"{request.exchange}:{row.key}" if row.scope == "symbol" else row.key
            values = (scopes[row.scope], scope, row.name, int(row.value), clock.now_us())
            connection.execute("INSERT INTO risk_limits VALUES (?, ?, ?, ?, ?)", values)


def stage_environment(
    root: Path, source: DatabaseManager, day: date, request: RunRequest, played: str
) -> dict[str, str]:
    """Give the environment of the stage's processes: the fleet's settings in a file of theirs, and nothing of ours.

    The profile is the demo's, which trades no money and lets the market have its own date.
    """
    from services.backtest.request import NEXT_TICK

    settings = source.settings
    sections = {name: msgspec.to_builtins(getattr(settings, name)) for name in (*_KEPT, "strategies", "execution")}
    for name, changes in _PATIENT.items():
        sections[name] = sections.get(name, {}) | changes
    sections["strategies"]["user_directory"] = str(settings.strategies.directory(str(source.layout.root)).absolute())
    sections["ingestor"] |= {"feed": "replay", "symbols": list(request.symbols_all), "backfill": False}
    on_ticks = request.fill == NEXT_TICK
    sections["execution"] |= {"paper_fill": request.fill, "exit_source": "tick" if on_ticks else "bar"}
    sections["replay"] = {
        "root": str(source.layout.root.absolute()), "date": day.isoformat(), "source": played, "hold": True,
        "step": on_ticks,
    }  # fmt: skip
    path = root / "stage.toml"
    path.write_text("".join(f"[{name}]\n{_toml(values)}\n" for name, values in sections.items()), "utf-8")
    plain = {name: value for name, value in os.environ.items() if not name.startswith("TRADEFLEET_")}
    return plain | {
        "TRADEFLEET_DATA": str(root), "TRADEFLEET_PROFILE": "demo", "TRADEFLEET_CONFIG": str(path)
    }  # fmt: skip


def _toml(values: dict[str, Any]) -> str:
    return "".join(f"{name} = {_toml_value(value)}\n" for name, value in values.items() if value is not None)


def _toml_value(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(name)} = {_toml_value(each)}" for name, each in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml_value, value)) + "]"
    return json.dumps(value, ensure_ascii=True)  # texts, numbers and truths are spelled alike in both
