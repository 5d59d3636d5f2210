"""`fleet up|down|status|logs|restart`: the fleet under supervisord."""

from __future__ import annotations

import os
import subprocess
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import psutil

from cli.exits import FAILED, NOT_FOUND, OK
from cli.output import add_json, print_json, print_table
from cli.words import at_least
from libs.core.clock import SystemClock
from libs.core.errors import Refused
from libs.runtime.idle import idle_programs
from libs.settings import PROJECT_ROOT, Settings, load_settings

_PURPOSES = {
    "up": "start the fleet under supervisord",
    "down": "stop the fleet, in order",
    "status": "say which services run",
    "logs": "show the end of one service's log",
    "restart": "restart one service; the others are not disturbed",
}
_DEADLINE_S = 60
#: The services' own limits in supervisord.conf, one priority after another, are 155 s.
_DOWN_DEADLINE_S = 180
#: Supervisord's own place, beside its configuration whatever the data root is.
_RUN = PROJECT_ROOT / "data" / "run"


def _add(subparsers: Any, *, command: str) -> None:
    parser: ArgumentParser = subparsers.add_parser(command, help=_PURPOSES[command], description=_PURPOSES[command])
    if command == "up":
        parser.add_argument(
            "--i-understand-this-trades-real-money", action="store_true", dest="real_money",
            help="what the profile live asks for, unless the setting of this name says it",
        )  # fmt: skip
    if command in {"logs", "restart"}:
        parser.add_argument("service", metavar="SERVICE")
    if command == "logs":
        parser.add_argument("-f", "--follow", action="store_true", help="go on as the service writes; Ctrl-C ends it")
        parser.add_argument("-n", "--lines", type=at_least(0), default=50, metavar="N", help="how many lines (50)")
    if command == "status":
        add_json(parser)
    run = {"up": _up, "down": _down, "status": _status, "logs": _logs, "restart": _restart}[command]
    parser.set_defaults(run=run)


add_up, add_down, add_status, add_logs, add_restart = (partial(_add, command=command) for command in _PURPOSES)


def _up(options: Namespace) -> int:
    if options.real_money:
        os.environ["TRADEFLEET_EXECUTION_I_UNDERSTAND_THIS_TRADES_REAL_MONEY"] = "true"
    settings = load_settings()
    if settings.profile == "live" and not settings.execution.i_understand_this_trades_real_money:
        raise Refused("profile live trades real money: `fleet up --i-understand-this-trades-real-money`")
    if _control("pid").returncode == 0:
        print("the fleet is up already")
        return _print_status()
    _copy_before_deployment(settings)
    _RUN.mkdir(mode=0o700, parents=True, exist_ok=True)
    done = subprocess.run(
        [sys.executable, "-m", "supervisor.supervisord", "-c", _configuration()],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        print(f"fleet: supervisord did not start: {done.stderr or done.stdout}".rstrip(), file=sys.stderr)
        return FAILED
    _wait_until(lambda: all(row["state"] != "STARTING" for row in _rows()))
    return _print_status()


def _down(_options: Namespace) -> int:
    if _control("pid").returncode != 0:
        print("the fleet is not running")
        return OK
    pid = int(_control("pid").stdout)
    _control("shutdown")
    if not _wait_until(lambda: not psutil.pid_exists(pid), _DOWN_DEADLINE_S):
        print(f"fleet: supervisord (process {pid}) still runs after {_DOWN_DEADLINE_S} s", file=sys.stderr)
        return FAILED
    print("the fleet is down")
    return OK


def _status(options: Namespace) -> int:
    if options.json:
        running = _control("pid").returncode == 0
        print_json({"running": running, "services": _rows() if running else []})
        return OK if running and _all_well(_rows()) else FAILED
    if _control("pid").returncode != 0:
        print("the fleet is not running; start it with `fleet up`")
        return FAILED
    return _print_status()


def _logs(options: Namespace) -> int:
    path = _RUN / f"{options.service}.log"
    # supervisord names what it invents a file for with dashes.
    known = sorted(each.stem for each in path.parent.glob("*.log") if "---" not in each.stem)
    if options.service not in known:
        print(f"fleet: no log of {options.service!r}; there are: {', '.join(known) or 'none yet'}", file=sys.stderr)
        return NOT_FOUND
    words = ["tail", "-n", str(options.lines), *(["-F"] if options.follow else []), str(path)]
    return subprocess.run(words, check=False).returncode


def _restart(options: Namespace) -> int:
    if _control("pid").returncode != 0:
        print("fleet: the fleet is not running; start it with `fleet up`", file=sys.stderr)
        return FAILED
    _copy_before_deployment(load_settings())
    done = _control("restart", options.service)
    print(done.stdout.strip())
    if "no such process" in done.stdout:
        return NOT_FOUND
    return OK if "started" in done.stdout else FAILED


def _copy_before_deployment(settings: Settings) -> None:
    """Whatever code a service is started with the first time, the stores are copied before it."""
    from libs.dbaccess import BackupManager
    from libs.dbaccess.backup import copy_before_deployment

    for store, path in copy_before_deployment(BackupManager(settings.data_root, settings=settings)).items():
        print(f"this code is new here; {store} was copied before: {path}")


def _print_status() -> int:
    rows = _rows()
    print_table(["service", "state", "detail"], [[row["service"], row["state"], row["detail"]] for row in rows])
    return OK if _all_well(rows) else FAILED


def _all_well(rows: Sequence[dict[str, str]]) -> bool:
    """Whether all run that have something to do: the simulator has nothing outside the demo."""
    idle = idle_programs(load_settings().profile)
    return all(row["state"] == "RUNNING" or (row["service"] in idle and row["state"] == "EXITED") for row in rows)


def _rows() -> list[dict[str, str]]:
    rows = []
    for line in _control("status").stdout.splitlines():
        name, state, *detail = line.split(None, 2)
        rows.append({"service": name, "state": state, "detail": detail[0] if detail else ""})
    return rows


def _control(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "supervisor.supervisorctl", "-c", _configuration(), *words],
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def _configuration() -> str:
    return str(PROJECT_ROOT / "supervisord.conf")


def _wait_until(condition: Callable[[], bool], deadline_s: int = _DEADLINE_S) -> bool:
    clock = SystemClock()
    end = clock.monotonic_ns() + deadline_s * 1_000_000_000
    while not condition():
        if clock.monotonic_ns() > end:
            return False
        clock.sleep(0.1)
    return True
