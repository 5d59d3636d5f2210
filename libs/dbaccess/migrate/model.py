"""What a migration is."""

from __future__ import annotations

import inspect
import sqlite3
from collections.abc import Callable

import msgspec

from libs.core.errors import Refused
from libs.core.ids import content_id


class MigrationChanged(Refused):
    """An applied migration is not the one this code has; the store and the code don't belong together."""


class Migration(msgspec.Struct, frozen=True):
    """One step from the version before to `version`: statements, or a function for what SQL cannot say.

    Once released it is never edited: stores remember its checksum. A new step is a new migration.
    """

    version: int
    name: str
    change: tuple[str, ...] | Callable[[sqlite3.Connection], None]

    @property
    def checksum(self) -> str:
        """Hash what it does."""
        parts = self.change if isinstance(self.change, tuple) else (inspect.getsource(self.change),)
        return content_id(self.version, *parts)

    def apply(self, connection: sqlite3.Connection) -> None:
        """Do it, inside the caller's transaction."""
        if not isinstance(self.change, tuple):
            self.change(connection)
            return
        for statement in self.change:
            connection.execute(statement)
