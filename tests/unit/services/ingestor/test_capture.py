"""Capture over days and restarts, with a real journal and a bus that only takes notes."""

from __future__ import annotations

from datetime import date, time
from pathlib import Path
from typing import Any

from libs.calendar import Calendar
from libs.calendar.data import Overrides, Special, override
from libs.contracts import Backfilled, FeedGap, MinuteClosed, OHLCVBar, SessionChanged, Tick
from libs.contracts.feed import FeedLost, Frame
from libs.core.clock import US_PER_DAY, US_PER_MINUTE, US_PER_SECOND, trading_date
from libs.dbaccess.journal import Journal
from libs.settings.feed import Ingestor as Settings
from services.ingestor.backfills import Wanted
from services.ingestor.capture import Capture
from services.ingestor.day import TradingDay
from services.ingestor.records import CANDLES, STREAMS, TICKS, JournalSource, payload_of
from services.ingestor.session_clock import SessionClock
from tests.kit.clock import ManualClock

CALENDAR = Calendar.load("nse")
MONDAY = CALENDAR.session(date(2026, 2, 2))
TUESDAY = CALENDAR.session(date(2026, 2, 3))
assert MONDAY is not None
assert TUESDAY is not None


class Notes:
    """A publisher that keeps what it was handed."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.said: list[Any] = []

    def publish_ticks(self, exchange: str, ticks: list[Tick]) -> None:
        assert ticks[-1].seq <= self.journal.head(TICKS), "published before it was journalled"
        self.said += ticks

    def publish(self, topic: str, payload: Any, *, seq: int) -> None:
        assert seq <= self.journal.head(CANDLES), "published before it was journalled"
        self.said.append(payload)

    def of(self, kind: type) -> list[Any]:
        return [payload for payload in self.said if isinstance(payload, kind)]


class Bench:
    """A capture that can be killed and started again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = ManualClock()
        self.start()

    def start(self) -> None:
        self.journal = Journal.open(self.folder / "journal", STREAMS)
        self.source = JournalSource(self.journal, 10_000)
        session_clock = SessionClock(self.clock, silence_us=5 * US_PER_SECOND)
        day = TradingDay(CALENDAR, self.source, Settings(), known=lambda _: True, at_us=1_795_000_000_000_000)
        self.capture = Capture(day, self.journal, self.source, session_clock, self.clock)
        for record in self.journal.records():
            day.replay(record, payload_of(record))
        day.recovered(session_clock)
        self.notes = Notes(self.journal)
        self.capture.publisher = self.notes  # type: ignore[assignment]

    def tick(self, at_us: int, price: float, volume_day: int, symbol: str = "ACC") -> None:
        tick = Tick(symbol, at_us, price, volume_day=volume_day, received_us=self.clock.now_us())
        self.capture.on_frame(Frame(at_us, self.clock.now_us(), [tick]))
        self.capture.commit()

    def time(self, at_us: int) -> None:
        self.capture.on_frame(Frame(at_us, self.clock.now_us(), []))
        self.capture.on_time()

    def wanted(self) -> Wanted | None:
        day, now_us = self.capture.day, self.capture.session_clock.now_us()
        return day.backfills.next(["ACC"], day.aggregator.closed_through_us, now_us, 5 * US_PER_SECOND)

    def fill(self, wanted: Wanted, broker: list[OHLCVBar]) -> Backfilled:
        day = self.capture.day
        made = day.backfills.made_of(wanted, broker, day.aggregator.closed_through_us, recorded_at_us=1)
        assert self.capture.backfill(made)
        return made


def test_a_day_ends_and_the_next_begins(tmp_path):
    """The last bars close, close and open are said once each, and volume starts from nothing."""
    bench = Bench(tmp_path)
    bench.capture.on_connected()
    bench.time(MONDAY.pre_open_us)
    bench.tick(MONDAY.open_us + US_PER_SECOND, 100.0, 50)
    bench.tick(MONDAY.last_us - US_PER_SECOND, 101.0, 80)
    bench.time(TUESDAY.pre_open_us)
    bench.tick(TUESDAY.open_us + US_PER_SECOND, 102.0, 30)
    bench.time(TUESDAY.open_us + 2 * US_PER_MINUTE)
    sessions = [(each.event, each.trading_date) for each in bench.notes.of(SessionChanged)]
    bars = bench.notes.of(OHLCVBar)

    assert sessions == [("open", "2026-02-02"), ("close", "2026-02-02"), ("open", "2026-02-03")]
    assert [(bar.close, bar.volume) for bar in bars if bar.timeframe == "1m"] == [(100.0, 50), (101.0, 30), (102.0, 30)]
    assert [(bar.open, bar.close, bar.volume) for bar in bars if bar.timeframe == "1d"] == [(100.0, 101.0, 80)]
    assert len(bench.notes.of(MinuteClosed)) == len(MONDAY.minutes) + 1


def test_restart_in_the_middle_of_a_minute_gives_the_same_bar(tmp_path):
    """C3: the open bar is exact, and what was published is neither made nor said again."""
    bench = Bench(tmp_path)
    bench.capture.on_connected()
    bench.time(MONDAY.pre_open_us)
    minute = MONDAY.open_us + US_PER_MINUTE
    bench.tick(MONDAY.open_us + US_PER_SECOND, 100.0, 10)
    bench.tick(minute + 3 * US_PER_SECOND, 105.0, 30)
    bench.tick(minute + 4 * US_PER_SECOND, 99.0, 45)
    assert [bar.close for bar in bench.notes.of(OHLCVBar)] == [100.0]
    bench.start()  # the one before was not closed: it was killed
    bench.capture.on_connected()
    bench.tick(minute + 30 * US_PER_SECOND, 103.0, 500)
    bench.tick(minute + 40 * US_PER_SECOND, 102.0, 505)
    bench.time(minute + 2 * US_PER_MINUTE)
    (bar,) = [bar for bar in bench.notes.of(OHLCVBar) if bar.timeframe == "1m"]

    assert (bar.open, bar.high, bar.low, bar.close) == (105.0, 105.0, 99.0, 102.0)
    assert bar.volume == 505 - 10, "what traded while nobody looked is of this minute too"
    assert [(gap.cause, bool(gap.to_us)) for gap in bench.notes.of(FeedGap)] == [("start", True)]
    assert bench.notes.of(SessionChanged) == []


def test_restart_on_a_later_day_replays_only_that_day_to_subscribers(tmp_path):
    """`backfill` means today, also when the journal still holds yesterday."""
    bench = Bench(tmp_path)
    bench.capture.on_connected()
    bench.tick(MONDAY.open_us + US_PER_SECOND, 100.0, 10)
    bench.time(TUESDAY.pre_open_us)
    last_of_monday = {stream: bench.journal.head(stream) for stream in STREAMS}
    bench.tick(TUESDAY.open_us + US_PER_SECOND, 102.0, 30)
    bench.start()

    assert bench.capture.day.session == TUESDAY
    assert {stream: bench.source.opening(stream) for stream in STREAMS} == last_of_monday


def test_feed_that_died_in_the_night_is_a_gap_from_the_open(tmp_path):
    """Tokens end at half past three: the day's first minutes must not go unnoticed just because yesterday is over."""
    bench = Bench(tmp_path)
    bench.capture.on_connected()
    bench.tick(MONDAY.open_us + US_PER_SECOND, 100.0, 10)
    bench.time(MONDAY.last_us + US_PER_MINUTE)
    bench.capture.on_lost(FeedLost(0, "disconnect", "401"))
    bench.clock.sleep((TUESDAY.open_us - MONDAY.last_us) / US_PER_SECOND)
    bench.capture.on_time()
    (gap,) = [gap for gap in bench.notes.of(FeedGap) if not gap.to_us]

    assert (gap.timestamp_us, gap.cause, gap.detail) == (TUESDAY.open_us, "disconnect", "401")


def test_late_tick_takes_a_seq_and_changes_nothing_published(tmp_path):
    bench = Bench(tmp_path)
    bench.capture.on_connected()
    bench.tick(MONDAY.open_us + US_PER_SECOND, 100.0, 10)
    bench.time(MONDAY.open_us + 2 * US_PER_MINUTE)
    bench.tick(MONDAY.open_us + 30 * US_PER_SECOND, 90.0, 20)
    bench.tick(MONDAY.open_us + 130 * US_PER_SECOND, 101.0, 25)
    rows = bench.capture.rows

    assert [(row.tick.price, row.tick.seq) for row in rows.late] == [(90.0, 2)]
    assert [tick.seq for tick in rows.ticks] == [1, 3]
    assert [bar.low for bar in bench.notes.of(OHLCVBar)] == [100.0]


def test_nothing_is_added_to_a_day_in_history(tmp_path):
    """C5: what comes of a rolled day afterwards is late, keeps its seq, and the next day is as ever."""
    bench = Bench(tmp_path)
    bench.capture.on_connected()
    bench.time(MONDAY.pre_open_us)
    bench.tick(MONDAY.open_us + US_PER_SECOND, 100.0, 50)
    bench.time(MONDAY.last_us + 2 * US_PER_MINUTE)
    bench.capture.close_day(MONDAY.date)
    bench.tick(MONDAY.last_us - US_PER_SECOND, 101.0, 80)
    bench.capture.say_rolled_over(MONDAY.date)
    bench.time(TUESDAY.pre_open_us)
    bench.tick(TUESDAY.open_us + US_PER_SECOND, 102.0, 30)
    rows = bench.capture.rows.take()

    assert [tick.seq for tick in rows.ticks] == [1, 3]
    assert [late.tick.seq for late in rows.late] == [2]
    assert [each.trading_date for each in bench.notes.of(SessionChanged) if each.event == "eod"] == ["2026-02-02"]


def test_a_gap_is_filled_and_what_was_published_stays(tmp_path):
    """C4: only minutes without a candle are added, the day's candle takes them in, a restart asks for nothing again."""
    bench = Bench(tmp_path)
    first = MONDAY.open_us
    bench.capture.on_connected()
    bench.time(MONDAY.pre_open_us)
    bench.tick(first + US_PER_SECOND, 100.0, 10)
    bench.capture.on_lost(FeedLost(0, "disconnect", "1006"))
    bench.clock.sleep(70)
    bench.capture.on_time()
    bench.capture.on_connected()
    bench.tick(first + 3 * US_PER_MINUTE + US_PER_SECOND, 110.0, 500)
    assert bench.wanted() is None, "the minute of the reconnect is still open"
    bench.time(first + 4 * US_PER_MINUTE + 10 * US_PER_SECOND)
    wanted = bench.wanted()
    assert wanted is not None
    assert wanted.minutes == (first + US_PER_MINUTE, first + 2 * US_PER_MINUTE)
    broker = [OHLCVBar("ACC", "1m", first + n * US_PER_MINUTE, 90.0 + n, 130.0, 80.0, 95.0, 100 + n) for n in range(5)]
    bench.fill(wanted, broker)
    bench.start()  # killed before anything reached a store
    bench.capture.on_connected()
    bench.time(first + 6 * US_PER_MINUTE)
    assert bench.wanted() is None
    records = [payload_of(record) for record in bench.journal.records()]
    (made,) = [payload for payload in records if isinstance(payload, Backfilled)]
    bench.time(MONDAY.last_us + US_PER_MINUTE)
    (five,) = [bar for bar in bench.notes.of(OHLCVBar) if bar.timeframe == "5m"]
    (whole,) = [bar for bar in bench.notes.of(OHLCVBar) if bar.timeframe == "1d"]

    assert [(bar.timestamp_us, bar.origin, bar.volume) for bar in made.bars] == [
        (first + US_PER_MINUTE, "backfill", 101), (first + 2 * US_PER_MINUTE, "backfill", 102),
    ]  # fmt: skip
    assert (made.outcome, made.differing) == ("complete", 2), "the minutes the gap cut into differ, and stay"
    assert (five.open, five.high, five.low, five.close, five.volume) == (100.0, 110.0, 100.0, 110.0, 10)
    assert (whole.open, whole.high, whole.low, whole.close, whole.volume) == (100.0, 130.0, 80.0, 110.0, 10 + 101 + 102)


def test_candles_that_make_no_sense_are_not_taken_from_the_broker(tmp_path):
    """A row the store would refuse must not stop the capture of the day."""
    bench = Bench(tmp_path)
    bench.time(MONDAY.open_us + 20 * US_PER_MINUTE + 30 * US_PER_SECOND)
    bench.tick(MONDAY.open_us + 20 * US_PER_MINUTE + 31 * US_PER_SECOND, 100.0, 10)
    bench.time(MONDAY.open_us + 21 * US_PER_MINUTE + 10 * US_PER_SECOND)
    wanted = bench.wanted()
    assert wanted is not None
    figures = [(100.0, 101.0, 99.0, 100.0, 5), (100.0, 99.0, 98.0, 100.0, 5), (float("nan"),) * 4 + (5,)]
    broker = [
        OHLCVBar("ACC", "1m", MONDAY.open_us + number * US_PER_MINUTE, *row)  # type: ignore[arg-type]
        for number, row in enumerate(figures)
    ]
    made = bench.fill(wanted, broker)

    assert [(bar.timeframe, bar.timestamp_us) for bar in made.bars] == [
        ("1m", MONDAY.open_us), ("5m", MONDAY.open_us), ("15m", MONDAY.open_us),
    ]  # fmt: skip
    assert made.outcome == "partial"
    assert "2 candles made no sense" in made.detail


def test_a_gap_that_outlasts_its_day_ends_with_it_and_the_next_day_has_its_own(tmp_path):
    """The next day's first minutes can be filled only as a gap of that day; the one before keeps a row of its own."""
    bench = Bench(tmp_path)
    bench.capture.on_connected()
    bench.time(MONDAY.pre_open_us)
    bench.tick(MONDAY.open_us + US_PER_SECOND, 100.0, 10)
    bench.capture.on_lost(FeedLost(0, "disconnect", "1006"))
    bench.clock.sleep((TUESDAY.open_us - MONDAY.open_us) / US_PER_SECOND + 120)
    bench.capture.on_time()
    bench.capture.on_connected()
    bench.tick(TUESDAY.open_us + 3 * US_PER_MINUTE, 101.0, 5)
    bench.time(TUESDAY.open_us + 5 * US_PER_MINUTE)
    gaps = [(gap.timestamp_us, gap.to_us) for gap in bench.notes.of(FeedGap) if gap.to_us]
    wanted = bench.wanted()

    assert gaps == [
        (MONDAY.open_us + US_PER_SECOND, MONDAY.last_us), (TUESDAY.open_us, TUESDAY.open_us + 3 * US_PER_MINUTE),
    ]  # fmt: skip
    assert wanted is not None
    assert wanted.minutes == tuple(TUESDAY.open_us + n * US_PER_MINUTE for n in range(3))


def test_a_process_that_was_down_over_the_close_leaves_a_gap_of_that_day(tmp_path):
    """C4: every gap is a row, also when nobody was there to see the session end."""
    bench = Bench(tmp_path)
    bench.capture.on_connected()
    bench.time(MONDAY.pre_open_us)
    bench.tick(MONDAY.open_us + US_PER_SECOND, 100.0, 10)
    bench.start()
    bench.capture.on_connected()
    bench.time(TUESDAY.pre_open_us)
    bench.tick(TUESDAY.open_us + US_PER_SECOND, 101.0, 5)

    assert [(gap.timestamp_us, gap.to_us, gap.cause) for gap in bench.notes.of(FeedGap)] == [
        (MONDAY.open_us + US_PER_SECOND, MONDAY.last_us, "start")
    ]


def test_trades_on_a_date_without_a_session_are_not_taken_for_greetings(tmp_path):
    """A session nobody put into the calendar must be noticed while it lasts."""
    bench = Bench(tmp_path)
    saturday = MONDAY.open_us - 2 * US_PER_DAY
    bench.capture.on_connected()
    bench.tick(saturday, 100.0, 10)
    friday = Tick("TCS", saturday - US_PER_DAY, 99.0, volume_day=7, received_us=1)
    bench.capture.on_frame(Frame(saturday, 1, [friday]))
    bench.capture.commit()
    rows = bench.capture.rows

    assert [(row.reason, row.tick.symbol) for row in rows.quarantine if row.tick] == [("other_day", "ACC")]
    assert (bench.capture.unscheduled.ticks, bench.capture.figures.earlier_day) == (1, 1)


def hours_of_monday(close: time) -> Calendar:
    """The calendar with other hours on Monday, as the broker may give them."""
    special = Special(MONDAY.date, "hours from the broker", ((time(9, 15), close),))
    return Calendar(override(CALENDAR.rules, Overrides(special=(special,))))


def test_hours_learned_before_the_session_are_the_sessions(tmp_path):
    """The process lived through the night; the broker says in the morning that the exchange closes early."""
    bench = Bench(tmp_path)
    bench.capture.on_connected()
    bench.time(MONDAY.pre_open_us - US_PER_MINUTE)
    bench.capture.day.use_calendar(hours_of_monday(time(13)), bench.capture.session_clock.now_us())
    bench.tick(MONDAY.open_us + US_PER_SECOND, 100.0, 10)
    bench.time(MONDAY.open_us + 4 * 60 * US_PER_MINUTE)

    assert len(bench.notes.of(MinuteClosed)) == 225
    assert [bar.volume for bar in bench.notes.of(OHLCVBar) if bar.timeframe == "1d"] == [10]


def test_hours_learned_in_the_session_wait_for_the_next_date(tmp_path):
    """What is published of a day is of one session; the whole fleet keeps its hours."""
    bench = Bench(tmp_path)
    bench.capture.on_connected()
    bench.tick(MONDAY.open_us + US_PER_SECOND, 100.0, 10)
    day = bench.capture.day
    assert day.is_settled(MONDAY.date)
    day.use_calendar(hours_of_monday(time(13)), bench.capture.session_clock.now_us())

    assert day.session == MONDAY
    assert not day.is_settled(TUESDAY.date)


def test_a_session_declared_on_a_free_day_is_captured_from_then_on(tmp_path):
    saturday = MONDAY.open_us - 2 * US_PER_DAY
    bench = Bench(tmp_path)
    bench.capture.on_connected()
    bench.tick(saturday, 100.0, 10)
    special = Special(trading_date(saturday), "Drill", ((time(9, 15), time(10)),))
    learned = Calendar(override(CALENDAR.rules, Overrides(special=(special,))))
    bench.capture.day.use_calendar(learned, bench.capture.session_clock.now_us())
    bench.tick(saturday + 70 * US_PER_SECOND, 101.0, 30)
    bench.tick(saturday + 80 * US_PER_SECOND, 101.0, 50)
    bench.time(saturday + 3 * US_PER_MINUTE)

    assert [(bar.close, bar.volume) for bar in bench.notes.of(OHLCVBar)] == [(101.0, 20)]
