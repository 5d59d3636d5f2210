"""The source the ingestor captures: the broker's feed over the symbols of the settings."""

from __future__ import annotations

from libs.core.clock import Clock
from libs.dbaccess.layout import Layout
from libs.feeds import Feed
from libs.feeds.upstox import UpstoxFeed
from libs.runtime.process import WrongConfiguration
from libs.settings import Settings
from libs.upstox.credentials import NoCredentials, Scope
from libs.upstox.feed import KEYS_MAX
from libs.upstox.session import BrokerSession
from services.ingestor.universe import chosen, instruments


def open_source(settings: Settings, clock: Clock) -> tuple[Feed, list[str]]:
    """Make the feed and say which symbols to subscribe to. Asks the broker for its instruments."""
    session = BrokerSession.open(settings, Scope.MARKET_DATA)
    try:
        session.authorize()
        found = instruments(session, settings.data.exchange, Layout(settings.data_root).market)
        keys = chosen(found, settings.ingestor, KEYS_MAX[settings.feed.mode])
    except NoCredentials as e:
        session.close()
        raise WrongConfiguration(str(e)) from e
    except BaseException:
        session.close()
        raise
    return UpstoxFeed(session, settings.feed, clock, keys, settings.data.exchange), list(keys)
