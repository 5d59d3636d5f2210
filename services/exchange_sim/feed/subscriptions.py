"""What a market data connection is subscribed to, within the broker's limits."""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec

from libs.upstox.feed_messages import REQUEST_MODES
from services.exchange_sim.market.instruments import Listing

#: Most keys of a mode when it is the only one, and when modes are mixed, on one connection.
LIMITS = {"ltpc": (5000, 2000), "option_greeks": (3000, 2000), "full": (2000, 1500), "full_d30": (50, 50)}


class _Data(msgspec.Struct):
    instrumentKeys: list[str]  # noqa: N815  # the wire's spelling
    mode: str = ""


class _Command(msgspec.Struct):
    guid: str
    method: str
    data: _Data


_decoder = msgspec.json.Decoder(_Command)


class Subscriptions:
    """Key -> mode. A command that cannot be carried out changes nothing and is kept in `refused`."""

    def __init__(self, listing: Listing) -> None:
        self._listing = listing
        self.modes: dict[str, str] = {}
        self.refused: list[str] = []

    def apply(self, text: bytes | str) -> list[str]:
        """Carry a command out and give the keys that want a snapshot.

        The broker acknowledges nothing and its answer to a wrong command is not known, so a refusal is silent here;
        `/_sim/state` shows it.
        """
        try:
            command = _decoder.decode(text)
        except msgspec.DecodeError as e:
            self._refuse(f"not a command: {e}")
            return []
        keys = command.data.instrumentKeys
        if command.method == "unsub":
            for key in keys:
                self.modes.pop(key, None)
            return []
        mode = command.data.mode
        if command.method not in {"sub", "change_mode"} or mode not in REQUEST_MODES:
            self._refuse(f"method {command.method!r}, mode {mode!r}")
            return []
        known = [key for key in keys if key in self._listing.by_key]
        if len(known) < len(keys):
            self._refuse(f"{len(keys) - len(known)} unknown keys")
        wanted = self.modes | dict.fromkeys(known, mode)
        if problem := over_limit(wanted):
            self._refuse(problem)
            return []
        self.modes = wanted
        return known

    def counts(self) -> dict[str, int]:
        """Count the keys of each mode."""
        return dict(Counter(self.modes.values()))

    def _refuse(self, reason: str) -> None:
        self.refused = [*self.refused[-99:], reason]


def over_limit(modes: dict[str, str]) -> str:
    """Say which of the broker's limits a set of subscriptions exceeds, nothing when none."""
    counts: dict[str, Any] = Counter(modes.values())
    for mode, count in counts.items():
        alone, mixed = LIMITS[mode]
        most = alone if len(counts) == 1 else mixed
        if count > most:
            return f"{count} keys in mode {mode}: at most {most} with {len(counts)} mode(s)"
    return ""
