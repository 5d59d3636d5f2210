"""`HealthCheck`: every check in one run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from libs.contracts.health import HealthState
from libs.core.clock import Clock, SystemClock
from libs.dbaccess.errors import StoreMissing
from libs.dbaccess.health import archive, market, sqlite_stores, system
from libs.dbaccess.health.finding import Finding, error
from libs.dbaccess.layout import SQLITE_STORES, Layout
from libs.dbaccess.manager import DatabaseManager
from libs.dbaccess.roles import Store
from libs.settings import Settings, load_settings


class HealthCheck:
    """Look at directories, locks, every store's file, schema versions and disk space; change nothing.

    Safe beside a running fleet: a store in use is checked through what its readers get.
    """

    def __init__(self, data_root: Path | str, *, settings: Settings | None = None, clock: Clock | None = None) -> None:
        self.layout = Layout(data_root)
        self.settings = settings or load_settings()
        self.clock = clock or SystemClock()
        self.findings: list[Finding] = []

    def run_all(self, *, deep: bool = False) -> bool:
        """Run every check; False when any found an error. `findings` and `state` hold the rest."""
        self.findings = list(self._run(deep=deep))
        return self.state is not HealthState.ERROR

    @property
    def state(self) -> HealthState:
        """The worst of what was found."""
        states = {finding.state for finding in self.findings}
        for state in (HealthState.ERROR, HealthState.WARNING):
            if state in states:
                return state
        return HealthState.GREEN

    def _run(self, *, deep: bool) -> Iterator[Finding]:
        if not self.layout.root.is_dir():
            yield error(
                "directory", self.layout.root, "the data root is missing", "run `fleet init`, or set TRADEFLEET_DATA"
            )
            return
        yield from system.check_directories(self.layout)
        yield from system.check_private_files(self.layout)
        yield from system.check_locks(self.layout)
        yield from market.check_schema_version(self.layout)
        yield from market.check_closed_days(self.layout, self.settings.sqlite, deep=deep)
        yield from archive.check_archived_days(self.layout, self.settings.sqlite, deep=deep)
        yield from market.check_live_buffer(self.layout, self.settings.live, self.clock, deep=deep)
        yield from sqlite_stores.check_sqlite_stores(self.layout, self.settings.sqlite, SQLITE_STORES, deep=deep)
        for path, name in ((self.layout.catalogue, "catalogue"), (self.layout.ledger, "ledger")):
            yield from sqlite_stores.check_sqlite_file(self.layout, path, name, self.settings.sqlite, deep=deep)
        yield from sqlite_stores.check_write_ahead_logs(self.layout, self.settings.health)
        yield from market.check_runs(self.layout, deep=deep)
        yield from system.check_disk(self.layout.root, self.settings.health)


def verify_store(db: DatabaseManager, store: str) -> list[Finding]:
    """Read every page or block of one store, by its name: a SQLite store's, `market` or `live`."""
    layout, settings = db.layout, db.settings
    if not layout.root.is_dir():
        raise StoreMissing(layout.root, "the data root is missing; run `fleet init` or set TRADEFLEET_DATA")
    if store == "market":
        return [
            *market.check_schema_version(layout),
            *market.check_closed_days(layout, settings.sqlite, deep=True),
            *archive.check_archived_days(layout, settings.sqlite, deep=True),
        ]
    if store == "live":
        return list(market.check_live_buffer(layout, settings.live, db.clock, deep=True))
    return list(sqlite_stores.check_sqlite_stores(layout, settings.sqlite, [Store(store)], deep=True))
