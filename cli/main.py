"""Entry point of `fleet`: finds the command's group and imports nothing else, so that `fleet --help` is quick."""

from __future__ import annotations

import argparse
import atexit
import os
import sys
from collections.abc import Sequence
from importlib import import_module

from cli.exits import FAILED, USAGE, exit_code_of
from libs.core.version import CODE_VERSION

#: Command, the module that adds it (with `add`, or the function after the colon), what it is for.
COMMANDS: dict[str, tuple[str, str]] = {
    "init": ("cli.stores", "create or upgrade every store; idempotent"),
    "up": ("cli.fleet:add_up", "start the fleet under supervisord"),
    "down": ("cli.fleet:add_down", "stop the fleet, in order"),
    "status": ("cli.fleet:add_status", "say which services run"),
    "logs": ("cli.fleet:add_logs", "show the end of one service's log"),
    "restart": ("cli.fleet:add_restart", "restart one service; the others are not disturbed"),
    "rollover": ("cli.rollover", "move the days that are over from the live buffer into history"),
    "preflight": ("cli.preflight", "may trading begin? GO or NO-GO, with reasons"),
    "eod": ("cli.eod", "end the day: flat, settled, in history, copied; GO or NO-GO"),
    "doctor": ("cli.doctor", "find what commonly goes wrong, and the command that helps"),
    "coverage": ("cli.coverage", "which minutes of which days there are, and which are missing"),
    "health": ("cli.health", "check directories, locks, stores, schema versions and disk"),
    "db": ("cli.db", "verify, stats, optimize, export, import a store"),
    "query": ("cli.query", "run one SELECT over candles and ticks, read only"),
    "candles": ("cli.candles", "candles of a symbol, history and today as one"),
    "import": ("cli.importing", "candles or ticks from CSV or Parquet into closed days"),
    "migrate": ("cli.migrate", "an older installation's files into the six stores"),
    "history": ("cli.history", "candles of the past from the broker into closed days"),
    "archive": ("cli.archive", "old closed days to compressed Parquet, verified before the hot file goes"),
    "backup": ("cli.backup", "copy a store beside its living owner, checked before it counts"),
    "backups": ("cli.backup:add_list", "list the copies there are, newest first"),
    "restore": ("cli.backup:add_restore", "put a copy back in a store's place; what it replaces is kept"),
    "backtest": ("cli.backtest", "run strategies over the past; list, show, compare and delete runs"),
    "feed": ("cli.feed", "watch candles, ticks, signals, orders and the rest as they happen"),
    "keys": ("cli.keys", "CURVE keys for a bus beyond this machine"),
    "calendar": ("cli.calendar", "when the exchange trades"),
    "kill-switch": ("cli.kill_switch", "stop trading, flatten, resume"),
    "orders": ("cli.orders:add_orders", "orders and where they are"),
    "trades": ("cli.orders:add_trades", "fills"),
    "positions": ("cli.orders:add_positions", "what is held, by strategy"),
    "risk": ("cli.orders:add_risk", "what risk refused, locked or halted"),
    "reconcile": ("cli.reconcile", "compare orders, trades and positions with the broker"),
    "replay": ("cli.replay", "a recorded day through the ingestor, into another data root"),
    "parity": ("cli.parity", "does the fleet do what the backtest says? A recorded day through both"),
    "sim": ("cli.sim", "script the exchange simulator (demo only)"),
    "indicators": ("cli.indicators", "what strategies and scans may compute, with parameters and ranges"),
    "strategies": ("cli.strategies", "what is registered, shipped and your own, with parameters and ranges"),
    "instruments": ("cli.instruments", "what can be traded: import the broker's file, search"),
    "token": ("cli.token", "the broker's token: its state, log in, store one"),
    "user": ("cli.user", "who may log in to the dashboard and the API"),
    "scans": ("cli.scans", "what can be looked for over the whole market, with parameters"),
    "analytics": ("cli.analytics", "confluence, regime and patterns of symbols: show, update"),
    "new": ("cli.new", "a strategy or a scan from the template"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and give its exit code: 0 ok, 1 failed, 2 usage, 3 ownership or lock, 4 not found."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    parser = _parser(words[0] if words else "")
    options = parser.parse_args(words)
    if not hasattr(options, "run"):
        parser.print_help()
        return USAGE
    try:
        return int(options.run(options) or 0)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        sys.stderr.close()  # the reader of our output went away: not an error worth a traceback
        return FAILED
    except Exception as e:
        code = exit_code_of(e)
        if code is None:
            raise
        print(f"fleet: {e}", file=sys.stderr)
        return code


def _parser(command: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="fleet",
        description="Run, feed, query and trade with the fleet.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="Every command has --help.\n"
        "Exit codes: 0 ok, 1 failed, 2 usage, 3 refused by ownership or lock, 4 not found.",
    )
    parser.add_argument("--version", action="version", version=f"tradefleet {CODE_VERSION}")
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND")
    for name, (module, purpose) in COMMANDS.items():
        if name == command:
            path, _, function = module.partition(":")
            getattr(import_module(path), function or "add")(subparsers)
        else:
            subparsers.add_parser(name, help=purpose)
    return parser


def run() -> None:
    """Be the `fleet` script."""
    codes: list[int] = []
    atexit.register(_end, codes)  # of what is to be done at exit, the first named is done last
    codes.append(main())
    sys.exit(codes[0])


def _end(codes: Sequence[int]) -> None:
    """Leave the rest to the system: taking the interpreter apart takes a tenth of a second, and nothing is open."""
    if codes:
        try:
            for stream in (sys.stdout, sys.stderr):
                if not stream.closed:
                    stream.flush()
        except OSError:
            return  # the interpreter's own end says what it is
        os._exit(codes[0])
