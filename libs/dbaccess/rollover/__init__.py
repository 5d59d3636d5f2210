"""End of day: the days that are over move from the live buffer into history, whatever is killed when."""

from libs.dbaccess.rollover.eod import EODRollover, Rolled, RolloverReport
from libs.dbaccess.rollover.steps import record_step, untold_days

__all__ = ["EODRollover", "Rolled", "RolloverReport", "record_step", "untold_days"]
