"""The source the ingestor captures: the broker's feed over the symbols of the settings, or a recorded day."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from typing import NamedTuple

from libs.calendar import Calendar, merge_broker
from libs.contracts import OHLCVBar
from libs.core.clock import Clock, trading_date
from libs.core.errors import FleetError
from libs.dbaccess import DatabaseManager
from libs.dbaccess.calendars import keep_learned, load_calendar
from libs.dbaccess.layout import Layout
from libs.feeds import Feed
from libs.feeds.upstox import UpstoxFeed
from libs.runtime.logs import get_logger
from libs.runtime.process import WrongConfiguration
from libs.settings import Settings
from libs.upstox.credentials import NoCredentials, Scope
from libs.upstox.feed import KEYS_MAX
from libs.upstox.history import History
from libs.upstox.market_calendar import broker_calendar
from libs.upstox.session import BrokerSession
from services.ingestor.backfilling import BrokerPast, Past
from services.ingestor.recording import open_recording
from services.ingestor.universe import chosen, instruments


class Source(NamedTuple):
    """A feed, the symbols to subscribe to, and where candles for its gaps are had, if anywhere.

    `ends_us`: when a recording is over, the session's clock goes on to here. `fills`: what it got for its gaps.
    `learn`: asks the broker about the dates from one on and gives our calendar, corrected by what it said.
    """

    feed: Feed
    symbols: list[str]
    past: Past | None
    ends_us: int = 0
    fills: Sequence[OHLCVBar] = ()
    learn: Callable[[date], Calendar] | None = None


def open_source(settings: Settings, clock: Clock, manager: DatabaseManager, calendar: Calendar) -> Source:
    """Make the feed and say which symbols to subscribe to. Asks the broker for its instruments."""
    if settings.ingestor.feed == "replay":
        recording = open_recording(settings, clock, manager, calendar)
        return Source(recording.feed, settings.ingestor.symbols, None, recording.ends_us, recording.fills)
    today = trading_date(clock.now_us())
    session = BrokerSession.open(settings, Scope.MARKET_DATA)
    try:
        session.authorize()
        found = instruments(session, settings.data.exchange, Layout(settings.data_root).market, today)
        keys = chosen(found, settings.ingestor, KEYS_MAX[settings.feed.mode])
    except NoCredentials as e:
        session.close()
        raise WrongConfiguration(str(e)) from e
    except BaseException:
        session.close()
        raise
    exchange = settings.data.exchange
    past = BrokerPast(History(session, clock), keys, exchange) if settings.ingestor.backfill else None
    feed = UpstoxFeed(session, settings.feed, clock, keys, exchange)
    return Source(feed, list(keys), past, learn=lambda since: learned_calendar(session, manager, exchange, since))


def learned_calendar(session: BrokerSession, manager: DatabaseManager, exchange: str, since: date) -> Calendar:
    """Ask the broker about the dates from `since` on, and keep what it says for every process of the data root.

    Give the calendar with its word in it; without the broker, with the last word it gave. Called in a thread.
    """
    try:
        session.authorize()  # the process may have outlived the token it last connected with
        holidays, timings = broker_calendar(session, since)
        merged = merge_broker(Calendar.load(exchange), [row for row in holidays if row.date >= since], timings)
        if keep_learned(manager, exchange, merged.dates, since):
            get_logger().warning(
                "calendar.differs", changes=list(merged.changes), file=manager.layout.calendar(exchange).name
            )
    except (FleetError, OSError, ValueError) as e:
        get_logger().warning("calendar.not_refreshed", error=str(e))
    return load_calendar(manager.layout.root, exchange)
