"""The migrations of every SQLite store, in their order.

The first one is the schema as `libs/dbaccess/schema` has it. To change a released schema, freeze the old statements
as migration 1, change the schema, raise its version, and add the migration between the two here.
"""

from __future__ import annotations

from libs.dbaccess.migrate.model import Migration
from libs.dbaccess.schema import SCHEMAS, catalogue, trading
from libs.dbaccess.schema.common import SCHEMA_MIGRATIONS

PLANS: dict[str, tuple[Migration, ...]] = {
    name: (Migration(1, "initial schema", schema.statements),)
    for name, schema in SCHEMAS.items()
    if schema.engine == "sqlite"
} | {
    "trading": (
        Migration(1, "initial schema", (SCHEMA_MIGRATIONS, *trading.V1)),
        Migration(2, "find orders that are not settled", trading.V2),
        Migration(3, "drop indexes that only cost", trading.V3),
    ),
    "catalogue": (
        Migration(1, "initial schema", (SCHEMA_MIGRATIONS, *catalogue.V1)),
        Migration(2, "drop indexes that only cost", catalogue.V2),
    ),
}


def latest(store: str) -> int:
    """Give the version this code brings a store to."""
    return PLANS[store][-1].version
