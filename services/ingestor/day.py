"""The trading day being captured: its session, its open bars, its gaps. Rebuilt from the journal at start."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

from libs.bars import BarAggregator, TickValidator
from libs.calendar import Calendar
from libs.contracts import Backfilled, FeedGap, MinuteClosed, OHLCVBar, SessionChanged, Tick
from libs.contracts.sessions import Session
from libs.core.clock import US_PER_MINUTE, day_start_us, trading_date
from libs.dbaccess.journal import Record as Journalled
from libs.settings.feed import Ingestor as Settings
from services.ingestor.backfills import Backfills
from services.ingestor.gaps import GapTracker
from services.ingestor.records import CANDLES, JournalSource
from services.ingestor.session_clock import SessionClock


class TradingDay:
    """One date at a time; when the exchange is closed, the next session's."""

    def __init__(
        self, calendar: Calendar, source: JournalSource, settings: Settings, *, known: Callable[[str], bool], at_us: int
    ) -> None:
        self.exchange = calendar.exchange
        self.gaps = GapTracker(self.exchange)
        #: The date the session's clock shows; the session may be a later one's.
        self.dated = trading_date(at_us)
        self._calendar = calendar
        self._source = source
        self._said: set[tuple[str, str]] = set()
        self._seen: dict[str, int] = {}
        self._fresh = True
        self.session = self._session(at_us)
        self.start_us = day_start_us(self.session.date)
        self.aggregator = BarAggregator(self.session, grace_us=settings.grace_ms * 1000)
        self.backfills = Backfills(self.session, self.aggregator.timeframes)
        self.validator = TickValidator(
            known=known, day=self.session.date, jump_max=settings.jump_max_percent / 100,
            jump_repeats=settings.jump_repeats, future_tolerance_us=settings.future_tolerance_ms * 1000,
        )  # fmt: skip

    def is_settled(self, day: date) -> bool:
        """Whether a date's session has begun to be captured: its hours stand, whatever is said of them later."""
        begun = self.aggregator.closed_through_us or self.gaps.life_us >= self.session.pre_open_us
        return day == self.session.date and bool(begun) and not self._fresh

    def use_calendar(self, calendar: Calendar, session_now_us: int) -> None:
        """Take up a calendar that knows better, from the next date on, or from this one if nothing of it came yet."""
        self._calendar = calendar
        if self._fresh or trading_date(session_now_us) != self.dated or self.is_settled(self.dated):
            return
        session = self._session(session_now_us)
        if session != self.session:
            self._begin(session, session_now_us)
            self.aggregator.on_connect(session_now_us)  # what traded of it before now was not seen

    def join(self, session_now_us: int) -> None:
        """Begin in the middle of a day when there is nothing to go on from: minutes that nobody saw stay unsaid."""
        if self._fresh:
            self._fresh = False
            self.dated = trading_date(session_now_us)
            self._begin(self._session(session_now_us), session_now_us)

    def follow(self, session_now_us: int) -> None:
        """Go over to the date the session's clock shows; what the old one has open was closed before."""
        self.dated = trading_date(session_now_us)
        session = self._session(session_now_us)
        if session.date != self.session.date:
            self._begin(session, session_now_us)
            self._source.begin_day()

    def first_time(self, event: str) -> bool:
        """Whether this event of the session was not said yet; from now on it was."""
        name = event, self.session.date.isoformat()
        fresh = name not in self._said
        self._said.add(name)
        return fresh

    def was_said(self, event: str, day: date) -> bool:
        """Whether the journal has this event of a date; what an earlier process journalled is not said twice."""
        return (event, day.isoformat()) in self._said

    def replay(self, record: Journalled, payload: object) -> None:
        """Take up a record of the journal as this or an earlier process wrote it."""
        if isinstance(payload, Tick):
            self._replay_date(payload.timestamp_us)
            self.validator.check(payload, payload.timestamp_us)  # it learns the last prices
            self.aggregator.replay_tick(payload)
            self.gaps.recover(payload.timestamp_us)
        elif isinstance(payload, OHLCVBar):
            self.aggregator.replay_bar(payload)
            self.backfills.on_bar(payload)
        elif isinstance(payload, Backfilled):
            self.fill(payload)
        elif isinstance(payload, MinuteClosed):
            self._replay_date(payload.timestamp_us)
            self.aggregator.replay_closed(payload)
        elif isinstance(payload, SessionChanged):
            self._replay_date(payload.timestamp_us)
            self._said.add((payload.event, payload.trading_date))
        elif isinstance(payload, FeedGap):
            self._replay_date(payload.timestamp_us)
            self.gaps.replay(payload)
            self.backfills.on_gap(payload)
        if record.stream == CANDLES:
            self._source.remember(record)
        self._seen[record.stream] = record.seq

    def fill(self, made: Backfilled) -> None:
        """Take note of what was got for a gap; longer bars that are still open take it in."""
        self.backfills.on_backfilled(made)
        for bar in made.bars:
            if bar.timeframe == "1m":
                self.aggregator.fill(bar)

    def recovered(self, session_clock: SessionClock) -> None:
        """The journal is at its end: the session's clock goes on from there."""
        if self.gaps.life_us:
            closed_us = self.aggregator.closed_through_us
            session_clock.resume(max(self.gaps.life_us, closed_us + US_PER_MINUTE if closed_us else 0))

    def _replay_date(self, timestamp_us: int) -> None:
        """Begin the date a record is of; the date the day was made with was a guess, which the first corrects."""
        day = trading_date(timestamp_us)
        session = self._calendar.session(day)
        guessed, self._fresh = self._fresh, False
        if session is None or (day <= self.session.date and not guessed):
            return
        self.dated = day
        self._begin(session, 0)
        for stream, seq in self._seen.items():
            self._source.open_at(stream, seq)

    def _begin(self, session: Session, from_us: int) -> None:
        self.session = session
        self.start_us = day_start_us(session.date)
        self.aggregator.start_session(session, from_us)
        self.validator.start_day(session.date)
        self.backfills.start_session(session)

    def _session(self, instant_us: int) -> Session:
        return self._calendar.session(trading_date(instant_us)) or self._calendar.next_session(instant_us)
