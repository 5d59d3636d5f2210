"""The end of a day: what is rolled over, what is skipped, what is refused, and that readers never notice."""

from __future__ import annotations

import json
import threading
from datetime import timedelta
from itertools import pairwise

import pytest

from libs.core.clock import US_PER_MINUTE
from libs.core.errors import Refused
from libs.dbaccess import (
    DatabaseManager,
    EODRollover,
    ImmutableDay,
    MarketDataQuery,
    OwnershipError,
    Role,
    StoreCorrupt,
    WriterLockHeld,
    history,
)
from libs.dbaccess.backup import BackupManager, list_copies
from libs.dbaccess.rollover.frozen import FrozenBuffer
from libs.simulation.clock import ManualClock
from tests.kit.commands import fleet_here
from tests.kit.market_days import archive_day, arrow, at_us, candle, close_day, minutes, stores, tick
from tests.kit.processes import first_line, running_code
from tests.kit.rollover import FRIDAY, MONDAY, TUESDAY, day_ticks, everything, fill, ingestor, leftovers
from tests.kit.roots import copy_stores, settings

OWNER = """
    import sys, time
    from libs.dbaccess import DatabaseManager, Role

    with DatabaseManager(sys.argv[1], Role.INGESTOR).live_buffer_writer():
        print("owns", flush=True)
        time.sleep(600)
"""


@pytest.fixture
def root(data_root):
    copy_stores(data_root)
    return data_root


def capture(root, *, ticks=(), candles=()) -> None:
    with ingestor(root).live_buffer_writer() as buffer:
        for table, rows in (("ticks", ticks), ("candles", candles)):
            if rows:
                buffer.append(table, arrow(rows))


def test_second_run_has_nothing_to_do(root):
    """A scheduled rollover after one by hand changes no row and says that the day is in history."""
    fill(root)
    first = EODRollover(ingestor(root)).roll(MONDAY)
    rolled = everything(root)
    second = EODRollover(ingestor(root)).roll(MONDAY)

    assert {each.done for each in first.series} == {"closed"}
    assert (second.series, second.in_history) == ((), True)
    assert everything(root) == rolled


def test_day_nobody_captured_is_not_in_history(root):
    assert EODRollover(ingestor(root)).execute(MONDAY) is False
    assert EODRollover(ingestor(root)).execute(MONDAY, "bse") is False


def test_only_days_up_to_the_one_asked_for_go(root):
    """The forgotten Friday goes; Monday and the early ticks of Tuesday stay with the live buffer."""
    fill(root)
    assert EODRollover(ingestor(root)).execute(FRIDAY) is True

    found = everything(root)
    assert {name for name in found if FRIDAY.isoformat() in name} == {
        f"nse/ticks/{FRIDAY}.duckdb", f"nse/candles/1m/{FRIDAY}.duckdb"
    }  # fmt: skip
    assert [len(found["live ticks"]), len(found["live candles"])] == [45, 43]


def test_closed_day_with_the_same_rows_is_skipped(root):
    """In another order and closed by somebody else: rows are compared, not files."""
    rows = day_ticks(MONDAY, 1)
    path = close_day(root, MONDAY, rows[::-1], None)
    before = path.read_bytes()
    capture(root, ticks=rows)
    report = EODRollover(ingestor(root)).roll(MONDAY)

    assert [each.done for each in report.series] == ["same"]
    assert path.read_bytes() == before
    assert everything(root)["live ticks"] == []


@pytest.mark.parametrize(
    "theirs",
    [
        day_ticks(MONDAY, 1, 39),
        day_ticks(MONDAY, 1, 41),
        [*day_ticks(MONDAY, 1, 39), tick("INFY", at_us(MONDAY, 600), 40)],
    ],
    ids=["fewer", "more", "others"],
)
def test_closed_day_with_other_rows_is_refused_and_the_buffer_kept(root, theirs):
    """And with it all of that day and of the forgotten one before, for somebody has to look."""
    fill_day = day_ticks(MONDAY, 1)
    close_day(root, MONDAY, theirs, None)
    capture(root, ticks=day_ticks(FRIDAY, 901) + fill_day, candles=minutes("INFY", MONDAY, 5))
    before = everything(root)
    with pytest.raises(ImmutableDay, match=rf"{MONDAY}.duckdb.*{len(theirs)} rows.*holds 40"):
        EODRollover(ingestor(root)).execute(MONDAY)

    assert everything(root) == before


def test_archived_day_is_refused(root):
    archive_day(root, MONDAY, minutes("INFY", MONDAY, 5))
    capture(root, candles=minutes("INFY", MONDAY, 5))
    with pytest.raises(ImmutableDay, match="archived"):
        EODRollover(ingestor(root)).execute(MONDAY)

    assert len(everything(root)["live candles"]) == 5


def test_open_session_is_refused(root):
    """Until its last trade, closing auction included, can have come: the clock decides, and nothing is touched."""
    fill(root)
    before = everything(root)
    noon = ManualClock(at_us(MONDAY, 12 * 60))
    with pytest.raises(Refused, match="lasts until"):
        EODRollover(ingestor(root), clock=noon).execute(MONDAY)
    assert everything(root) == before

    evening = ManualClock(at_us(MONDAY, 19 * 60))
    assert EODRollover(ingestor(root), clock=evening).execute(MONDAY) is True


def test_tick_stored_twice_stops_it(root):
    """Ticks have no key; the day would be closed with a wrong volume for ever."""
    capture(root, ticks=[*day_ticks(MONDAY, 1), day_ticks(MONDAY, 1)[7]])
    with pytest.raises(StoreCorrupt, match="41 rows with 40 seqs"):
        EODRollover(ingestor(root)).execute(MONDAY)

    assert len(everything(root)["live ticks"]) == 41


@pytest.mark.parametrize("fault", ["a row is lost", "a value is changed"])
def test_copy_that_is_not_the_source_is_never_closed(root, monkeypatch, fault):
    """The finished file is read again and compared before it gets its name."""
    capture(root, ticks=day_ticks(MONDAY, 1))
    select = FrozenBuffer.select_sorted
    what = "SELECT * FROM ({}) OFFSET 1" if fault == "a row is lost" else "SELECT * REPLACE (price AS bid) FROM ({})"
    monkeypatch.setattr(FrozenBuffer, "select_sorted", lambda frozen, series: what.format(select(frozen, series)))
    with pytest.raises(StoreCorrupt, match=r"has (rows|hashes|first_us)"):
        EODRollover(ingestor(root)).execute(MONDAY)

    found = everything(root)
    assert [name for name in found if name.startswith("nse")] == []
    assert len(found["live ticks"]) == 40


def test_readers_do_not_notice(root):
    """A snapshot pinned before goes on; a query made before reads on through it, and finds the same."""
    fill(root)
    with stores(root).live_buffer_reader() as pinned, MarketDataQuery(stores(root)) as query:
        count = "SELECT count(*) FROM ticks"
        before = query.get_candles("TCS", "nse", "1m", FRIDAY, None)
        assert pinned["ticks"].execute(count).fetchall() == [(85,)]
        EODRollover(ingestor(root)).execute(MONDAY)

        assert pinned["ticks"].execute(count).fetchall() == [(85,)]
        assert query.get_candles("TCS", "nse", "1m", FRIDAY, None).equals(before)
        assert len(before) == 20


def test_a_copy_of_history_made_beside_it_is_whole_and_neither_disturbs_the_other(root, monkeypatch):
    """A copy begins wherever a day is about to get its name, and goes on while it does; none holds half a file."""
    fill(root)
    captured = everything(root)
    manager = BackupManager(root, settings=settings())
    turn = threading.Condition()
    asked, copies, finished = [0], list[set[str]](), threading.Event()

    def ask_for_a_copy(point: str) -> None:
        if point == "history.rename.before":
            with turn:
                assert turn.wait_for(lambda: len(copies) == asked[0], 120), "the copy asked for before did not end"
                asked[0] += 1
                turn.notify_all()

    def roll() -> None:
        try:
            EODRollover(ingestor(root)).execute(MONDAY)
        finally:
            with turn:
                finished.set()
                turn.notify_all()

    monkeypatch.setattr(history, "crash_point", ask_for_a_copy)
    rolling = threading.Thread(target=roll, daemon=True)
    rolling.start()
    while True:
        with turn:
            assert turn.wait_for(lambda: asked[0] > len(copies) or finished.is_set(), 120)
            if asked[0] == len(copies):
                break
        made = manager.backup_market_data(MONDAY + timedelta(days=len(copies)))
        with turn:
            copies.append({path.relative_to(made).as_posix() for path in (made / "nse").rglob("*.*")})
            turn.notify_all()
    rolling.join()
    last = manager.backup_market_data(MONDAY + timedelta(days=len(copies)))
    found = everything(root)
    closed = {name for name in found if name.startswith("nse")}

    for table in ("ticks", "candles"):
        rows = [row for name in found if table in name for row in found[name]]
        assert sorted(rows, key=str) == sorted(captured[f"live {table}"], key=str)
    assert leftovers(root) == []
    assert all(earlier <= later for earlier, later in pairwise(copies))
    assert len(copies) == len(closed)
    assert copies[-1] <= closed == {path.relative_to(last).as_posix() for path in last.rglob("*.duckdb")}
    assert {each.state for each in list_copies(root / "backups", settings().sqlite, verify=True)} == {"whole"}


def test_steps_are_in_the_ledger(root):
    fill(root)
    EODRollover(ingestor(root)).execute(MONDAY)
    with stores(root).ledger_reader() as ledger:
        steps = ledger.execute("SELECT trading_date, number, step FROM rollover_steps ORDER BY 1, 2").fetchall()

    friday, monday = FRIDAY.isoformat(), MONDAY.isoformat()
    assert [row for row in steps if row[0] == friday] == [
        (friday, 1, "begun"), (friday, 2, "closed"), (friday, 3, "closed"), (friday, 4, "dropped")
    ]  # fmt: skip
    assert [row[2] for row in steps if row[0] == monday] == ["begun", *["closed"] * 5, "dropped"]


def test_ingestor_rolls_over_between_two_buffers_under_one_lock(root):
    """As the service does it: the ledger's session keeps the lock while the buffer is closed and opened again."""
    db = ingestor(root)
    with db.ledger_session():
        with db.live_buffer_writer() as buffer:
            buffer.append("candles", arrow([candle("INFY", at_us(MONDAY, 555))]))
            buffer.flush(watermarks={"candles": 7})
            with pytest.raises(Refused, match="already writes"):
                EODRollover(db).execute(MONDAY)
        assert EODRollover(db).execute(MONDAY) is True
        with db.live_buffer_writer() as buffer:
            assert buffer.watermarks("candles") == {"candles": 7}
            buffer.append("candles", arrow([candle("INFY", at_us(TUESDAY, 555))]))

    assert len(everything(root)["live candles"]) == 1


def test_only_the_ingestor_may(root):
    with pytest.raises(OwnershipError):
        EODRollover(DatabaseManager(root, Role.SCANNER)).execute(MONDAY)
    with pytest.raises(Refused, match="data root"):
        EODRollover(ingestor(root), root / "other")


def test_living_ingestor_keeps_its_buffer(root):
    """Exit 3 and its pid; not a byte of it was read."""
    with running_code(OWNER, root) as owner:
        assert first_line(owner) == "owns"
        with pytest.raises(WriterLockHeld) as held:
            EODRollover(ingestor(root)).execute(MONDAY)
        done = fleet_here("rollover", "--date", MONDAY, TRADEFLEET_DATA=str(root))

    assert held.value.pid == owner.pid
    assert done.returncode == 3
    assert str(owner.pid) in done.stderr


def test_command_tells_of_each_file(root):
    capture(root, candles=minutes("INFY", MONDAY, 3))
    done = fleet_here("rollover", "--date", MONDAY, "--json", TRADEFLEET_DATA=str(root))
    none = fleet_here("rollover", "--date", TUESDAY, TRADEFLEET_DATA=str(root))

    assert json.loads(done.stdout)["series"] == [
        {"date": MONDAY.isoformat(), "data_type": "candles", "timeframe": "1m", "rows": 3, "done": "closed"}
    ]
    assert (none.returncode, "not in history" in none.stdout) == (4, True)


def test_day_without_a_session_ends_with_its_date(root):
    """A Saturday's mock session is no session of the calendar; it waits for midnight."""
    saturday = FRIDAY + timedelta(days=1)
    capture(root, candles=minutes("INFY", saturday, 3))
    midnight_us = at_us(saturday, 24 * 60)
    with pytest.raises(Refused, match="lasts until"):
        EODRollover(ingestor(root), clock=ManualClock(midnight_us - US_PER_MINUTE)).execute(saturday)

    assert EODRollover(ingestor(root), clock=ManualClock(midnight_us)).execute(saturday) is True
