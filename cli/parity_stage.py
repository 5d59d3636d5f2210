"""A stage of its own for a recorded day: data roots, settings, and the fleet's own processes playing it."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from cli.parity_plan import link
from cli.replay import PROJECT, last_words, stop_process
from libs.core.errors import FleetError, Refused, RetryLater

if TYPE_CHECKING:
    from libs.dbaccess import DatabaseManager
    from libs.orders.instrument import Instrument
    from libs.settings import Settings
    from services.backtest.request import RunRequest

#: How far back a warm-up of 5,000 minutes reaches, holidays and all.
_DAYS_BEFORE = 60
_LOOK_EVERY_S = 0.05
_NEVER = 3_600_000
#: A replayed day runs faster than the clock on the wall, so nothing may be given up by that clock.
_PATIENT = {
    "execution": {
        "broker": "paper", "paper_fill": "next_bar_open", "exit_source": "bar", "barrier_timeout_ms": _NEVER,
        "market_silence_ms": _NEVER, "feed_stale_s": _NEVER, "heartbeat_lost_s": _NEVER,
    },
    "strategies": {"time_budget_per_bar_ms": 60_000},
    "scanner": {"minute_wait_ms": _NEVER, "strategies": [], "symbols": [], "scans": []},
    "runtime": {"start_seconds": 0},
    "bus": {"transport": "ipc", "curve": False, "addresses": {}},
}  # fmt: skip
#: What else of the settings decides how the day is captured and traded.
_KEPT = ("data", "ingestor", "risk", "live", "journal", "sqlite", "query", "log")


def lay_out(source: DatabaseManager, into: Path, day: date, request: RunRequest) -> tuple[Path, Path]:
    """Make the fleet's root and the backtest's, both with the days before; give them.

    The backtest's has the day itself where history has it; else the one the fleet closes goes there.
    """
    from libs.core.clock import SystemClock
    from libs.dbaccess.init import init_all
    from libs.dbaccess.layout import Layout, closed_days

    if source.layout.root.resolve() in (into.resolve(), *into.resolve().parents):
        raise Refused(f"--into {into} is inside the recording's own data root; name another place")
    if into.exists() and any(into.iterdir()):
        raise Refused(f"--into {into} is not empty; name a directory that is, or is not there yet")
    roots = (into / "fleet", into / "past")
    folder = source.layout.series(request.exchange, "candles", "1m")
    for root in roots:
        root.mkdir(mode=0o700, parents=True)
        layout = Layout(root)
        init_all(layout, settings=source.settings, clock=SystemClock())
        learned = source.layout.calendar(request.exchange)
        if learned.exists():
            link(learned, layout.calendar(request.exchange))
        last = day if root == roots[1] else day - timedelta(days=1)
        for each, path in closed_days(folder):
            if day - timedelta(days=_DAYS_BEFORE) <= each <= last:
                link(path, layout.day(request.exchange, "candles", "1m", each))
    kept = source.layout.market / f"instruments_{request.exchange}.json.gz"
    target = roots[0] / "market_data" / kept.name
    if kept.exists():
        link(kept, target)
    else:
        target.write_bytes(_instruments_file(request.instruments))
    _configure(roots[0], source.settings, request)
    return roots


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
    settings = source.settings
    sections = {name: msgspec.to_builtins(getattr(settings, name)) for name in (*_KEPT, "strategies", "execution")}
    for name, changes in _PATIENT.items():
        sections[name] = sections.get(name, {}) | changes
    sections["strategies"]["user_directory"] = str(settings.strategies.directory(settings.data_root).absolute())
    sections["ingestor"] |= {"feed": "replay", "symbols": list(request.symbols_all), "backfill": False}
    sections["replay"] = {
        "root": str(source.layout.root.absolute()),
        "date": day.isoformat(),
        "source": played,
        "hold": True,
    }
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


class Played(msgspec.Struct, frozen=True):
    """What the processes said when it was over."""

    minutes: int
    ticks: int
    bars: int
    signals: int


def play_through(root: Path, environment: dict[str, str], timeout_s: float) -> Played:
    """Run ingestor, scanner and engine over the day, wait until all of it is decided, and stop them."""
    from libs.core.clock import SystemClock
    from libs.settings import load_settings

    settings, clock = load_settings(environment=environment), SystemClock()
    end_ns = clock.monotonic_ns() + int(timeout_s * 1e9)
    with ExitStack() as stack:
        processes = {
            name: stack.enter_context(_running(name, root, environment))
            for name in ("ingestor", "scanner", "execution_engine")
        }

        def until(name: str, condition: Callable[[dict[str, Any]], bool], what: str) -> dict[str, Any]:
            while clock.monotonic_ns() < end_ns:
                for each, process in processes.items():
                    if process.poll() is not None:
                        raise Refused(
                            f"the {each} ended with code {process.returncode}: {last_words(_log(root, each))}"
                        )
                status = _ask(settings, name, "status")
                if status is not None and condition(status):
                    return status
                clock.sleep(_LOOK_EVERY_S)
            raise RetryLater(f"waited {timeout_s:.0f} s in vain for {what}; see {root / 'logs'}")

        until("ingestor", lambda status: status["feed"]["state"] == "live", "the recording to open")
        until("scanner", lambda status: status["runs"] > 0, "the strategies to be hosted")
        until("execution_engine", lambda status: status["joined"], "the engine to listen")
        _ask(settings, "ingestor", "play")
        captured = until("ingestor", lambda status: status["feed"]["state"] == "ended", "the recording to end")[
            "capture"
        ]
        hosted = until("scanner", lambda status: status["minutes"] >= captured["minutes"], "the strategies to be done")
        last_us = _last_decided(root, settings)
        until(
            "execution_engine", lambda status: status["decided_us"] >= last_us and not status["waiting"],
            "the engine to have decided on every signal",
        )  # fmt: skip
    return Played(captured["minutes"], captured["ticks"], captured["bars"], hosted["signals"])


def _ask(settings: Settings, service: str, command: str) -> dict[str, Any] | None:
    from libs.messaging import CommandClient

    try:
        with CommandClient(service, settings=settings) as client:
            answer = client.call(command, timeout_ms=1000)
            return dict(answer)
    except FleetError:
        return None


def _last_decided(root: Path, settings: Settings) -> int:
    from libs.dbaccess import DatabaseManager

    with DatabaseManager(root, settings=settings).signals_reader() as connection:
        return int(connection.execute("SELECT coalesce(max(bar_us), 0) FROM decisions").fetchone()[0])


@contextmanager
def _running(name: str, root: Path, environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    log = _log(root, name)
    log.parent.mkdir(exist_ok=True)
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", f"services.{name}"], cwd=PROJECT, env=environment, stdout=output, stderr=output
        )
        try:
            yield process
        finally:
            stop_process(process)


def _log(root: Path, name: str) -> Path:
    return root / "logs" / f"{name}.log"
