"""E1: what is suspended stays so over restarts and days, until it is changed or an operator resumes it."""

from __future__ import annotations

import json
from contextlib import contextmanager

import pytest

from cli.main import main
from libs.calendar import Calendar
from libs.contracts import MinuteClosed
from libs.core.errors import Refused
from libs.dbaccess import DatabaseManager, Role
from libs.dbaccess.roles import Store
from libs.simulation.clock import ManualClock
from libs.strategies import BaseStrategy, registry
from services.scanner.day import Runner
from services.scanner.minutes import Minute
from services.scanner.store import SignalsStore
from services.scanner.suspensions import Suspensions
from tests.kit.regimes import market, minutes
from tests.kit.roots import copy_stores, settings
from tests.kit.strategies import instance

DAYS = list(minutes(market(("ALFA",), days=2, seed=2, missing=0.0)))
CALENDAR = Calendar.load("nse")


class Flips(BaseStrategy):
    """In and out on every bar; too slow whenever the test wants."""

    strategy_id = "flips"
    clock = ManualClock()
    is_slow = False

    def process_bar(self, bar, context):
        if type(self).is_slow:
            type(self).clock.advance(1.0)
        return context.go_long() if context.position.is_flat else context.go_flat("out")


@pytest.fixture(autouse=True)
def flips():
    registry.register(Flips)
    Flips.is_slow = False


@pytest.fixture
def manager(data_root):
    copy_stores(data_root)
    return DatabaseManager(data_root, Role.SCANNER, settings=settings(TRADEFLEET_DATA=str(data_root)))


class Life:
    """One process: a run from a first minute on."""

    def __init__(self, manager, session, version):
        Flips.version = version
        self.store = SignalsStore(session, Flips.clock)
        self.suspensions = Suspensions(session, Flips.clock, "nse")
        self.runner = Runner(
            manager, manager.settings, Flips.clock, (instance("flips", ("ALFA",)),), sessions=CALENDAR.session,
            earlier=self.store.earlier, suspensions=self.suspensions,
        )  # fmt: skip

    def run(self, first, last):
        """Take some minutes; give the numbers of those that said something new."""
        said = []
        for number in range(first, last):
            bars = DAYS[number]
            closed = MinuteClosed("nse", bars[0].timestamp_us, len(bars))
            signals = self.runner.run(Minute(closed, bars))
            if any(each.topic.startswith("signal") for each in self.store.decide("nse", closed.timestamp_us, signals)):
                said.append(number)
        return said


@contextmanager
def life(manager, version="1"):
    with manager.writer_session(Store.SIGNALS) as session:
        yield Life(manager, session, version)


def suspended_at_ten(manager):
    """Slow on bars 8, 9, 10: the third in a row is one too many."""
    with life(manager) as one:
        said = one.run(0, 8)
        Flips.is_slow = True
        said += one.run(8, 20)
        Flips.is_slow = False
        said += one.run(20, 40)
    return said


def test_suspension_outlives_the_process_and_the_day(manager):
    said = suspended_at_ten(manager)
    with life(manager) as second:
        again = second.run(0, 60)
        held = list(second.suspensions.lasting())
        again += second.run(375, 400)
    with life(manager) as next_day:
        tomorrow = next_day.run(375, 400)

    assert said == list(range(10)), "in and out; slow twice is forgiven, and there was nothing to leave on bar 10"
    assert held == [("flips", "ALFA")]
    assert again == []
    assert tomorrow == []


def test_another_version_lifts_it(manager):
    suspended_at_ten(manager)
    with life(manager, version="2") as corrected:
        said = corrected.run(0, 40)
        held = corrected.suspensions.lasting()

    assert said[-1] == 39
    assert held == {}


def test_resumed_it_goes_on_and_a_restart_says_the_same(manager):
    """The bars of its suspension stay without signals: late ones would be traded."""
    suspended_at_ten(manager)
    with life(manager) as second:
        second.run(0, 40)
        with pytest.raises(Refused, match="suspended: flips on ALFA"):
            second.runner.lift("flips", "BETA")
        assert second.runner.lift("flips", "ALFA") == [("flips", "ALFA")]
        said = second.run(40, 60)
    with life(manager) as third:
        again = third.run(0, 60)
        on = third.run(60, 62)
        held = third.suspensions.lasting()

    assert said == list(range(40, 60))
    assert again == []
    assert on == [60, 61]
    assert held == {}


def test_resumed_from_the_command_line_without_a_scanner(manager, data_root, monkeypatch, capsys):
    monkeypatch.setenv("TRADEFLEET_DATA", str(data_root))
    monkeypatch.setenv("TRADEFLEET_BUS_COMMAND_TIMEOUT_MS", "100")
    suspended_at_ten(manager)
    listed = main(["strategies", "suspended", "--json"])
    (shown,) = json.loads(capsys.readouterr().out)
    done = main(["strategies", "resume", "flips", "--symbol", "ALFA"]), main(["strategies", "resume", "flips"])
    told = capsys.readouterr()
    with life(manager) as second:
        said = second.run(0, 45)

    assert (listed, shown["instance"], shown["symbol"]) == (0, "flips", "ALFA")
    assert "50 ms are allowed" in shown["reason"]
    assert done == (0, 1)
    assert "flips on ALFA runs again" in told.out
    assert "suspended: none" in told.err
    assert said == list(range(40, 45))
