"""Bringing stores to this code's schema: SQLite by numbered migrations, market data by its version file."""

from libs.dbaccess.migrate.market import check_schema_version, read_schema_version, write_schema_version
from libs.dbaccess.migrate.model import Migration, MigrationChanged
from libs.dbaccess.migrate.plans import PLANS, latest
from libs.dbaccess.migrate.run import migrate
from libs.dbaccess.schema import refuse_newer, version_of
from libs.dbaccess.schema import table_names as tables_of

__all__ = [
    "PLANS",
    "Migration",
    "MigrationChanged",
    "check_schema_version",
    "latest",
    "migrate",
    "read_schema_version",
    "refuse_newer",
    "tables_of",
    "version_of",
    "write_schema_version",
]
