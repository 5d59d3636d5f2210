"""Who is suspended since when: kept in the store, so that a restart does not let a broken strategy loose again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from libs.core.clock import US_PER_MINUTE, Clock, day_start_us, trading_date
from libs.core.errors import Refused
from libs.core.ids import content_id
from libs.core.version import CODE_VERSION
from libs.dbaccess.sqlite_session import SqliteSession
from libs.trading.strategy_host import Identity, StrategyFault, Withheld

_READ = """
SELECT runner, symbol, timeframe, bar_us, parameters_hash, state, status, detail FROM runner_state
WHERE exchange = ? AND symbol <> '' ORDER BY runner, symbol
"""
_WRITE = "INSERT OR REPLACE INTO runner_state VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_FORGET = "DELETE FROM runner_state WHERE exchange = ? AND runner = ? AND symbol = ?"
_DECIDED = "SELECT max(bar_us) FROM decisions WHERE exchange = ?"

Key = tuple[str, str]
Windows = tuple[Withheld, ...]


class Kept(NamedTuple):
    """What is remembered of one (instance, symbol)."""

    timeframe: str
    bar_us: int
    fingerprint: str
    windows: Windows
    status: str
    detail: str


class Suspensions:
    """A suspension lasts until what is suspended changes (file, version, parameters, timeframe), or is lifted.

    The scanner writes them before the signals of the bar they began with, so that no crash loses one.
    """

    def __init__(self, session: SqliteSession, clock: Clock, exchange: str) -> None:
        self._session = session
        self._clock = clock
        self._exchange = exchange
        self._running: dict[Key, Identity] = {}
        self._kept: dict[Key, Kept] = {
            (str(runner), str(symbol)): Kept(timeframe, bar_us, fingerprint, _windows(state), status, detail)
            for runner, symbol, timeframe, bar_us, fingerprint, state, status, detail in session.connection.execute(
                _READ, (exchange,)
            )
        }

    def begin(self, running: Mapping[Key, Identity]) -> dict[Key, Windows]:
        """Begin a run: give what is still withheld of what is to run; forget what changed or is not run any more."""
        self._running = dict(running)
        gone = [
            key
            for key, kept in self._kept.items()
            if key not in running or kept.fingerprint != fingerprint(running[key])
        ]
        if gone:
            with self._session.transaction() as connection:
                for instance, symbol in gone:
                    connection.execute(_FORGET, (self._exchange, instance, symbol))
                    del self._kept[instance, symbol]
        return {key: kept.windows for key, kept in self._kept.items() if kept.windows}

    def note(self, faults: Iterable[StrategyFault]) -> dict[Key, Windows]:
        """Keep what went wrong; give what is withheld from now on."""
        changed: dict[Key, Windows] = {}
        for fault in faults:
            key = (fault.instance, fault.symbol)
            identity = self._running.get(key)
            before = self._kept.get(key)
            windows = before.windows if before else ()
            if fault.suspended and identity is not None and not _is_open(windows):
                today_us = day_start_us(trading_date(fault.timestamp_us))
                windows = (*(each for each in windows if (each.until_us or 0) > today_us), Withheld(fault.timestamp_us))
                changed[key] = windows
            self._kept[key] = Kept(
                identity.timeframe if identity else "1m", fault.timestamp_us, fingerprint(identity), windows,
                "suspended" if fault.suspended else "active", f"{fault.kind}: {fault.reason} {fault.where}".strip(),
            )  # fmt: skip
            self._write([key])
        return changed

    def lift(self, instance: str, symbol: str = "") -> dict[Key, Windows]:
        """Let an instance run again, on one symbol or all, with the next bar that is not decided yet."""
        keys = [
            key
            for key, kept in self._kept.items()
            if key[0] == instance and symbol in {"", key[1]} and _is_open(kept.windows)
        ]
        if not keys:
            there = ", ".join(f"{name} on {what}" for name, what in self.lasting()) or "none"
            raise Refused(f"{instance!r}{f' on {symbol}' if symbol else ''} is not suspended; suspended: {there}")
        decided_us = self._session.connection.execute(_DECIDED, (self._exchange,)).fetchone()[0] or 0
        for key in keys:
            kept = self._kept[key]
            *earlier, last = kept.windows
            lifted = Withheld(last.from_us, max(decided_us + US_PER_MINUTE, last.from_us + 1))
            self._kept[key] = kept._replace(
                windows=(*earlier, lifted), status="active", detail=f"lifted; {kept.detail}"
            )
        self._write(keys)
        return {key: self._kept[key].windows for key in keys}

    def lasting(self) -> dict[Key, Kept]:
        """Give those that do not run now."""
        return {key: kept for key, kept in self._kept.items() if kept.status == "suspended"}

    def _write(self, keys: Iterable[Key]) -> None:
        now_us = self._clock.now_us()
        with self._session.transaction() as connection:
            for key in keys:
                kept = self._kept[key]
                state = msgspec.msgpack.encode(kept.windows)
                values = (key[0], self._exchange, key[1], kept.timeframe, kept.bar_us, kept.fingerprint, CODE_VERSION,
                          state, kept.status, kept.detail, now_us)  # fmt: skip
                connection.execute(_FORGET, (self._exchange, *key))
                connection.execute(_WRITE, values)


def fingerprint(identity: Identity | None) -> str:
    """Name what runs: a corrected file is another one, whether or not its version was counted up."""
    if identity is None:
        return ""
    path = Path(identity.source)
    code = path.read_text("utf-8") if path.is_file() else ""
    return content_id(identity.name, identity.version, identity.timeframe, identity.parameters, code)


def _windows(state: Any) -> Windows:
    return msgspec.msgpack.decode(state, type=tuple[Withheld, ...]) if state else ()


def _is_open(windows: Windows) -> bool:
    return bool(windows) and windows[-1].until_us is None
