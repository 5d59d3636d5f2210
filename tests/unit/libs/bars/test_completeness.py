"""C4, C5: which bars are missing, and the certificate that says where the others came from."""

from __future__ import annotations

import random

from libs.bars import certify, missing_bars
from libs.contracts import Origin
from libs.contracts.sessions import Session
from libs.core.clock import US_PER_MINUTE
from tests.kit.market import random_bars, session

DAY = session(minutes=30, auction_minutes=5)


def bars(density=1.0):
    return random_bars(random.Random(1), DAY, "ACC", density=density)


def replaced(bar, **changes):
    return type(bar)(**{name: getattr(bar, name) for name in bar.__struct_fields__} | changes)


def test_missing_bars_are_those_of_continuous_trading():
    """The auction's minutes are nobody's duty."""
    seen = [bar.timestamp_us for bar in bars()[:30]]
    gone = [seen.pop(7), seen.pop(20)]

    assert missing_bars(DAY, seen) == tuple(gone)
    assert missing_bars(DAY, []) == DAY.minutes[:30]
    assert missing_bars(DAY, [DAY.open_us], "15m") == (DAY.open_us + 15 * US_PER_MINUTE,)


def test_a_share_in_the_auction_misses_nothing_from_its_beginning_on():
    day = Session("nse", DAY.date, DAY.spans, DAY.pre_open_us, DAY.minutes[20], DAY.auction_close_us)
    traded = [bar for bar in bars() if bar.timestamp_us < day.auction_open_us or bar.timestamp_us >= day.close_us]

    assert certify(day, "ACC", traded, closing_auction=True).is_complete
    assert certify(day, "ACC", traded).missing == 10


def test_a_whole_day():
    certificate = certify(DAY, "ACC", bars()[:30])

    assert certificate.is_complete
    assert (certificate.expected, certificate.live, certificate.missing) == (30, 30, 0)


def test_origins_are_counted_apart():
    made = bars()
    made[3] = replaced(made[3], origin=Origin.BACKFILL)
    made[4] = replaced(made[4], origin=Origin.IMPORT)
    made[5] = replaced(made[5], origin=Origin.SYNTHETIC)
    certificate = certify(DAY, "ACC", [bar for n, bar in enumerate(made) if n != 9])

    assert (certificate.backfilled, certificate.imported, certificate.synthetic) == (1, 1, 1)
    assert certificate.live == len(made) - 4
    assert (certificate.missing, certificate.extra) == (1, 5)
    assert not certificate.is_complete


def test_our_bars_against_the_brokers():
    made = bars()[:30]
    broker = {bar.timestamp_us: bar for bar in made[:20]}
    broker[made[2].timestamp_us] = replaced(made[2], volume=made[2].volume + 1)
    broker[made[3].timestamp_us] = replaced(made[3], close=made[3].close + 0.05)
    certificate = certify(DAY, "ACC", made, broker=broker)

    assert (certificate.compared, certificate.differing) == (20, 2)
    assert not certificate.is_complete
