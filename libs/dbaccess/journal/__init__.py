"""The ingestor's journal: every tick, bar and market event, on disk before anybody hears of it."""

from libs.dbaccess.journal.checking import check
from libs.dbaccess.journal.format import Kind, Record
from libs.dbaccess.journal.journal import Journal
from libs.dbaccess.journal.opening import Recovered
from libs.dbaccess.journal.reading import RangeGone

__all__ = ["Journal", "Kind", "RangeGone", "Record", "Recovered", "check"]
