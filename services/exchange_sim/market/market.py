"""The simulated market as the rest of the simulator asks it: what is listed, what time it is, what trades."""

from __future__ import annotations

from datetime import date

from services.exchange_sim.market.candles import Candle, day_candle, minute_candles
from services.exchange_sim.market.clock import MarketClock
from services.exchange_sim.market.instruments import Instrument, Listing
from services.exchange_sim.market.prices import DayPath, PriceProcess
from services.exchange_sim.market.quotes import InstrumentDay, Quote
from services.exchange_sim.market.sessions import Phase, Session, TradingDays, date_of, midnight_ms


class Market:
    """Everything about prices. Knows nothing of orders, connections or faults."""

    def __init__(self, listing: Listing, days: TradingDays, seed: int, clock: MarketClock) -> None:
        self.listing = listing
        self.days = days
        self.clock = clock
        self.seed = seed
        self.prices = PriceProcess(listing, days, seed)
        self._day: date | None = None
        self._open_days: dict[str, InstrumentDay] = {}

    def now_ms(self) -> int:
        """Read market time."""
        return self.clock.now_ms()

    def session(self, now_ms: int) -> Session | None:
        """Give the session of the date an instant falls on, None on a closed day."""
        return self.days.session(date_of(now_ms))

    def phase(self, now_ms: int) -> Phase:
        """Say what the market does at an instant."""
        session = self.session(now_ms)
        return session.phase(now_ms) if session else Phase.CLOSED

    def path(self, instrument: Instrument, day: date) -> DayPath:
        """Give the trades of a trading day."""
        return self.prices.path(instrument, day)

    def instrument_day(self, instrument: Instrument, now_ms: int) -> InstrumentDay:
        """Give the instrument's present day; on a closed date, or before the pre-open, the last one that traded."""
        today = date_of(now_ms)
        if self._day != today:
            self._day = today
            self._open_days.clear()
        if instrument.key not in self._open_days:
            day = today if self.days.is_open(today) else self.days.previous(today)
            before = midnight_ms(self.days.previous(day)) + (15 * 60 + 30) * 60_000 - 1000
            session = Session(day, midnight_ms(day))
            self._open_days[instrument.key] = InstrumentDay(instrument, self.path(instrument, day), session, before)
        return self._open_days[instrument.key]

    def quote(self, instrument: Instrument, now_ms: int, levels: int = 5) -> Quote:
        """Give the snapshot of an instrument at an instant."""
        return self.instrument_day(instrument, now_ms).quote(now_ms, levels=levels)

    def price(self, instrument: Instrument, now_ms: int) -> float:
        """Give the last price at an instant."""
        return self.instrument_day(instrument, now_ms).price(now_ms)

    def minutes(self, instrument: Instrument, day: date, now_ms: int) -> list[Candle]:
        """Give the minutes of a date that are complete now; none of a date to come."""
        if not self.days.is_open(day):
            return []
        return minute_candles(self.path(instrument, day), now_ms)

    def day(self, instrument: Instrument, day: date, now_ms: int) -> Candle | None:
        """Give a date as one candle, as far as it has come."""
        if not self.days.is_open(day):
            return None
        return day_candle(self.path(instrument, day), now_ms)
