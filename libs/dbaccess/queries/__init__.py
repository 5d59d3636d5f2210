"""Reading market data: closed days, archived days and today's snapshot as one, and the read-only SQL door."""

from libs.dbaccess.queries.bounds import BadBounds, Moment
from libs.dbaccess.queries.coverage import Coverage
from libs.dbaccess.queries.door import BadQuery, sql_door
from libs.dbaccess.queries.market import MarketDataQuery

__all__ = ["BadBounds", "BadQuery", "Coverage", "MarketDataQuery", "Moment", "sql_door"]
