"""`fleet parity`: does the fleet do what the backtest says, on a recorded day? Every difference, with its cause."""

from __future__ import annotations

import tempfile
from argparse import ArgumentParser, Namespace
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from cli.exits import FAILED, OK, WrongUsage
from cli.output import add_json, print_json, print_table
from cli.replay import ending_alike
from cli.words import a_day, between, split_names

_SHOWN_MAX = 20


def add(subparsers: Any) -> None:
    """Add the command."""
    parser: ArgumentParser = subparsers.add_parser(
        "parity", help="does the fleet do what the backtest says? A recorded day through both, compared",
        description="Play a recorded day through ingestor, scanner and engine (paper broker, data roots of their own), "
        "backtest the same strategies over the same day, and compare signals, orders and trades. Exit code 0 when all "
        "are equal, 1 when not: then the first difference is named with its cause. Nothing is written where the day "
        "comes from.",
    )  # fmt: skip
    days = parser.add_mutually_exclusive_group(required=True)
    days.add_argument("--date", type=a_day, metavar="D", help="the recorded day")
    days.add_argument(
        "--from", dest="start", type=a_day, metavar="D",
        help="the first of several days, on one account: what is held through a night is held on both sides",
    )  # fmt: skip
    parser.add_argument("--to", dest="end", type=a_day, metavar="D", help="the last of them")
    parser.add_argument(
        "--fill", choices=("next_bar_open", "next_tick"), default="next_bar_open",
        help="what both sides fill and leave on: bars (the default), or the ticks that were captured",
    )  # fmt: skip
    parser.add_argument(
        "--strategy", default="", metavar="A,B", help="only these, by instance or id; else all that run"
    )
    parser.add_argument(
        "--symbols", default="", metavar="A,B", help="only these; needed for one the fleet does not run"
    )
    parser.add_argument("--root", type=Path, help="data root of the recording (TRADEFLEET_DATA or data/)")
    parser.add_argument("--into", type=Path, metavar="DIR", help="keep what is made here; else it is removed")
    parser.add_argument("--source", choices=("ticks", "candles"), help="what to play (ticks where there are any)")
    parser.add_argument("--run", dest="run_id", metavar="RUN", help="a run of that one day instead of a matching one")
    parser.add_argument(
        "--traded", action="store_true",
        help="what the fleet did that day, by its own stores, instead of playing the day again",
    )  # fmt: skip
    parser.add_argument(
        "--timeout", type=between(0), default=3600.0, metavar="S", help="give up when a day takes so long (3600)"
    )
    parser.add_argument("--all", action="store_true", help=f"print every difference, not the first {_SHOWN_MAX}")
    add_json(parser)
    parser.set_defaults(run=run)


def run(options: Namespace) -> int:
    """Compare, print, and say by the exit code whether both were equal."""
    from cli.parity_day import Asked, compare_days
    from libs.settings import load_settings

    settings = load_settings()
    root = (options.root or Path(settings.data_root)).absolute()
    start, end = options.start or options.date, options.end or options.start or options.date
    if options.date and options.end:
        raise WrongUsage("--to goes with --from; --date names one day")
    if end < start:
        raise WrongUsage(f"--to {end} is before --from {start}")
    asked = Asked(
        start=start, end=end, fill=options.fill, strategies=_names(options.strategy), symbols=_names(options.symbols),
        source=options.source or "", run_id=options.run_id or "", traded=options.traded, timeout_s=options.timeout,
    )  # fmt: skip
    with ExitStack() as stack:
        stack.enter_context(ending_alike())
        if options.into is not None:
            into = options.into.absolute()
        else:
            made = tempfile.TemporaryDirectory(prefix="parity-", ignore_cleanup_errors=True)
            into = Path(stack.enter_context(made))
        found = compare_days(root, settings, asked, into)
    if options.json:
        print_json(found)
    else:
        _print(found, shown_max=len(found["differences"]) if options.all else _SHOWN_MAX)
    return OK if found["equal"] else FAILED


def _names(text: str) -> tuple[str, ...]:
    return tuple(split_names(text))


def _print(found: dict[str, Any], *, shown_max: int) -> None:
    days = found["date"] if found["date"] == found["to"] else f"{found['date']} to {found['to']}"
    print(f"{days}: {', '.join(found['strategies'])} on {', '.join(found['symbols'])}")
    counted = ("candles", "signals", "orders", "trades", "exits")
    print_table(
        ("", *(name.upper() for name in counted)),
        [(side, *(found[side][name] for name in counted)) for side in ("fleet", "backtest")],
    )
    differences = found["differences"]
    if not differences:
        compared = found["fleet"]["signals"]
        print(
            "EQUAL: every candle, signal, order and trade" if compared else "equal, but there was no signal to compare"
        )
        return
    first = differences[0]
    print(f"NOT EQUAL: {len(differences)} differences. The first: {first['what']}")
    print(f"its cause: {first['cause']}")
    rows = [
        (
            each["at"][5:19].replace("T", " ") if len(found["days"]) > 1 else each["at"][11:19],
            each["kind"],
            each["strategy_id"],
            each["symbol"],
            each["name"],
            _fields(each),
            each["cause"],
        )
        for each in differences[:shown_max]
    ]
    print_table(("AT", "KIND", "STRATEGY", "SYMBOL", "NAME", "FLEET / BACKTEST", "CAUSE"), rows)
    if len(differences) > shown_max:
        print(f"and {len(differences) - shown_max} more; --all shows them")


def _fields(each: dict[str, Any]) -> str:
    """Say what differs; of a row only one side has, whose it is."""
    pairs = each["fields"].items()
    if all(values[0] is None for _, values in pairs):
        return "only in the backtest"
    if all(values[1] is None for _, values in pairs):
        return "only in the fleet"
    return ", ".join(f"{name} {values[0]} / {values[1]}" for name, values in pairs)
