"""What a migration did with each table of the old installation."""

from __future__ import annotations

import msgspec


class TableResult(msgspec.Struct, frozen=True):
    """One table. Every row of it is placed, there already, or refused; what is not placed is in the kept copy.

    `state` is `planned` (dry run), `done`, `done before`, `kept` (known, made anew by the fleet, not placed),
    `unknown` (no such table is known, kept as it is) or `failed`. The checksum is of all rows, whatever their order.
    """

    source: str
    table: str
    rows: int
    target: str
    state: str
    placed: int = 0
    there: int = 0
    refused: int = 0
    checksum: str = ""
    extra_columns: tuple[str, ...] = ()
    extra_kept_in: str = ""
    problems: tuple[str, ...] = ()


class MigrationReport(msgspec.Struct):
    """The whole of a migration. `kept` says where the copies of the old files are."""

    dry_run: bool
    kept: dict[str, str] = {}
    tables: list[TableResult] = []

    @property
    def succeeded(self) -> bool:
        """Whether every known table was placed, without a refused row."""
        return not any(each.state == "failed" or each.refused for each in self.tables)
