"""The seeded market: the same for the same seed, and shaped like one."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pytest

from services.exchange_sim.market.candles import minute_candles, resample_days, resample_minutes
from services.exchange_sim.market.instruments import Listing, isin_check_digit
from services.exchange_sim.market.prices import PriceProcess
from services.exchange_sim.market.sessions import TradingDays
from tests.unit.services.exchange_sim.conftest import DAY, SEED, at, make_market

DAYS = TradingDays({date(2026, 1, 26): "Republic Day"})


def process(symbols: int = 5, seed: int = SEED) -> PriceProcess:
    return PriceProcess(Listing(symbols, seed), DAYS, seed)


def test_same_seed_same_market_whatever_else_is_listed_or_was_asked_before():
    """A bench with 2,000 symbols and a test with 5 see the same RELIANCE; nothing depends on the order of questions."""
    few, many = process(5), process(200)
    for instrument in Listing(200, SEED).instruments[:40]:
        many.path(instrument, DAY)
    share = Listing(5, SEED).instruments[0]
    a, b = few.path(share, DAY), many.path(share, DAY)

    assert np.array_equal(a.times_ms, b.times_ms)
    assert np.array_equal(a.prices, b.prices)
    assert np.array_equal(a.volume, b.volume)


def test_another_seed_or_day_is_another_market():
    share = Listing(5, SEED).instruments[0]
    here, there = process().path(share, DAY), process(seed=8).path(share, DAY)
    next_day = process().path(share, DAY + timedelta(days=1))

    assert not np.array_equal(here.prices[:50], there.prices[:50])
    assert not np.array_equal(here.prices[:50], next_day.prices[:50])


@pytest.mark.parametrize("rank", [0, 3, -1])
def test_a_days_trades_are_well_formed(rank):
    listing = Listing(5, SEED)
    instrument = listing.instruments[rank]
    path = process().path(instrument, DAY)
    ticks = path.prices / instrument.tick_size

    assert path.times_ms[0] >= at(9, 15)
    assert path.times_ms[-1] < at(15, 30)
    assert np.all(np.diff(path.times_ms) >= 0)
    assert np.all(np.diff(path.volume) >= (0 if instrument.is_index else 1))
    assert np.allclose(ticks, np.round(ticks), atol=1e-6)
    assert path.prices.min() >= path.circuit_lower
    assert path.prices.max() <= path.circuit_upper


def test_days_join_up_across_weekends_and_holidays():
    """The previous close a feed shows is the last price of the session before, whatever lies between."""
    share = Listing(5, SEED).instruments[1]
    prices = process()
    after_holiday = prices.path(share, date(2026, 1, 27))
    before = prices.path(share, date(2026, 1, 23))

    assert after_holiday.previous_close == before.prices[-1]
    assert prices.path(share, DAY).prices[0] != prices.path(share, DAY).previous_close  # an opening gap


def test_volume_is_u_shaped():
    share = Listing(5, SEED).instruments[0]
    volumes = [candle.volume for candle in minute_candles(process().path(share, DAY))]

    assert np.mean(volumes[:15]) > 2 * np.mean(volumes[150:220])
    assert np.mean(volumes[-15:]) > 1.3 * np.mean(volumes[150:220])


def test_prices_stay_within_reason_for_years():
    prices = process()
    for instrument in Listing(5, SEED).instruments:
        closes = [prices.close(instrument, date(2003, 1, 6) + timedelta(days=7 * n)) for n in range(1200)]

        assert 0.3 * instrument.price_base < min(closes) < max(closes) < 3 * instrument.price_base


def test_candles_are_the_trades(market, share):
    """The oracle walks the trades one by one; the candles come from columns."""
    now = at(11, 7, 30)
    path = market.path(share, DAY)
    expected: dict[int, list[float]] = {}
    volumes: dict[int, int] = {}
    for index, moment in enumerate(path.times_ms.tolist()):
        start = moment // 60_000 * 60_000
        if start + 60_000 <= now:
            expected.setdefault(start, []).append(float(path.prices[index]))
            volumes[start] = volumes.get(start, 0) + path.quantity(index)
    found = market.minutes(share, DAY, now)

    assert [one.start_ms for one in found] == sorted(expected)
    assert [(one.open, one.high, one.low, one.close) for one in found] == [
        (prices[0], max(prices), min(prices), prices[-1]) for _, prices in sorted(expected.items())
    ]
    assert [one.volume for one in found] == [volumes[start] for start in sorted(volumes)]


def test_minutes_without_a_trade_have_no_candle(clock):
    market = make_market(clock, symbols=400)
    quiet = market.listing.instruments[399]
    candles = market.minutes(quiet, DAY, at(16))

    assert 300 < len(candles) < 375
    assert sum(candle.volume for candle in candles) == market.path(quiet, DAY).volume[-1]


def test_longer_candles_join_shorter_ones(market, share):
    minutes = market.minutes(share, DAY, at(16))
    quarters = resample_minutes(minutes, 15)
    days = [market.day(share, day, at(16)) for day in market.days.between(date(2026, 1, 1), date(2026, 1, 31))]
    weeks, months = resample_days(days, "weeks"), resample_days(days, "months")

    assert len(quarters) == 25
    assert quarters[0].start_ms == at(9, 15)
    assert (quarters[-1].close, sum(one.volume for one in quarters)) == (
        minutes[-1].close,
        sum(m.volume for m in minutes),
    )
    assert [one.volume for one in months] == [sum(day.volume for day in days)]
    assert months[0].high == max(day.high for day in days)
    assert len(weeks) == 5
    assert weeks[1].open == next(day.open for day in days if day.start_ms >= at(0, day=date(2026, 1, 5)))


def test_isins_are_valid():
    """A key of our invention must not look broken to an importer that checks."""
    for instrument in Listing(300, SEED).instruments[:-1]:
        assert isin_check_digit(instrument.isin[:11]) == int(instrument.isin[11]), instrument
    assert len(Listing(2000, SEED).by_key) == 2001
