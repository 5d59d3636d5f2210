"""What a strategy returned, made into signals that can be stored: checked, stamped, in order."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import Any

import msgspec

from libs.contracts import OHLCVBar, SignalEvent, SignalType
from libs.contracts.signals import signal_id
from libs.core.errors import Refused
from libs.strategies.position import KIND_ORDER

SIGNALS_PER_BAR_MAX = 8
#: Prices of an exit have typed fields, and quantities are the risk gate's: metadata ends in insights and holds neither.
FORBIDDEN_METADATA = frozenset({"quantity", "qty", "stop", "stop_loss", "target", "take_profit"})


class BadSignal(Refused):
    """A strategy returned something that is no signal, or one that cannot be."""


def signal_order(signal: SignalEvent) -> tuple[int, str, str, int, int]:
    """Order signals by bar, instance, symbol, kind and leg; exits before entries."""
    return (signal.timestamp_us, signal.strategy_id, signal.symbol, KIND_ORDER[signal.signal_type], signal.leg)


def checked(returned: object, bar: OHLCVBar, *, instance: str, version: str, parameters: str) -> list[SignalEvent]:
    """Give the signals in order, each with the id, instance, bar and version that are true; raise `BadSignal`."""
    items = returned if isinstance(returned, (list, tuple)) else [returned]
    if len(items) > SIGNALS_PER_BAR_MAX:
        raise BadSignal(f"{len(items)} signals on one bar; {SIGNALS_PER_BAR_MAX} at most")
    signals = [_stamped(item, bar, instance, version, parameters) for item in items]
    if len({signal.signal_id for signal in signals}) < len(signals):
        raise BadSignal("two signals of one kind and leg on one bar; give each its own leg")
    return sorted(signals, key=signal_order)


def _stamped(item: Any, bar: OHLCVBar, instance: str, version: str, parameters: str) -> SignalEvent:
    if not isinstance(item, SignalEvent):
        raise BadSignal(f"process_bar returned {type(item).__name__}; expected SignalEvent, a list of them, or None")
    if item.symbol != bar.symbol:
        raise BadSignal(f"a signal for {item.symbol!r} on a bar of {bar.symbol!r}")
    kind = _kind(item)
    _check_figures(item)
    _check_metadata(item.metadata)
    name = signal_id(
        instance=instance,
        parameters=parameters,
        symbol=bar.symbol,
        timeframe=bar.timeframe,
        bar_us=bar.timestamp_us,
        signal_type=kind,
        leg=item.leg,
    )
    return SignalEvent(
        name,
        instance,
        bar.symbol,
        bar.timestamp_us,
        kind,
        float(item.confidence),
        # The price it was decided at: what the implied position is restored from.
        {**item.metadata, "price": bar.close},
        exchange=bar.exchange,
        timeframe=bar.timeframe,
        stop=item.stop,
        target=item.target,
        leg=item.leg,
        strategy_version=version,
    )


def _kind(item: SignalEvent) -> SignalType:
    try:
        return SignalType(item.signal_type)
    except ValueError as e:
        raise BadSignal(f"signal_type {item.signal_type!r}; expected one of {', '.join(SignalType)}") from e


def _check_figures(item: SignalEvent) -> None:
    if not 0.0 <= item.confidence <= 1.0:
        raise BadSignal(f"confidence {item.confidence!r}; expected 0 to 1")
    if item.leg < 0:
        raise BadSignal(f"leg {item.leg!r}; expected 0 or more")
    for name, price in (("stop", item.stop), ("target", item.target)):
        if price is not None and not (isfinite(price) and price > 0.0):
            raise BadSignal(f"{name} {price!r}; expected a price above 0, or None")


def _check_metadata(metadata: Mapping[str, Any]) -> None:
    if found := FORBIDDEN_METADATA & metadata.keys():
        raise BadSignal(f"metadata holds {', '.join(sorted(found))}: stop and target are fields, quantity is risk's")
    try:
        msgspec.json.encode(metadata)
    except (TypeError, ValueError) as e:
        raise BadSignal(f"metadata cannot be written as JSON: {e}") from e
