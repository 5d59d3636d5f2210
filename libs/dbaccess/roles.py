"""Who owns what: the one table of ownership."""

from __future__ import annotations

from enum import StrEnum

from libs.dbaccess.errors import OwnershipError


class Store(StrEnum):
    """The parts of the six stores that are locked and written apart."""

    HISTORY = "history"
    LIVE = "live"
    TRADING = "trading"
    SIGNALS = "signals"
    CONFIG = "config"
    BACKTEST_RUN = "backtest_run"
    BACKTEST_INDEX = "backtest_index"


class Role(StrEnum):
    """What a process is; it writes what its role owns and nothing else."""

    INGESTOR = "ingestor"
    SCANNER = "scanner"
    EXECUTION_ENGINE = "execution_engine"
    BACKTEST = "backtest"
    BACKTEST_INDEX = "backtest_index"
    API = "api"
    OPS = "ops"

    @classmethod
    def _missing_(cls, value: object) -> Role | None:
        """Take `INGESTOR` for `ingestor`: people type both."""
        return cls.__members__.get(str(value).upper())


OWNERS: dict[Store, Role] = {
    Store.HISTORY: Role.INGESTOR,
    Store.LIVE: Role.INGESTOR,
    Store.TRADING: Role.EXECUTION_ENGINE,
    Store.SIGNALS: Role.SCANNER,
    Store.CONFIG: Role.API,
    Store.BACKTEST_RUN: Role.BACKTEST,
    Store.BACKTEST_INDEX: Role.BACKTEST_INDEX,
}


def require_owner(role: Role | None, store: Store) -> None:
    """Raise unless the role owns the store. Comes before anything on disk is touched."""
    owner = OWNERS[store]
    if role is not owner:
        who = f"role {role.value!r}" if role else "a manager without a role"
        raise OwnershipError(f"{who} may not write the {store.value} store; its owner is role {owner.value!r}")
