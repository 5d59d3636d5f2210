"""Who hangs, who keeps crashing, and the loudest alarm: judged without a process."""

from __future__ import annotations

import pytest

from libs.contracts import Health, HealthState
from libs.contracts.health import Severity
from libs.runtime.alerts import Alerts
from libs.settings.watchdog import Watchdog
from libs.simulation.clock import ManualClock
from services.watchdog.control import Program
from services.watchdog.judge import Judge, Kill, Listen, Stop
from services.watchdog.listener import ProgramEvent, program_event

SETTINGS = Watchdog(hung_s=20, start_grace_s=120, engine_silent_s=10, restarts_max=3, restarts_window_s=60)
PIDS = {"ingestor": 11, "scanner": 12, "execution_engine": 13}


class Fleet:
    """A judge, its clock, and three programs that run."""

    def __init__(self) -> None:
        self.clock, self.told = ManualClock(), []
        self.judge = Judge(
            self.clock,
            Alerts(self.clock, self.told.append, repeat_min=30),
            Alerts(self.clock, self.told.append, repeat_min=1),
            SETTINGS,
        )
        self.running_s = 1000
        self.state = dict.fromkeys(PIDS, "RUNNING")
        self.pids = dict(PIDS)

    def second(self, *silent: str, positions: int = 0) -> list:
        """A second passes; everybody but the silent beats."""
        self.clock.advance(1)
        self.running_s += 1
        for name in PIDS.keys() - set(silent):
            figures = {"positions": float(positions)}
            self.judge.heard(Health(name, self.clock.now_us(), HealthState.GREEN, self.pids[name], figures=figures))
        return self.judge.look(
            [Program(name, self.state[name], self.pids[name], self.running_s, 0) for name in PIDS]
        )  # fmt: skip

    def seconds(self, count: int, *silent: str, positions: int = 0) -> list:
        return [verdict for _ in range(count) for verdict in self.second(*silent, positions=positions)]


@pytest.fixture
def fleet():
    return Fleet()


def test_only_the_hung_process_is_killed_and_said_to_be_well_again(fleet):
    assert fleet.seconds(60) == []
    assert fleet.seconds(18, "scanner") == []
    assert fleet.seconds(2, "scanner") == [Kill("scanner")]
    fleet.pids["scanner"], fleet.running_s = 99, 0
    assert fleet.seconds(30) == []

    assert [(each.title, each.is_over) for each in fleet.told] == [
        ("scanner hung and was restarted", False), ("over: scanner hung and was restarted", True)
    ]  # fmt: skip


def test_process_that_recovers_long_at_its_start_is_left_alone(fleet):
    fleet.seconds(5)
    fleet.pids["ingestor"], fleet.running_s = 99, 0
    assert fleet.seconds(100, "ingestor") == []

    assert fleet.seconds(25, "ingestor")[0] == Kill("ingestor")


def test_everybody_silent_at_once_means_our_own_ears_first(fleet):
    fleet.seconds(5)
    first = fleet.seconds(20, *PIDS)
    second = fleet.seconds(20, *PIDS)

    assert first == [Listen()]
    assert second == [Kill(name) for name in PIDS]


def test_own_absence_blames_nobody(fleet):
    fleet.seconds(5)
    fleet.clock.advance(300)

    assert fleet.seconds(19, *PIDS) == []


def test_engine_silent_with_positions_is_alarmed_again_and_again(fleet):
    fleet.seconds(5, positions=2)
    fleet.state["execution_engine"] = "FATAL"
    assert fleet.seconds(150, "execution_engine", positions=2) == []
    alarms = [each for each in fleet.told if each.title.startswith("ALARM")]
    assert len(alarms) == 3
    assert {each.severity for each in alarms} == {Severity.CRITICAL}
    fleet.state["execution_engine"] = "RUNNING"
    fleet.seconds(3, positions=2)

    assert fleet.told[-1].title == "over: ALARM: the engine is silent with 2 positions open"


def test_engine_silent_without_positions_is_no_alarm(fleet):
    fleet.seconds(5)
    fleet.state["execution_engine"] = "STOPPED"
    fleet.seconds(60, "execution_engine")

    assert fleet.told == []


def test_restart_storm_is_stopped_and_slow_crashes_are_not(fleet):
    crash = ProgramEvent("scanner", "EXITED", 12, expected=False)
    for _ in range(10):
        fleet.clock.advance(30)
        assert fleet.judge.event(crash) is None
    fleet.clock.advance(61)
    assert [fleet.judge.event(crash) for _ in range(3)] == [None] * 3
    assert fleet.judge.event(ProgramEvent("scanner", "EXITED", 12, expected=True)) is None
    assert fleet.judge.event(crash) == Stop("scanner")

    assert [each.title for each in fleet.told] == ["scanner keeps crashing and was stopped"]


def test_wrong_configuration_is_told_as_that(fleet):
    fleet.judge.look([Program("scanner", "EXITED", 0, 5, 78)])

    assert fleet.told[0].title == "scanner is configured wrongly and stays down"


def test_an_event_is_taken_apart():
    payload = "processname:scanner groupname:scanner from_state:RUNNING expected:0 pid:77"

    assert program_event("PROCESS_STATE_EXITED", payload) == ProgramEvent("scanner", "EXITED", 77, expected=False)
    assert program_event("TICK_5", "when:1") is None


@pytest.mark.parametrize(("idle", "code", "told"), [(True, 0, 0), (True, 1, 1), (False, 0, 1)])
def test_a_program_that_has_nothing_to_do_may_end(idle, code, told):
    """Outside the demo the simulator ends by itself; a crash of it, or any other's end, is said."""
    clock, said = ManualClock(), []
    alerts = [Alerts(clock, said.append, repeat_min=30) for _ in range(2)]
    judge = Judge(clock, *alerts, SETTINGS, frozenset({"exchange_sim"}) if idle else frozenset())
    judge.look([Program("exchange_sim", "EXITED", 0, 0, code)])

    assert len(said) == told
