"""Who hangs, who keeps crashing, who is silent with positions open: judged by heartbeats and the supervisor."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from libs.contracts import Health
from libs.contracts.health import Severity
from libs.core.clock import Clock
from libs.runtime.alerts import Alerts
from libs.settings.watchdog import Watchdog
from services.watchdog.control import Program
from services.watchdog.listener import ProgramEvent
from services.watchdog.manifest import NAME

ENGINE = "execution_engine"
_NS = 1_000_000_000
_WRONG_CONFIGURATION = 78
_ABSENCES_NS = 5 * _NS


@dataclass(frozen=True)
class Kill:
    """It hangs: end it, and let the supervisor start it again."""

    program: str


@dataclass(frozen=True)
class Stop:
    """It keeps crashing: stop it, and leave it stopped."""

    program: str


@dataclass(frozen=True)
class Listen:
    """Everybody is silent at once: more likely our own ears. Subscribe anew before anybody is blamed."""


Verdict = Kill | Stop | Listen


class Judge:
    """What the watchdog knows. Holds nothing that it cannot learn again: it may die at any time."""

    def __init__(
        self, clock: Clock, alerts: Alerts, alarm: Alerts, settings: Watchdog, idle: frozenset[str] = frozenset()
    ) -> None:
        self._clock = clock
        self._alerts = alerts
        self._alarm = alarm
        self._settings = settings
        self._idle = idle
        self._listening_ns = self._looked_ns = clock.monotonic_ns()
        self._doubted = False
        self._heard: dict[str, tuple[int, int]] = {}
        self._ends: dict[str, deque[int]] = {}
        self.kills = 0
        self.stops = 0
        #: Positions the engine held when it was last heard; None before anybody said.
        self.positions: int | None = None

    def heard(self, beat: Health) -> None:
        """Take a heartbeat."""
        now_ns = self._clock.monotonic_ns()
        self._heard[beat.service] = (beat.pid, now_ns)
        self._doubted = False
        if beat.service == ENGINE:
            self.positions = int(beat.figures.get("positions", 0))
        lag_ms = beat.loop_lag_us // 1000
        if lag_ms > self._settings.lag_warning_ms:
            self._alerts.raise_(
                f"lag {beat.service}", Severity.WARNING, NAME, f"{beat.service} is slow",
                f"its event loop was {lag_ms} ms late; queue {beat.queue_length}",
            )  # fmt: skip
        else:
            self._alerts.clear(f"lag {beat.service}")

    def event(self, event: ProgramEvent) -> Stop | None:
        """Count unexpected ends; too many within the window, and it is to be stopped."""
        if event.program == NAME or event.state not in {"EXITED", "BACKOFF"}:
            return None
        if event.state == "EXITED" and event.expected:
            return None
        now_ns = self._clock.monotonic_ns()
        ends = self._ends.setdefault(event.program, deque(maxlen=self._settings.restarts_max + 1))
        ends.append(now_ns)
        if len(ends) <= self._settings.restarts_max or now_ns - ends[0] > self._settings.restarts_window_s * _NS:
            return None
        ends.clear()
        self.stops += 1
        self._alerts.raise_(
            f"storm {event.program}", Severity.CRITICAL, NAME, f"{event.program} keeps crashing and was stopped",
            f"more than {self._settings.restarts_max} ends in {self._settings.restarts_window_s} s; "
            f"`fleet logs {event.program}` says why, `fleet restart {event.program}` starts it again",
        )  # fmt: skip
        return Stop(event.program)

    def look(self, programs: Sequence[Program]) -> list[Verdict]:
        """Say what is to be done now."""
        now_ns = self._clock.monotonic_ns()
        late_ns = now_ns - self._looked_ns - self._settings.look_interval_ms * 1_000_000
        self._looked_ns = now_ns
        if late_ns > _ABSENCES_NS:  # we were stopped ourselves: what we did not hear then proves nothing
            self._listen_anew(now_ns)
        for program in programs:
            self._look_at_state(program)
        self._sound_alarm(now_ns, {each.name: each for each in programs}.get(ENGINE))
        watched = [each for each in programs if each.name in self._settings.watched and each.state == "RUNNING"]
        hung = [each for each in watched if self._is_hung(each, now_ns)]
        if len(hung) > 1 and len(hung) == len(watched) and not self._doubted:
            self._doubted = True
            self._listen_anew(now_ns)
            return [Listen()]
        for program in hung:
            self._blame(program, now_ns)
        self.kills += len(hung)
        return [Kill(program.name) for program in hung]

    def _listen_anew(self, now_ns: int) -> None:
        self._listening_ns = now_ns

    def _silent_ns(self, program: Program, now_ns: int) -> int:
        """Give for how long nothing was heard of this very process while we were listening."""
        pid, heard_ns = self._heard.get(program.name, (0, 0))
        since_ns = heard_ns if pid == program.pid else now_ns - program.running_s * _NS
        return now_ns - max(since_ns, self._listening_ns)

    def _is_hung(self, program: Program, now_ns: int) -> bool:
        if self._silent_ns(program, now_ns) < self._settings.hung_s * _NS:
            return False
        was_heard = self._heard.get(program.name, (0, 0))[0] == program.pid
        return was_heard or program.running_s >= self._settings.start_grace_s

    def _blame(self, program: Program, now_ns: int) -> None:
        self._alerts.raise_(
            f"hung {program.name}", Severity.CRITICAL, NAME, f"{program.name} hung and was restarted",
            f"process {program.pid} gave no heartbeat for {self._silent_ns(program, now_ns) // _NS} s; "
            f"`fleet logs {program.name}`",
        )  # fmt: skip

    def _look_at_state(self, program: Program) -> None:
        """A program the supervisor has given up is told; one that runs and beats again is over."""
        name = program.name
        pid, _ = self._heard.get(name, (0, 0))
        if program.state == "RUNNING":
            self._alerts.clear(f"ended {name}")
            if pid == program.pid and program.running_s >= self._settings.hung_s:
                self._alerts.clear(f"storm {name}")
            if pid == program.pid and self._silent_ns(program, self._looked_ns) < self._settings.hung_s * _NS:
                self._alerts.clear(f"hung {name}")
        elif program.state == "FATAL":
            self._ended(name, "could not be started", f"`fleet logs {name}` says why")
        elif program.state == "EXITED" and program.exit_code == _WRONG_CONFIGURATION:
            self._ended(name, "is configured wrongly and stays down", f"`fleet logs {name}` names the setting")
        elif program.state == "EXITED" and not (name in self._idle and program.exit_code == 0):
            self._ended(name, f"ended by itself with exit code {program.exit_code}", f"`fleet restart {name}`")

    def _ended(self, name: str, what: str, detail: str) -> None:
        self._alerts.raise_(f"ended {name}", Severity.CRITICAL, NAME, f"{name} {what}", detail)

    def _sound_alarm(self, now_ns: int, engine: Program | None) -> None:
        """The engine silent, dead or stopped with positions open: nobody guards the stops."""
        heard_ns = self._heard.get(ENGINE, (0, 0))[1]
        silent_s = (now_ns - max(heard_ns, self._listening_ns)) // _NS
        if not self.positions or silent_s < self._settings.engine_silent_s:
            if silent_s < self._settings.engine_silent_s and heard_ns:
                self._alarm.clear("engine")
            return
        state = engine.state if engine else "not a program of this supervisor"
        self._alarm.raise_(
            "engine", Severity.CRITICAL, NAME,
            f"ALARM: the engine is silent with {self.positions} positions open",
            f"no heartbeat for {silent_s} s, program {state}; no stop is guarded. `fleet restart execution_engine`; "
            "if it does not come back, close the positions at the broker by hand",
        )  # fmt: skip
