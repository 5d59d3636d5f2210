"""What a strategy returned, made into signals that can be stored: checked, stamped, in order."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import Any

import msgspec

from libs.contracts import OHLCVBar, SignalEvent, SignalType
from libs.core.errors import Refused
from libs.strategies import StrategyContext
from libs.strategies.position import KIND_ORDER

SIGNALS_PER_BAR_MAX = 8
#: Prices of an exit have typed fields, and quantities are the risk gate's: metadata ends in insights and holds neither.
FORBIDDEN_METADATA = frozenset({"quantity", "qty", "stop", "stop_loss", "target", "take_profit"})

_encoder = msgspec.json.Encoder()


class BadSignal(Refused):
    """A strategy returned something that is no signal, or one that cannot be."""


def signal_order(signal: SignalEvent) -> tuple[int, str, str, int, int]:
    """Order signals by bar, instance, symbol, kind and leg; exits before entries."""
    return (signal.timestamp_us, signal.strategy_id, signal.symbol, KIND_ORDER[signal.signal_type], signal.leg)


def checked(returned: object, bar: OHLCVBar, context: StrategyContext) -> list[SignalEvent]:
    """Give the signals in order, each with the id, instance, bar and version that are true; raise `BadSignal`."""
    items = returned if isinstance(returned, (list, tuple)) else [returned]
    if len(items) > SIGNALS_PER_BAR_MAX:
        raise BadSignal(f"{len(items)} signals on one bar; {SIGNALS_PER_BAR_MAX} at most")
    signals = [_stamped(item, bar, context) for item in items]
    if len(signals) == 1:
        return signals
    if len({signal.signal_id for signal in signals}) < len(signals):
        raise BadSignal("two signals of one kind and leg on one bar; give each its own leg")
    return sorted(signals, key=signal_order)


def _stamped(item: Any, bar: OHLCVBar, context: StrategyContext) -> SignalEvent:
    if not isinstance(item, SignalEvent):
        raise BadSignal(f"process_bar returned {type(item).__name__}; expected SignalEvent, a list of them, or None")
    if item.symbol != bar.symbol:
        raise BadSignal(f"a signal for {item.symbol!r} on a bar of {bar.symbol!r}")
    _check_figures(item)
    _check_metadata(item.metadata)
    if context.made_here(item):
        return item
    kind = _kind(item)
    return SignalEvent(
        context.names.name(bar.timestamp_us, kind, item.leg),
        context.strategy_id,
        bar.symbol,
        bar.timestamp_us,
        kind,
        float(item.confidence),
        {**item.metadata, "price": bar.close},
        exchange=bar.exchange,
        timeframe=bar.timeframe,
        stop=item.stop,
        target=item.target,
        leg=item.leg,
        strategy_version=context.version,
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
    if not FORBIDDEN_METADATA.isdisjoint(metadata):
        found = ", ".join(sorted(FORBIDDEN_METADATA & metadata.keys()))
        raise BadSignal(f"metadata holds {found}: stop and target are fields, quantity is risk's")
    try:
        _encoder.encode(metadata)
    except (TypeError, ValueError) as e:
        raise BadSignal(f"metadata cannot be written as JSON: {e}") from e
