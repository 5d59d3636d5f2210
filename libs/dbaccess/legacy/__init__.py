"""From an older installation into the six stores: its files are only read, every table is accounted for."""

from libs.dbaccess.legacy.report import MigrationReport, TableResult
from libs.dbaccess.legacy.run import migrate_legacy, sources_of_environment

__all__ = ["MigrationReport", "TableResult", "migrate_legacy", "sources_of_environment"]
