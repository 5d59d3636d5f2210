"""Ten kills of every service under one run of the whole fleet, and at its end nothing lost and nothing doubled.

`make matrix`. The cheap part of it is `test_fleet.py`.
"""

from __future__ import annotations

import json
import sys

import pytest

from services.exchange_sim.market.instruments import Listing
from tests.kit.capture_checks import Stored, Witness, check
from tests.kit.fleet import SERVICES, WholeFleet, whole_fleet
from tests.kit.fleet_checks import check_certificates, check_history, check_journal, check_signals, check_trading
from tests.kit.processes import ASK_EVERY_S, wait_until
from tests.system.test_fleet import DAY, FAST, answers_again, end_the_day, hung, kill, signals_and_fills, started

KILLS = 10
SYMBOLS, SEED = 5, 7
OWN = {
    "TRADEFLEET_EXCHANGE_SIM_START": f"{DAY}T13:00:00", "TRADEFLEET_EXCHANGE_SIM_SPEED": "4",
    "TRADEFLEET_EXCHANGE_SIM_RECORD_TICKS": "true", "TRADEFLEET_WATCHDOG_HUNG_S": "15",
}  # fmt: skip


def kill_running(fleet: WholeFleet, service: str) -> None:
    """Kill it once the supervisor counts it as started; a process that dies before has used up a retry."""
    programs = wait_until(
        lambda: (now := fleet.programs()) and now[service].state == "RUNNING" and now,
        f"{service} to run", every_s=ASK_EVERY_S,
    )  # fmt: skip
    assert programs
    kill(fleet, service)


def stand_still(fleet: WholeFleet) -> Stored:
    """Stop the market and let everybody take in what was sent; give what is stored."""
    fleet.market.clock(paused=True)

    def taken_in(status: dict) -> bool:
        connections = fleet.market.ticks()
        capture = status["capture"]
        took = sum(capture[kind] for kind in ("ticks", "late", "quarantined", "earlier_day"))
        return took == len(connections[max(connections, key=int)])

    fleet.wait_for("ingestor", taken_in, "the ingestor to take in what was sent")
    head = written_head(fleet)

    def whole() -> Stored | None:
        now = Stored(fleet.data_root)
        return now if now.tick_seqs()[-1] >= head else None

    found = wait_until(whole, "the buffer to hold it", every_s=0.2)
    assert isinstance(found, Stored)
    return found


def written_head(fleet: WholeFleet) -> int:
    """Give the last seq of the stream of ticks."""
    return int(fleet.wait_for("ingestor", lambda _: True, "it")["told"]["ticks"])  # type: ignore[index]


def say(**figures: object) -> None:
    """Put what was counted beside the verdict; `-s` or a failure shows it."""
    sys.stdout.write(json.dumps(figures) + "\n")


@pytest.mark.matrix
@pytest.mark.timeout(3600)
def test_every_process_killed_ten_times_and_hung_once():
    with whole_fleet(**FAST | OWN) as fleet:
        started(fleet)
        with Witness(fleet.settings) as witness:
            for _ in range(KILLS):
                for service in SERVICES:
                    kill_running(fleet, service)
                answers_again(fleet, *SERVICES)
            signals_and_fills(fleet)
            stored = stand_still(fleet)
            wait_until(lambda: witness.position("ticks") >= written_head(fleet), "the witness to have them all")
            symbol_of = {each.key: each.symbol for each in Listing(SYMBOLS, SEED).instruments}
            check(stored, fleet.market.ticks(), symbol_of, witness)
            say(kills=KILLS * len(SERVICES), journal_ticks=check_journal(fleet.settings, stored))

            fleet.market.clock(paused=False)
            for _ in range(KILLS):
                at = fleet.market.clock()["played_ms"]
                kill_running(fleet, "exchange_sim")
                wait_until(lambda: market_goes_on(fleet), "the market to go on", every_s=ASK_EVERY_S)
                assert fleet.market.clock()["played_ms"] >= at, "the market went back"
                fleet.wait_for("ingestor", lambda status: status["feed"]["state"] == "live", "the feed to be back")
            for service in SERVICES[1:]:
                with hung(fleet, service):
                    pass
            end_the_day(fleet)
            say(**check_history(fleet.settings, DAY, witness))
        say(flips=check_signals(fleet.settings, DAY), **check_trading(fleet.settings))
        say(certified_minutes=check_certificates(fleet.settings, DAY, SYMBOLS + 1))


def market_goes_on(fleet: WholeFleet) -> bool:
    """Whether the simulator answers."""
    try:
        fleet.market.clock()
    except OSError:
        return False
    return True
