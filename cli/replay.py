"""`fleet replay`: a recorded day through the real ingestor, into a data root of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

from cli.exits import OK, WrongUsage
from cli.output import add_json, print_json
from cli.words import a_day, between

PROJECT = Path(__file__).resolve().parents[1]
_LOOK_EVERY_S = 0.1
_STOP_S = 60


def add(subparsers: Any) -> None:
    """Add the command."""
    parser: ArgumentParser = subparsers.add_parser(
        "replay", help="a recorded day through the ingestor, into another data root",
        description="Run the ingestor on a day that was captured before: journal, bars, bus and stores as on that day, "
        "in a data root of its own, which is made when it is not there. Run it again and an interrupted replay goes "
        "on. Never under the live profile, never into the root the day comes from.",
    )  # fmt: skip
    parser.add_argument("--date", required=True, type=a_day, metavar="D", help="the recorded day")
    parser.add_argument("--into", required=True, type=Path, metavar="ROOT", help="data root to replay into")
    parser.add_argument("--root", type=Path, help="data root of the recording (TRADEFLEET_DATA or data/)")
    parser.add_argument("--source", choices=("ticks", "candles"), default="ticks", help="what to play (ticks)")
    parser.add_argument(
        "--speed", type=between(0), default=0.0, metavar="X", help="market seconds a second (0: at once)"
    )
    parser.add_argument("--timeout", type=between(0), default=3600.0, metavar="S", help="give up after so long (3600)")
    add_json(parser)
    parser.set_defaults(run=run)


def run(options: Namespace) -> int:
    """Play it and say what came of it."""
    from libs.settings import load_settings

    root = options.root or Path(load_settings().data_root)
    with ending_alike():
        found = play(
            root, options.date, options.into, source=options.source, speed=options.speed, timeout_s=options.timeout
        )
    if options.json:
        print_json(found)
    else:
        print(f"{found['ticks']} ticks, {found['bars']} candles, {found['minutes']} minutes of {options.date} replayed")
        print(f"they are in {options.into}")
    return OK


def play(
    root: Path, day: date, into: Path, *, source: str = "ticks", speed: float = 0.0, timeout_s: float = 3600.0
) -> dict[str, Any]:
    """Replay `day` of `root` into `into` with the real ingestor process; give what it captured when it is over.

    Whoever subscribes to the bus of `into` meanwhile gets the day as live subscribers got it; the stores stay behind.
    """
    from libs.core.clock import SystemClock
    from libs.dbaccess.files import write_atomically
    from libs.dbaccess.init import init_all
    from libs.dbaccess.layout import Layout
    from libs.settings import load_settings

    if into.resolve() == root.resolve():
        raise WrongUsage(f"--into {into} is the recording's own data root; name another")
    given = {
        "TRADEFLEET_DATA": str(into), "TRADEFLEET_INGESTOR_FEED": "replay", "TRADEFLEET_REPLAY_ROOT": str(root),
        "TRADEFLEET_REPLAY_DATE": day.isoformat(), "TRADEFLEET_REPLAY_SOURCE": source,
        "TRADEFLEET_REPLAY_SPEED": str(speed), "TRADEFLEET_RUNTIME_START_SECONDS": "0",
    }  # fmt: skip
    environment = os.environ | given
    settings = load_settings(environment=environment)
    if not into.exists():
        into.mkdir(mode=0o700, parents=True)
        init_all(Layout(into), settings=settings, clock=SystemClock())
    learned = Layout(root).calendar(settings.data.exchange)
    if learned.exists():  # a session only the broker knew of was captured by its hours
        write_atomically(Layout(into).calendar(settings.data.exchange), learned.read_bytes())
    log = into / "logs" / "replay.log"
    log.parent.mkdir(exist_ok=True)
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "services.ingestor"], cwd=PROJECT, env=environment, stdout=output, stderr=output
        )
        try:
            return _until_ended(process, settings, log, timeout_s)
        finally:
            stop_process(process)


def _until_ended(process: subprocess.Popen[bytes], settings: Any, log: Path, timeout_s: float) -> dict[str, Any]:
    from libs.core.clock import SystemClock
    from libs.core.errors import FleetError, Refused, RetryLater
    from libs.messaging import CommandClient

    clock = SystemClock()
    end_ns = clock.monotonic_ns() + int(timeout_s * 1e9)
    while clock.monotonic_ns() < end_ns:
        if process.poll() is not None:
            raise Refused(f"the ingestor ended with code {process.returncode}: {last_words(log)}")
        try:
            with CommandClient("ingestor", settings=settings) as client:
                status = client.call("status", timeout_ms=1000)
        except FleetError:
            clock.sleep(_LOOK_EVERY_S)
            continue
        if status["feed"]["state"] == "ended":
            return {name: status["capture"][name] for name in ("ticks", "bars", "minutes", "late", "gaps")}
        clock.sleep(_LOOK_EVERY_S)
    raise RetryLater(f"the replay was not over after {timeout_s:.0f} s; run it again and it goes on")


@contextmanager
def ending_alike() -> Iterator[None]:
    """Take a SIGTERM as Ctrl-C is taken: the processes of ours must not stay behind."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def stop_process(process: subprocess.Popen[bytes]) -> None:
    """Ask a process to end, and see to it that it does."""
    process.terminate()
    try:
        process.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def last_words(log: Path) -> str:
    """Give the last line of a log."""
    lines = log.read_text("utf-8", "replace").strip().splitlines()
    return lines[-1][:500] if lines else "it said nothing"
