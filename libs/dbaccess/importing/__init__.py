"""Market data from files as people have them, into closed days: columns guessed and shown, every refused row told."""

from libs.dbaccess.importing.plan import FilePlan, ImportRequest, plan_files
from libs.dbaccess.importing.report import DayResult, ImportReport
from libs.dbaccess.importing.run import import_files

__all__ = ["DayResult", "FilePlan", "ImportReport", "ImportRequest", "import_files", "plan_files"]
