"""From a frame to the journal, the bars and the bus, in that order. Owns the day's state; one event loop drives it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import msgspec

from libs.contracts import Backfilled, FeedGap, MinuteClosed, OHLCVBar, SessionChanged, Tick
from libs.contracts.feed import FeedDamaged, FeedLost, Frame
from libs.contracts.topics import topic
from libs.core.clock import US_PER_DAY, US_PER_MINUTE, Clock, day_start_us, trading_date
from libs.core.faults import crash_point
from libs.dbaccess.journal import Journal, Kind
from libs.dbaccess.journal import Record as Journalled
from libs.messaging import Publisher
from services.ingestor.day import TradingDay
from services.ingestor.records import CANDLES, NO_TOPIC, TICKS, JournalSource, encode
from services.ingestor.rows import LateTick, Quarantine, Rows
from services.ingestor.session_clock import SessionClock
from services.ingestor.unscheduled import Unscheduled


@dataclass(slots=True)
class CaptureFigures:
    """What was captured since the start."""

    frames: int = 0
    ticks: int = 0
    late: int = 0
    quarantined: int = 0
    earlier_day: int = 0
    bars: int = 0
    minutes: int = 0
    gaps: int = 0
    backfilled: int = 0
    damaged: int = 0
    last_exchange_us: int = 0
    last_received_us: int = 0


class Capture:
    """The day as it is captured. `publisher` is set once the sockets are bound, after recovery."""

    publisher: Publisher

    def __init__(
        self, day: TradingDay, journal: Journal, source: JournalSource, session_clock: SessionClock, clock: Clock, *,
        recorded: bool = False,
    ) -> None:  # fmt: skip
        self.figures = CaptureFigures()
        #: Candles a recorded process got for its gaps: they belong into the day's candle, as then.
        self.fills: list[OHLCVBar] = []
        self.rows = Rows()
        self.unscheduled = Unscheduled()
        self.day = day
        self.session_clock = session_clock
        self._exchange = day.exchange
        self._journal = journal
        self._source = source
        self._clock = clock
        self._recorded = recorded
        self._pending: list[Tick] = []
        self._pending_rows = Rows()
        self._topics: dict[str, str] = {}
        self._closed_until_us = 0

    @property
    def is_open(self) -> bool:
        """Whether shares trade now, by the session's clock."""
        return self.day.session.is_open(self.session_clock.now_us())

    # -- what the feed says

    def on_connected(self) -> None:
        """Every symbol needs a baseline again: what traded meanwhile was not seen."""
        self.day.aggregator.on_connect(self.session_clock.now_us())

    def on_frame(self, frame: Frame) -> None:
        """Journal a frame's ticks; they are published by the next `commit`."""
        now_us = self.session_clock.on_frame(frame.exchange_us)
        if not now_us:
            return  # the exchange has not said what time it is
        self.day.join(now_us)
        if trading_date(now_us) != self.day.dated:
            self.on_time()
        if self.fills:
            self._take_fills()
        figures = self.figures
        figures.frames += 1
        figures.last_exchange_us, figures.last_received_us = frame.exchange_us, frame.received_us
        ended = self.day.gaps.on_frame(now_us, self.day.session, self._clock.now_us())
        if ended is not None:
            self._note_gap(ended)
        for tick in frame.ticks:
            self._on_tick(tick, now_us)
        if now_us >= self.day.aggregator.due_us:
            self.on_time()

    def on_lost(self, event: FeedLost) -> None:
        """The feed is gone: a gap begins if the session is open."""
        self.commit()
        self.day.gaps.on_lost(event.cause, event.detail)
        self.on_time()

    def on_damaged(self, event: FeedDamaged) -> None:
        """Keep what could not be read, for a person to look at."""
        self.figures.damaged += 1
        seq = self._journal.next_seq(TICKS)
        self._refuse(Quarantine("unreadable", event.detail, event.at_us, seq, raw=event.raw))

    def commit(self) -> None:
        """Write what was taken in to the journal with one write, then tell about it."""
        self._journal.commit()
        if self._pending:
            ticks, self._pending = self._pending, []
            self.figures.ticks += len(ticks)
            crash_point("ingestor.publish.before")
            self.publisher.publish_ticks(self._exchange, ticks)
        if len(self._pending_rows):
            pending, self._pending_rows = self._pending_rows, Rows()
            self.rows.add(pending)

    def on_time(self) -> None:
        """Close what is due by the session's clock, say so, and go over to the next date when there is one."""
        self.commit()
        now_us = self.session_clock.now_us()
        if not now_us:
            return
        self._close_due(now_us)
        if trading_date(now_us) != self.day.dated:
            if self.day.session.date == self.day.dated:
                ended = self.day.gaps.end_day(self.day.session, self._clock.now_us())
                if ended is not None:
                    self._note_gap(ended)
            self.day.follow(now_us)
            self._close_due(now_us)

    # -- when a day is over

    def close_day(self, day: date) -> None:
        """From now on nothing is added to this day or an earlier one: it is in history. What comes of it is late."""
        self._closed_until_us = max(self._closed_until_us, day_start_us(day) + US_PER_DAY)

    def say_rolled_over(self, day: date) -> None:
        """Tell that a day is in history."""
        now_us, seq = self.session_clock.now_us(), self._journal.next_seq(CANDLES)
        payload = SessionChanged(self._exchange, now_us, "eod", day.isoformat(), seq)
        self._tell(Kind.MARKET, topic("market", self._exchange, "eod"), payload)

    def end_recording(self, ends_us: int) -> None:
        """The recording is over: close what the recorded process had closed."""
        self.commit()
        self.session_clock.resume(max(ends_us, self.session_clock.now_us()))
        self.on_time()

    # -- what was got for a gap

    def backfill(self, made: Backfilled) -> bool:
        """Journal candles of a gap, then tell of them; not any more once their day is in history."""
        if made.timestamp_us < self._closed_until_us:
            return False
        crash_point("ingestor.backfill.before")
        numbered = msgspec.structs.replace(made, seq=self._journal.next_seq(CANDLES))
        self.day.fill(numbered)
        self.figures.backfilled += len(numbered.bars)
        self._pending_rows.backfills.append(numbered)
        self._tell(Kind.BACKFILL, topic("market", self._exchange, "backfill"), numbered)
        crash_point("ingestor.backfill.after")
        return True

    # -- inside

    def _close_due(self, now_us: int) -> None:
        day = self.day
        begun = day.gaps.on_time(now_us, day.session, self._clock.now_us())
        if begun is not None:
            self._note_gap(begun)
        if now_us >= day.session.open_us:
            self._say("open", day.session.open_us)
        if now_us >= day.aggregator.due_us:
            self._publish_bars(day.aggregator.advance(now_us))
        if day.aggregator.is_over:
            self._say("close", day.session.last_us)

    def _take_fills(self) -> None:
        fills, self.fills = self.fills, []
        for bar in fills:
            self.day.aggregator.fill(bar)

    def _on_tick(self, tick: Tick, now_us: int) -> None:
        if tick.timestamp_us < self.day.start_us:
            self._on_earlier(tick, now_us)
            return
        refused = None if self._recorded else self.day.validator.check(tick, now_us)
        journal = self._journal
        seq = journal.next_seq(TICKS)
        if refused is not None:
            self._refuse(Quarantine.of(refused, seq))
            return
        if self._recorded:
            outcome, volume = self.day.aggregator.on_recorded(tick), tick.volume
        else:
            outcome, volume = self.day.aggregator.on_tick(tick)
        symbol = tick.symbol
        made = Tick(
            symbol, tick.timestamp_us, tick.price, volume, tick.bid, tick.ask, tick.volume_day, seq, tick.exchange,
            tick.received_us, tick.open_interest,
        )  # fmt: skip
        if outcome.is_late or tick.timestamp_us < self._closed_until_us:
            self.figures.late += 1
            late = LateTick(made, tick.timestamp_us // US_PER_MINUTE * US_PER_MINUTE)
            journal.add(Kind.LATE, TICKS, NO_TOPIC, encode(late))
            self._pending_rows.late.append(late)
            return
        name = self._topics.get(symbol)
        if name is None:
            name = self._topics[symbol] = topic("tick", self._exchange, symbol)
        journal.add(Kind.TICK, TICKS, name, encode(made))
        self._pending.append(made)
        self._pending_rows.ticks.append(made)

    def _on_earlier(self, tick: Tick, now_us: int) -> None:
        if trading_date(tick.timestamp_us) == self.day.dated:
            if row := self.unscheduled.take(tick, self.day.dated, self._journal.next_seq(TICKS)):
                self._refuse(row)
            return
        # The last trade of an earlier day, sent as a greeting: a baseline, and no tick of today.
        self.figures.earlier_day += 1
        if self.day.validator.check(tick, now_us) is None:
            self.day.aggregator.on_tick(tick)

    def _refuse(self, row: Quarantine) -> None:
        self.figures.quarantined += 1
        self._journal.add(Kind.QUARANTINE, TICKS, NO_TOPIC, encode(row))
        self._pending_rows.quarantine.append(row)

    def _publish_bars(self, closed: list[OHLCVBar | MinuteClosed]) -> None:
        """Number, journal and only then publish: what is published is in the journal and never made again."""
        made: list[tuple[str, OHLCVBar | MinuteClosed]] = []
        for item in closed:
            seq = self._journal.next_seq(CANDLES)
            numbered = msgspec.structs.replace(item, seq=seq)
            if isinstance(numbered, OHLCVBar):
                name = topic("candle", numbered.timeframe, self._exchange, numbered.symbol)
                self._add_candle(Kind.BAR, name, numbered)
                self._pending_rows.bars.append(numbered)
                self.day.backfills.on_bar(numbered)
                self.figures.bars += 1
            else:
                name = topic("market", self._exchange, "minute_closed")
                self._add_candle(Kind.MINUTE_CLOSED, name, numbered)
                self.figures.minutes += 1
            made.append((name, numbered))
        self.commit()
        for name, payload in made:
            crash_point("ingestor.candle.before")
            self.publisher.publish(name, payload, seq=payload.seq)

    def _say(self, event: str, at_us: int) -> None:
        if not self.day.first_time(event):
            return
        day = self.day.session.date.isoformat()
        payload = SessionChanged(self._exchange, at_us, event, day, self._journal.next_seq(CANDLES))
        self._tell(Kind.MARKET, topic("market", self._exchange, event), payload)

    def _note_gap(self, gap: FeedGap) -> None:
        self.figures.gaps += bool(gap.to_us)
        numbered = msgspec.structs.replace(gap, seq=self._journal.next_seq(CANDLES))
        self._pending_rows.gaps.append(numbered)
        self.day.backfills.on_gap(numbered)
        self._tell(Kind.GAP, topic("market", self._exchange, "gap"), numbered)

    def _tell(self, kind: Kind, name: str, payload: SessionChanged | FeedGap | Backfilled) -> None:
        self._add_candle(kind, name, payload)
        self.commit()
        self.publisher.publish(name, payload, seq=payload.seq)

    def _add_candle(
        self, kind: Kind, name: str, payload: OHLCVBar | MinuteClosed | SessionChanged | FeedGap | Backfilled
    ) -> None:
        data = encode(payload)
        previous = self._journal.last_on(name)
        seq = self._journal.add(kind, CANDLES, name, data)
        self._source.remember(Journalled(kind, CANDLES, seq, previous, name, data))
