"""`fleet strategies`: what is registered, shipped and the user's own."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from cli.exits import FAILED, OK
from cli.output import add_json, print_json, print_table
from libs.core.clock import IST, SystemClock, to_datetime
from libs.core.errors import RetryLater
from libs.settings import Settings, load_settings
from libs.strategies import registry
from libs.strategies.interface import BaseStrategy, ParameterInfo, describe_parameters
from libs.strategies.user import Loaded, load_directory

_SUSPENDED = "SELECT runner, symbol, bar_us, detail FROM runner_state WHERE status = 'suspended' ORDER BY 1, 2"


def add(subparsers: Any) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "strategies",
        help="what is registered, shipped and your own, with parameters and ranges",
        description="List every strategy with its parameters and their ranges. Your own come from the directory of the "
        "setting strategies.user_directory; a file that is broken is named with its line, and the exit code is 1.",
    )
    add_json(parser)
    parser.set_defaults(run=run)
    actions = parser.add_subparsers(title="actions", metavar="ACTION")
    suspended = actions.add_parser("suspended", help="which do not run because they were too slow or raised, and why")
    add_json(suspended)
    suspended.set_defaults(run=show_suspended)
    resume = actions.add_parser(
        "resume",
        help="let a suspended one run again",
        description="Let a suspended strategy instance run again from the next bar on. The bars of its suspension stay "
        "without signals. A corrected file or other parameters need no resume: the next start runs them.",
    )
    resume.add_argument("instance", help="as `fleet strategies suspended` names it")
    resume.add_argument("--symbol", default="", help="only on this symbol; default: wherever it is suspended")
    resume.set_defaults(run=resume_suspended)


def run(options: argparse.Namespace) -> int:
    """Print a line a strategy, or all of it as JSON; 1 when a file of the user's is broken."""
    settings = load_settings()
    loaded = load_directory(settings.strategies.directory(settings.data_root))
    entries = [_entry(name, kind, loaded) for name, kind in registry.classes()]
    if options.json:
        broken = [problem._asdict() for problem in loaded.broken]
        print_json({"strategies": entries, "broken": broken})
    else:
        print_table(
            ("strategy", "version", "warm-up", "parameters", "what it does"),
            [
                (entry["strategy_id"], entry["version"], entry["warmup_bars"], entry["in_words"], entry["purpose"])
                for entry in entries
            ],
        )
    for problem in loaded.broken:
        print(f"fleet: {problem}", file=sys.stderr)
    return FAILED if loaded.broken else OK


def show_suspended(options: argparse.Namespace) -> int:
    """Print who is suspended, since when and why."""
    from libs.dbaccess import DatabaseManager

    settings = load_settings()
    with DatabaseManager(settings.data_root, settings=settings).signals_reader() as connection:
        rows = connection.execute(_SUSPENDED).fetchall()
    if options.json:
        print_json([dict(zip(("instance", "symbol", "bar_us", "reason"), row, strict=True)) for row in rows])
    elif not rows:
        print("no strategy is suspended")
    else:
        print_table(
            ("instance", "symbol", "since", "why"),
            [
                (instance, symbol, f"{to_datetime(at_us).astimezone(IST):%Y-%m-%d %H:%M}" if at_us else "start", reason)
                for instance, symbol, at_us, reason in rows
            ],
        )
    return OK


def resume_suspended(options: argparse.Namespace) -> int:
    """Have it done by the scanner; without one, in its store under its lock."""
    from libs.messaging import CommandClient

    settings = load_settings()
    try:
        with CommandClient("scanner", settings=settings) as client:
            lifted = client.call("resume", {"instance": options.instance, "symbol": options.symbol})
    except RetryLater:
        lifted = _lift(settings, options.instance, options.symbol)
    for instance, symbol in lifted:
        print(f"{instance} on {symbol} runs again from the next bar on")
    return OK


def _lift(settings: Settings, instance: str, symbol: str) -> list[tuple[str, str]]:
    from libs.dbaccess import DatabaseManager, Role
    from libs.dbaccess.roles import Store
    from services.scanner.suspensions import Suspensions

    clock = SystemClock()
    manager = DatabaseManager(settings.data_root, Role.SCANNER, settings=settings, clock=clock)
    with manager.writer_session(Store.SIGNALS) as session:
        return list(Suspensions(session, clock, settings.data.exchange).lift(instance, symbol))


def in_words(parameter: ParameterInfo) -> str:
    """Spell a parameter with its default and its range."""
    if parameter.kind == "bool":
        return f"{parameter.name}={str(parameter.default).lower()}"
    if parameter.minimum is None or parameter.maximum is None:
        return f"{parameter.name}={parameter.default}"
    return f"{parameter.name}={parameter.default:g} ({parameter.minimum:g}..{parameter.maximum:g})"


def _entry(name: str, kind: type[BaseStrategy[Any]], loaded: Loaded) -> dict[str, Any]:
    parameters = describe_parameters(kind)
    return {
        "strategy_id": name,
        "version": str(kind.version),
        "purpose": kind.purpose or (kind.__doc__ or "").split("\n")[0],
        "warmup_bars": int(kind().warmup_bars),
        "parameters": [parameter._asdict() for parameter in parameters],
        "in_words": ", ".join(map(in_words, parameters)),
        "file": str(loaded.strategies.get(name, "")),
    }
