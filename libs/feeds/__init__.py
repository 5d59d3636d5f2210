"""Sources of market data behind one interface, and the one layer that keeps a source alive."""

from libs.feeds.interface import Feed
from libs.feeds.supervision import FeedSupervisor, SupervisorFigures

__all__ = ["Feed", "FeedSupervisor", "SupervisorFigures"]
