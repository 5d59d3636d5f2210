"""Frames nobody would send on purpose."""

from __future__ import annotations

import pytest

from libs.bars import Reason, TickValidator
from libs.upstox.decoding import FrameDecoder
from libs.upstox.feed_messages import feed_messages
from services.ingestor.records import encode
from services.ingestor.rows import Quarantine
from tests.kit.market import DAY, session


@pytest.mark.parametrize("traded_ms", [2**63 - 1, 2**62, -(2**63), -1])
def test_a_trade_time_beyond_all_bounds_is_refused_and_can_be_kept(traded_ms):
    """Its row goes into the journal and the ledger, whose numbers have an end; the process must live."""
    response = feed_messages().FeedResponse(currentTs=1)
    ltpc = response.feeds["NSE_EQ|X"].fullFeed.marketFF.ltpc
    ltpc.ltt, ltpc.ltp = traded_ms, 100.0
    (tick,) = FrameDecoder({"NSE_EQ|X": "X"}, "nse").decode(response.SerializeToString(), 1).ticks
    checks = TickValidator(known=lambda _: True, day=DAY)
    now_us = session().open_us
    checks.check(type(tick)("X", now_us, 100.0), now_us)
    refused = checks.check(tick, now_us)

    assert refused is not None
    assert refused.reason in {Reason.FUTURE, Reason.OTHER_DAY}
    assert 0 < tick.timestamp_us < 2**63
    assert encode(Quarantine.of(refused, 1))
