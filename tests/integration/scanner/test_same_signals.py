"""A recorded day gives the same signals, ids and order, however often the scanner dies and whatever the bus loses."""

from __future__ import annotations

import random
import shutil
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from libs.calendar import Calendar
from libs.contracts import MinuteClosed, OHLCVBar
from libs.contracts.topics import prefix, topic
from libs.dbaccess import DatabaseManager, Role
from libs.dbaccess.roles import Store
from libs.messaging import Record, Subscriber
from libs.settings import Settings
from libs.simulation.bus import Faults
from libs.simulation.clock import ManualClock
from services.scanner.day import Runner
from services.scanner.store import SignalsStore
from services.scanner.suspensions import Suspensions
from tests.kit.processes import DEADLINE_S
from tests.kit.recorded_day import minute_ends, recorded, telling
from tests.kit.rigs import MemoryRig
from tests.kit.roots import ROOMY, make_stores, settings
from tests.kit.service import service
from tests.kit.short import tmp_path
from tests.kit.strategies import instance

__all__ = ["tmp_path"]

SYMBOLS = ("ALFA", "BETA", "DELTA", "GAMMA", "OMEGA")
STRATEGIES = ("sma_cross", "rsi_reversion", "supertrend")
INSTANCES = tuple(instance(strategy, SYMBOLS) for strategy in STRATEGIES)
TOPICS = (prefix("candle", "1m", "nse"), topic("market", "nse", "minute_closed"))
#: Long enough that the subscriber notices, asks and is answered before the next minute comes.
TURNS_A_MINUTE = 30


@dataclass
class Life:
    """One life of the scanner on a store."""

    store: SignalsStore
    runner: Runner

    def take(self, item: OHLCVBar | MinuteClosed) -> None:
        self.runner.add(item)
        while minute := self.runner.take():
            self.store.decide("nse", minute.closed.timestamp_us, self.runner.run(minute))


@contextmanager
def life(manager: DatabaseManager, found: Settings) -> Iterator[Life]:
    """Begin where a start begins; leaving the block says goodbye to nobody."""
    with manager.writer_session(Store.SIGNALS) as session:
        store = SignalsStore(session, manager.clock)
        sessions = Calendar.load("nse").session
        yield Life(
            store,
            Runner(
                manager,
                found,
                ManualClock(),
                INSTANCES,
                sessions=sessions,
                earlier=store.earlier,
                suspensions=Suspensions(session, manager.clock, "nse"),
            ),
        )


@pytest.fixture
def new_root(tmp_path):
    """Give data roots with empty stores."""

    def make(name: str) -> tuple[DatabaseManager, Settings]:
        root = tmp_path / name
        root.mkdir(mode=0o700)
        make_stores(root)
        found = settings(TRADEFLEET_DATA=str(root))
        return DatabaseManager(root, Role.SCANNER, settings=found, clock=ManualClock()), found

    return make


def stored(manager: DatabaseManager) -> tuple[list[tuple[object, ...]], list[tuple[object, ...]]]:
    """Everything but when it was stored: signals in their order, and decisions."""
    with manager.signals_reader() as connection:
        signals = connection.execute(
            "SELECT outbox_seq, signal_id, strategy_id, symbol, timestamp_us, signal_type, confidence, stop, target, "
            "metadata_json FROM signals ORDER BY outbox_seq"
        ).fetchall()
        decisions = connection.execute(
            "SELECT bar_us, signals, outbox_seq_last FROM decisions ORDER BY bar_us"
        ).fetchall()
    return signals, decisions


def by_pair(signals: list[tuple[object, ...]]) -> dict[tuple[object, object], list[tuple[object, str]]]:
    """Id and kind of every (strategy, symbol)'s signals, in their order."""
    found: dict[tuple[object, object], list[tuple[object, str]]] = defaultdict(list)
    for _, identity, strategy, symbol, _, kind, *_ in signals:
        found[strategy, symbol].append((identity, str(kind)))
    return dict(found)


def straight(manager: DatabaseManager, found: Settings, day: list[Record]) -> None:
    with life(manager, found) as one:
        for record in day:
            one.take(record.payload)


def rebuilt(manager: DatabaseManager, found: Settings, day: list[Record]) -> tuple[list, list]:
    """Wipe the signals store, which is derived, and replay the day."""
    shutil.rmtree(manager.layout.root / "signals")
    make_stores(manager.layout.root)
    assert stored(manager) == ([], [])
    straight(manager, found, day)
    return stored(manager)


def killed(manager: DatabaseManager, found: Settings, day: list[Record], deaths: list[int]) -> int:
    """Each life takes the day from its first bar, as a start does, and dies at its bar; the last lives on."""
    lives = 0
    for end in [*deaths, len(day)]:
        with life(manager, found) as one:
            lives += 1
            for record in day[:end]:
                one.take(record.payload)
    return lives


def over_a_bad_bus(
    manager: DatabaseManager, found: Settings, day: list[Record], rig: MemoryRig
) -> tuple[Subscriber, Life]:
    reader, got = rig.reader(*TOPICS, backfill=True)
    rig.all_live()
    with life(manager, found) as one:
        for at, record in enumerate(day):
            rig.journal.append("candles", record)
            rig.owner.publisher.publish(record.topic, record.payload, seq=record.seq)
            if isinstance(record.payload, MinuteClosed) or at == len(day) - 1:
                for _ in range(TURNS_A_MINUTE):
                    rig.turn()
                for message in got:
                    one.take(message.payload)
                got.clear()

        def all_taken() -> bool:
            for message in got:
                one.take(message.payload)
            got.clear()
            return one.runner.minutes == sum(isinstance(each.payload, MinuteClosed) for each in day)

        rig.until(all_taken, "the whole day to be decided")
    return reader, one


def test_straight_killed_and_over_a_bad_bus_leave_the_same_store(new_root, tmp_path):
    day = recorded(SYMBOLS)
    bars = [at for at, record in enumerate(day) if isinstance(record.payload, OHLCVBar)]
    once, twice, thrice = (new_root(name) for name in ("straight", "killed", "lossy"))
    rig = MemoryRig(tmp_path / "bus", seed=3, faults=Faults(loss=0.05))

    straight(*once, day)
    lives = killed(*twice, day, sorted(random.Random(5).sample(bars, 10)))
    try:
        reader, last = over_a_bad_bus(*thrice, day, rig)
    finally:
        rig.close()

    expected = stored(once[0])
    wiped = rebuilt(*once, day)

    pairs = by_pair(expected[0])
    assert set(pairs) == {(strategy, symbol) for strategy in STRATEGIES for symbol in SYMBOLS}
    for key, said in pairs.items():
        assert {kind.split("_")[0] for _, kind in said} == {"enter", "exit"}, f"{key}: an equal nothing proves nothing"
    assert lives == 11
    assert reader.metrics.streams["candles"].gaps > 50, "the bus lost next to nothing"
    assert last.runner.minutes_incomplete == 0
    for way, found in {"restarted": stored(twice[0]), "lossy": stored(thrice[0]), "rebuilt": wiped}.items():
        assert by_pair(found[0]) == pairs, way
        assert found == expected, f"{way}: one order over all pairs"


@pytest.mark.matrix
def test_the_process_killed_at_ten_random_bars_leaves_the_same_store(new_root):
    """The whole service over real sockets: killed from outside amid a minute's bars, or at the line before or after a
    minute is durable; what is left is what a day without a death leaves, in the same order.
    """
    day = recorded(SYMBOLS)
    ends = minute_ends(day)
    straight(*(once := new_root("straight")), day)
    manager, found = new_root("killed")
    environment = ROOMY | {
        "TRADEFLEET_DATA": str(manager.layout.root), "TRADEFLEET_SCANNER_STRATEGIES": ",".join(STRATEGIES),
        "TRADEFLEET_SCANNER_SYMBOLS": ",".join(SYMBOLS),
        "TRADEFLEET_STRATEGIES_TIME_BUDGET_PER_BAR_MS": "60000",  # a busy machine is not the strategies' fault
    }  # fmt: skip
    deaths = sorted(random.Random(7).sample(range(50, len(day)), 10))
    with telling(found, day) as teller, service("scanner", environment) as scanner:
        for number, end in enumerate(deaths):
            minute = sum(each <= end for each in ends)
            point = ("", "scanner.decide.before", "scanner.decide.after")[number % 3]
            scanner.environment = environment | ({"TRADEFLEET_CRASH_AT": f"{point}:{minute}"} if point else {})
            scanner.start()
            if point:
                teller.upto(end)
                assert scanner.process.wait(DEADLINE_S) == -9, f"death {number} at {point}"
            else:
                teller.upto(ends[minute - 3])
                scanner.wait_for(lambda status, least=minute - 2: status["minutes"] >= least, "the day so far")
                teller.upto(end)
                scanner.kill()
        teller.upto(len(day))
        scanner.environment = environment
        scanner.start()
        status = scanner.wait_for(lambda status: status["minutes"] == len(ends), "the whole day")
        assert scanner.stop() == 0

    assert status["minutes_incomplete"] == status["gaps"] == 0
    assert status["signals_repeated"] > 0
    assert stored(manager) == stored(once[0])
    assert len(stored(manager)[0]) > 100
