"""The trading store as the engine keeps it: everything of one decision in one transaction, all of it back at start."""

from libs.dbaccess.trading.entry import Entry, Message
from libs.dbaccess.trading.loading import Loaded, load
from libs.dbaccess.trading.store import TradingStore

__all__ = ["Entry", "Loaded", "Message", "TradingStore", "load"]
