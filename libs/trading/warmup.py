"""Does a strategy need more bars before its first signal than it says? Its signals under several warm-ups, compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from libs.contracts.signals import SignalEvent
from libs.core.errors import Refused

#: Levels nearer than this share of their size are the same: an average forgets, but never quite.
_LEVEL_TOLERANCE = 1e-4


class WarmupDifference(msgspec.Struct, frozen=True, kw_only=True):
    """Signals under one warm-up beside those under the longest."""

    warmup_bars: int
    signals: int
    missing: int
    extra: int
    #: Same signal, other stop, target or confidence.
    levels_changed: int

    @property
    def share(self) -> float:
        """How many of all signals are not the same; 0 when there are none."""
        differing = self.missing + self.extra + self.levels_changed
        return differing / max(1, self.signals + self.missing)


class WarmupSensitivity(msgspec.Struct, frozen=True, kw_only=True):
    """One row a warm-up, shortest first. `enough_bars` is the shortest from which on nothing differs.

    None: even the longest but one differs, so that nobody knows. `proves_nothing`: there was no signal to compare.
    """

    rows: tuple[WarmupDifference, ...]
    enough_bars: int | None
    proves_nothing: bool


def warmup_sensitivity(signals: Mapping[int, Sequence[SignalEvent]]) -> WarmupSensitivity:
    """Compare the signals of one strategy over the same bars after warm-ups of several lengths, by their bars.

    All must begin counting at the same bar: a longer warm-up reaches further back.
    """
    if len(signals) < 2:
        raise Refused(f"{len(signals)} warm-up; at least two of different length have to be compared")
    lengths = sorted(signals)
    reference = _by_name(signals[lengths[-1]])
    rows = tuple(_difference(length, _by_name(signals[length]), reference) for length in lengths)
    enough: int | None = None
    for row in reversed(rows[:-1]):
        if row.share > 0.0:
            break
        enough = row.warmup_bars
    return WarmupSensitivity(rows=rows, enough_bars=enough, proves_nothing=not any(signals.values()))


_Name = tuple[str, str, str, int, str, int]


def _by_name(signals: Sequence[SignalEvent]) -> dict[_Name, SignalEvent]:
    return {(s.strategy_id, s.exchange, s.symbol, s.timestamp_us, s.signal_type.value, s.leg): s for s in signals}


def _difference(
    warmup_bars: int, found: dict[_Name, SignalEvent], reference: dict[_Name, SignalEvent]
) -> WarmupDifference:
    common = found.keys() & reference.keys()
    return WarmupDifference(
        warmup_bars=warmup_bars,
        signals=len(found),
        missing=len(reference.keys() - found.keys()),
        extra=len(found.keys() - reference.keys()),
        levels_changed=sum(not _same_levels(found[name], reference[name]) for name in common),
    )


def _same_levels(one: SignalEvent, other: SignalEvent) -> bool:
    return all(
        _near(getattr(one, name), getattr(other, name)) for name in ("stop", "target", "confidence")
    )  # fmt: skip


def _near(one: float | None, other: float | None) -> bool:
    if one is None or other is None:
        return one is other
    return abs(one - other) <= _LEVEL_TOLERANCE * max(abs(one), abs(other))
