"""Days played through the fleet's own processes: ingestor, scanner and engine, from each morning to its evening."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

import msgspec

from cli.replay import PROJECT, last_words, stop_process
from libs.core.errors import FleetError, Refused, RetryLater

if TYPE_CHECKING:
    from libs.messaging import CommandClient
    from libs.settings import Settings

_LOOK_EVERY_S, _STEP_LOOK_EVERY_S = 0.05, 0.005
#: Under load a process may take its time; one that does not answer by then is asked again.
_ANSWER_MS = 2000
_Found = TypeVar("_Found")


class Played(msgspec.Struct, frozen=True):
    """What the processes said when it was over."""

    minutes: int = 0
    ticks: int = 0
    late: int = 0
    bars: int = 0
    signals: int = 0


def play_days(
    root: Path, days: Sequence[date], environment_of: Callable[[date], dict[str, str]], timeout_s: float
) -> Played:
    """Play one day after the other: each night the day is rolled over and the processes start anew, on what there is.

    So what is held through a night goes through the stores, as it does when a fleet is started in the morning.
    """
    from libs.dbaccess import DatabaseManager, EODRollover, Role
    from libs.settings import load_settings

    played = Played()
    for number, day in enumerate(days, 1):
        environment = environment_of(day)
        settings = load_settings(environment=environment)
        one = _play_day(root, settings, environment, timeout_s)
        both = zip(msgspec.structs.astuple(played), msgspec.structs.astuple(one), strict=True)
        played = Played(*(before + now for before, now in both))
        if number < len(days):
            closer = DatabaseManager(root, Role.INGESTOR, settings=settings)
            EODRollover(closer).execute(day, settings.data.exchange)
    return played


def _play_day(root: Path, settings: Settings, environment: dict[str, str], timeout_s: float) -> Played:
    """Run the processes over the day, wait until all of it is decided, and stop them."""
    with ExitStack() as stack:
        processes = {
            name: stack.enter_context(_running(name, root, environment))
            for name in ("ingestor", "scanner", "execution_engine")
        }
        stage = stack.enter_context(_Stage(root, settings, processes, timeout_s))
        stage.until("ingestor", lambda status: status["feed"]["state"] == "live", "the recording to open")
        stage.until("scanner", lambda status: status["runs"] > 0, "the strategies to be hosted")
        stage.until("execution_engine", lambda status: status["joined"], "the engine to listen")
        is_over = False
        while not is_over:
            stage.ask("ingestor", "play")
            ingestor = stage.until("ingestor", _is_waiting, "the recording to go on")
            stage.keep_up(ingestor)
            is_over = ingestor["feed"]["state"] == "ended"
        captured = ingestor["capture"]
        hosted = stage.until("scanner", lambda _: True, "the strategies to say what they said")
    return Played(captured["minutes"], captured["ticks"], captured["late"], captured["bars"], hosted["signals"])


def _is_waiting(status: dict[str, Any]) -> bool:
    return bool(status["feed"]["state"] == "ended" or status["feed"]["held"])


class _Stage:
    """The processes of one day, and what they answer. A context: it keeps their command sockets open."""

    def __init__(
        self, root: Path, settings: Settings, processes: Mapping[str, subprocess.Popen[bytes]], timeout_s: float
    ) -> None:
        from libs.core.clock import SystemClock
        from libs.dbaccess import DatabaseManager

        self._settings = settings
        self._processes = processes
        self._manager = DatabaseManager(root, settings=settings)
        self._logs = root / "logs"
        self._clock = SystemClock()
        self._timeout_s = timeout_s
        self._end_ns = self._clock.monotonic_ns() + int(timeout_s * 1e9)
        self._clients: dict[str, CommandClient] = {}
        #: In steps somebody is waited for hundreds of times a day.
        self._every_s = _STEP_LOOK_EVERY_S if settings.replay.step else _LOOK_EVERY_S

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for service in list(self._clients):
            self._clients.pop(service).close()

    def until(self, name: str, condition: Callable[[dict[str, Any]], bool], what: str) -> dict[str, Any]:
        """Ask a process how it is until that is as wanted; give its last answer."""

        def answer() -> dict[str, Any] | None:
            status = self.ask(name, "status")
            return status if status is not None and condition(status) else None

        return self._until(answer, what)

    def ask(self, service: str, command: str) -> dict[str, Any] | None:
        """Put a command to a process; None where it did not answer."""
        from libs.messaging import CommandClient

        try:
            if service not in self._clients:
                self._clients[service] = CommandClient(service, settings=self._settings)
            return dict(self._clients[service].call(command, timeout_ms=_ANSWER_MS))
        except FleetError:
            if service in self._clients:
                self._clients.pop(service).close()
            return None

    def keep_up(self, ingestor: dict[str, Any]) -> None:
        """Wait until everything the ingestor told is decided, and done."""
        closed_us, ticks = ingestor["session"]["closed_through_us"], ingestor["capture"]["ticks"]
        decided_us, last_signal = self._until(lambda: self._told(closed_us), "the strategies to be done")
        has_barrier = self._settings.execution.paper_fill == "next_bar_open"

        def is_done(status: dict[str, Any]) -> bool:
            behind_bars = status["decided_us"] >= decided_us and not status["waiting"]
            is_decided = behind_bars if has_barrier else status["cursor"] >= last_signal
            return bool(is_decided and status["ticks"] >= ticks)

        self.until("execution_engine", is_done, "the engine to have decided on every signal")

    def _told(self, closed_us: int) -> tuple[int, int] | None:
        """Read the last minute the scanner is done with, and the place of its last signal, once it is that far."""
        with self._manager.signals_reader() as connection:
            (decided_us,) = connection.execute("SELECT coalesce(max(bar_us), 0) FROM decisions").fetchone()
            (last,) = connection.execute("SELECT coalesce(max(outbox_seq), 0) FROM signals").fetchone()
        return (int(decided_us), int(last)) if decided_us >= closed_us else None

    def _until(self, found: Callable[[], _Found | None], what: str) -> _Found:
        while self._clock.monotonic_ns() < self._end_ns:
            answer = found()
            if answer is not None:
                return answer
            for each, process in self._processes.items():
                if process.poll() is not None:
                    words = last_words(self._logs / f"{each}.log")
                    raise Refused(f"the {each} ended with code {process.returncode}: {words}")
            self._clock.sleep(self._every_s)
        raise RetryLater(
            f"waited {self._timeout_s:.0f} s in vain for {what}; --timeout gives it longer, and --into DIR keeps the "
            "logs (DIR/fleet/logs)"
        )


@contextmanager
def _running(name: str, root: Path, environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    log = _log(root, name)
    log.parent.mkdir(exist_ok=True)
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", f"services.{name}"], cwd=PROJECT, env=environment, stdout=output, stderr=output
        )
        try:
            yield process
        finally:
            stop_process(process)


def _log(root: Path, name: str) -> Path:
    return root / "logs" / f"{name}.log"
