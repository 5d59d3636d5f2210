"""Why fleet and backtest differ: the setting, the bar or the event behind a difference, or an earlier one. Pure.

A cause is only named on evidence: a setting that is not the same, a candle only one side had, a row of the fleet's own
stores about what went wrong. What none of it explains stays without a cause, and is a fault of ours to find.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from libs.core.clock import IST, to_datetime
from libs.trading.parity import RANK, Difference, Kind, What

#: A setting by its path (`sma_cross.parameters.fast`), and what each side has.
Settings = Mapping[str, tuple[Any, Any]]


class Mishap(msgspec.Struct, frozen=True, kw_only=True):
    """A strategy the fleet suspended: from a bar on, until another or, with None, for good."""

    strategy_id: str
    symbol: str
    from_us: int
    until_us: int | None
    why: str


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """What is known beside the rows."""

    settings: Settings
    #: (symbol, bar) that came from the broker's history after a gap: strategies never met it.
    backfilled: frozenset[tuple[str, int]] = frozenset()
    mishaps: Sequence[Mishap] = ()
    #: What the fleet had from the days before, by strategy and symbol; a backtest begins with nothing.
    carried: Mapping[tuple[str, str], str] = msgspec.field(default_factory=dict)
    #: Minutes the engine went past without the scanner's word.
    misses: frozenset[int] = frozenset()


def flatten(value: Any, prefix: str = "") -> dict[str, Any]:
    """Give the leaves of a tree of settings by their paths."""
    if not isinstance(value, Mapping):
        return {prefix: value}
    found: dict[str, Any] = {}
    for name, each in value.items():
        found |= flatten(each, f"{prefix}.{name}" if prefix else str(name))
    return found


def settings_that_differ(fleet: Any, backtest: Any) -> dict[str, tuple[Any, Any]]:
    """Compare two trees of settings leaf by leaf."""
    one, two = flatten(fleet), flatten(backtest)
    return {name: (one.get(name), two.get(name)) for name in sorted(one | two) if one.get(name) != two.get(name)}


def explained(found: Sequence[Difference], evidence: Evidence) -> list[Difference]:
    """Give the differences, in their order, each with its cause where there is evidence of one."""
    told: list[Difference] = []
    for each in found:
        cause = _own_cause(each, evidence)
        earlier = None if cause else _earlier(each, told)
        if earlier is not None:
            told.append(msgspec.structs.replace(each, cause=f"follows from {spelled(earlier)}", follows=True))
        else:
            told.append(msgspec.structs.replace(each, cause=cause))
    return told


def spelled(each: Difference) -> str:
    """Name a difference in a few words."""
    moment = to_datetime(each.at_us).astimezone(IST)
    whose = f"{each.strategy_id} " if each.strategy_id else ""
    return f"the {each.kind.value} of {whose}{each.symbol} at {moment:%H:%M}" + (f" ({each.name})" if each.name else "")


def _own_cause(each: Difference, evidence: Evidence) -> str:
    match each.kind:
        case Kind.CANDLE:
            return _of_candle(each, evidence)
        case Kind.SIGNAL:
            return _of_signal(each, evidence)
        case Kind.ORDER:
            return _of_order(each, evidence)
        case _:
            return _of_trade(each, evidence)


def _of_candle(each: Difference, evidence: Evidence) -> str:
    if (each.symbol, each.at_us) in evidence.backfilled:
        return "it came from the broker's history after a gap of the feed: strategies never met it"
    if each.what is What.ONLY_FLEET:
        return "the history the backtest reads lacks it"
    if each.what is What.ONLY_BACKTEST:
        return "what was captured has no tick of that minute; history has it from elsewhere"
    return "history holds other values than the captured ticks give"


def _of_signal(each: Difference, evidence: Evidence) -> str:
    if set(each.fields) == {"decision"}:
        text = _settings_text(evidence, "", "cash_rupees", "limits", "overrides", "risk") or _refusal(each)
        return text or _carried(each, evidence)
    if text := _settings_text(evidence, each.strategy_id, "strategy", "parameters", "symbols"):
        return text
    if text := _suspended(each, evidence) or _carried(each, evidence):
        return text
    gaps = sorted(at_us for symbol, at_us in evidence.backfilled if symbol == each.symbol and at_us <= each.at_us)
    if gaps:
        moment = to_datetime(gaps[0]).astimezone(IST)
        return f"strategies never met the candle of {each.symbol} at {moment:%H:%M}: it came after a gap of the feed"
    return _settings_text(evidence, "", "code_version", "timeframe", "daily_anchor")


def _suspended(each: Difference, evidence: Evidence) -> str:
    """A suspension explains what its strategy did not say from its first bar on; after it, another state."""
    for mishap in evidence.mishaps:
        is_its = (mishap.strategy_id, mishap.symbol) == (each.strategy_id, each.symbol)
        if is_its and mishap.from_us <= each.at_us:
            moment = to_datetime(mishap.from_us).astimezone(IST)
            return f"the fleet suspended the strategy at {moment:%Y-%m-%d %H:%M}: {mishap.why}"
    return ""


def _carried(each: Difference, evidence: Evidence) -> str:
    if had := evidence.carried.get((each.strategy_id, each.symbol)):
        return f"the fleet {had} from before; the backtest began with nothing (--from names an earlier day)"
    return ""


def _refusal(each: Difference) -> str:
    """A signal that was late is one nobody else would have refused."""
    fleet = str(each.fields["decision"][0])
    if fleet.startswith("rejected: stale"):
        return f"the fleet took the signal too late: {fleet}"
    return ""


def _of_order(each: Difference, evidence: Evidence) -> str:
    if text := _carried(each, evidence):
        return text
    if each.name.startswith("exit") and (
        text := _settings_text(evidence, each.strategy_id, "exits") or _settings_text(evidence, "", "exit_source")
    ):
        return text
    if "quantity" in each.fields and each.what is What.DIFFERS:
        return _settings_text(evidence, each.strategy_id, "sizing") or _settings_text(evidence, "", "cash_rupees")
    return _settings_text(evidence, each.strategy_id, "product")


def _of_trade(each: Difference, evidence: Evidence) -> str:
    if text := _carried(each, evidence):
        return text
    if each.what is What.DIFFERS:
        if {"price", "quantity"} & set(each.fields):
            if text := _settings_text(evidence, "", "fills", "fill", "broker", "instruments"):
                return text
            if each.minute_us in evidence.misses:
                return "the engine went on without the scanner's word on the minute before (a barrier miss)"
        elif {"fees_paise"} & set(each.fields):
            return _settings_text(evidence, "", "costs") or _settings_text(evidence, each.strategy_id, "product")
    elif text := _settings_text(evidence, "", "fills", "fill", "broker"):
        return text
    return ""


def _settings_text(evidence: Evidence, strategy_id: str, *names: str) -> str:
    """Name the settings that are not the same: of a strategy, or of the account when none is given."""
    begins = tuple(f"{strategy_id}.{name}" if strategy_id else name for name in names)
    hits = [
        f"{path} is {_value(values[0])} in the fleet and {_value(values[1])} in the backtest"
        for path, values in evidence.settings.items()
        if any(path == begin or path.startswith(f"{begin}.") for begin in begins)
    ]
    return "; ".join(hits[:3])


def _value(value: Any) -> str:
    return "not set" if value is None else f"{value}"


def _earlier(each: Difference, told: Sequence[Difference]) -> Difference | None:
    """Find what this one comes of: an earlier difference of its symbol and strategy, or else of the account."""
    before = [other for other in told if other.minute_us <= each.minute_us and not other.follows]
    own = [
        other
        for other in before
        if other.symbol == each.symbol
        and other.strategy_id in {"", each.strategy_id}
        and (other.minute_us, RANK[other.kind]) <= (each.minute_us, RANK[each.kind])
    ]
    if own:
        return own[-1]
    # Money, counts and exposure are the account's: a fill that differs moves the sizes of every later entry.
    shared = [other for other in told if other.kind in {Kind.ORDER, Kind.TRADE} and other.minute_us < each.minute_us]
    of_account = each.kind in {Kind.ORDER, Kind.TRADE} or set(each.fields) == {"decision"}
    return shared[0] if shared and of_account else None
