"""Topics of the bus. Each ends in the terminator, so that a subscription to `…REL|` never matches `…RELIANCE|`."""

from __future__ import annotations

from libs.core.errors import Refused

TERMINATOR = "|"
TELEMETRY_KINDS = ("health", "metrics", "positions", "logs")

#: The grammar, one row a family: prefix, parts after it, the stream whose journal numbers it, who publishes it.
FAMILIES: dict[str, tuple[tuple[str, ...], str, str]] = {
    "tick": (("exchange", "symbol"), "ticks", "ingestor"),
    "ticks": (("exchange",), "ticks", "ingestor"),
    "candle": (("timeframe", "exchange", "symbol"), "candles", "ingestor"),
    "market": (("exchange", "event"), "candles", "ingestor"),
    "signal": (("strategy_id", "symbol"), "signals", "scanner"),
    "decided": (("exchange",), "decisions", "scanner"),
    "scan": (("scan_id",), "scans", "scanner"),
    "order": (("symbol",), "orders", "execution_engine"),
    "trade": (("symbol",), "trades", "execution_engine"),
    "position": (("symbol",), "positions", "execution_engine"),
    "risk": (("event",), "risk", "execution_engine"),
    "backtest": (("run_id",), "backtest", "backtest"),
    "config": (("table",), "config", "api"),
    "alert": (("severity",), "alerts", "ops"),
    "telemetry": (("kind", "service"), "telemetry", "every service"),
}


def topic(family: str, *parts: str) -> str:
    """Spell a full topic, refusing parts that would change its meaning."""
    names, _, _ = FAMILIES[family]
    if len(parts) != len(names):
        raise Refused(f"topic {family!r} takes {', '.join(names)}; got {parts}")
    for name, part in zip(names, parts, strict=True):
        if not part or TERMINATOR in part or "\0" in part or (name != names[-1] and "." in part):
            raise Refused(f"{name} {part!r} cannot stand in a topic: empty, or holds a separator")
    return ".".join((family, *parts)) + TERMINATOR


def prefix(family: str, *parts: str) -> str:
    """Spell the prefix that subscribes to everything below the given parts."""
    names, _, _ = FAMILIES[family]
    if len(parts) == len(names):
        return topic(family, *parts)
    return ".".join((family, *parts)) + "."


def split(text: str) -> tuple[str, dict[str, str]]:
    """Take a full topic apart into its family and its named parts."""
    family, _, rest = text.removesuffix(TERMINATOR).partition(".")
    if family not in FAMILIES or not text.endswith(TERMINATOR):
        raise Refused(f"{text!r} is no topic: families are {', '.join(FAMILIES)}, and a topic ends in {TERMINATOR!r}")
    names = FAMILIES[family][0]
    parts = rest.split(".", len(names) - 1)
    if len(parts) != len(names):
        raise Refused(f"topic {text!r} lacks parts: {family} takes {', '.join(names)}")
    return family, dict(zip(names, parts, strict=True))
