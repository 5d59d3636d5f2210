"""`fleet feed`: watch any stream of the bus from a terminal."""

from __future__ import annotations

import argparse
import sys
from itertools import islice
from typing import TYPE_CHECKING, Any

import msgspec

from cli.words import at_least, some_names
from libs.core.clock import IST, to_datetime

if TYPE_CHECKING:
    from collections.abc import Iterator

    from libs.messaging import Received, Subscriber
    from libs.messaging.feeds import Selection

#: Name of the feed: the topics it reads, what it is for.
FEEDS: dict[str, tuple[str, str]] = {
    "candles": ("candle", "bars as they close"),
    "ticks": ("ticks", "every quote; with --symbols only theirs"),
    "signals": ("signal", "what the strategies say"),
    "scans": ("scan", "results of market-wide scans"),
    "orders": ("order", "orders after every change"),
    "trades": ("trade", "fills"),
    "positions": ("position", "positions after every change"),
    "risk": ("risk", "risk events and trading states"),
    "alerts": ("alert", "what ops wants somebody to know"),
    "backtest": ("backtest", "progress of running backtests"),
    "health": ("telemetry.health", "heartbeats of the services"),
}
#: Longer bars are made of these when they are read; nobody publishes them.
_PUBLISHED = ("1m", "5m", "15m", "1d")
#: After so long without an answer, say what is being waited for.
_PATIENCE_S = 2.0
#: Not worth a column of their own on a terminal.
_UNSHOWN = {"type", "symbol", "timestamp_us", "exchange", "received_us", "seq"}


def add(subparsers: Any) -> None:
    """Add the command."""
    parser = subparsers.add_parser("feed", help="watch a stream of the bus", description="Watch a stream of the bus.")
    feeds = parser.add_subparsers(title="feeds", metavar="FEED", required=True)
    for name, (_, purpose) in FEEDS.items():
        feed = feeds.add_parser(name, help=purpose, description=f"Print {purpose}; ends with Ctrl-C.")
        feed.add_argument("--symbols", type=some_names, default=[], metavar="A,B", help="only these symbols")
        feed.add_argument("--exchange", default="", help="default: data.exchange of the settings")
        feed.add_argument("--count", type=at_least(1), metavar="N", help="end after so many")
        feed.add_argument("--json", action="store_true", help="print one JSON object a line")
        feed.add_argument("--backfill", action="store_true", help="begin with today's earlier ones")
        if name == "candles":
            feed.add_argument("--timeframe", default="1m", choices=_PUBLISHED, help="default 1m")
        feed.set_defaults(run=run, feed=name)


def run(options: argparse.Namespace) -> int:
    """Print messages until there were enough, or Ctrl-C: both are a success."""
    from libs.messaging import Subscriber
    from libs.messaging.feeds import resolve, select

    settings = resolve(None, None, None)
    selection = select(_spec(options), options.symbols, options.exchange or settings.data.exchange)
    try:
        with Subscriber.open(
            selection.topics, settings=settings, backfill=options.backfill, on_gap=_say
        ) as subscriber:  # fmt: skip
            for message, payload in islice(_messages(subscriber, selection), options.count):
                print(_json(message, payload) if options.json else _readable(message, payload), flush=True)
    except KeyboardInterrupt:
        return 0
    return 0


def _messages(subscriber: Subscriber, selection: Selection) -> Iterator[tuple[Received, Any]]:
    from libs.messaging.feeds import kept

    told = False
    while True:
        message = subscriber.poll(_PATIENCE_S)
        if message is not None:
            for payload in kept(message, selection):
                yield message, payload
        elif not subscriber.joined and not told:
            _say("nobody publishes this yet; waiting (is the fleet running? `fleet status`)")
            told = True


def _spec(options: argparse.Namespace) -> str:
    if options.feed == "candles":
        return f"candle.{options.timeframe}"
    if options.feed == "ticks" and options.symbols:
        return "tick"
    return FEEDS[options.feed][0]


def _json(message: Received, payload: Any) -> str:
    """Spell the payload as one JSON object, with where it stood on the bus."""
    place = {"topic": message.topic, "stream": message.stream, "seq": message.seq, "replayed": message.replayed}
    return msgspec.json.encode(place | msgspec.to_builtins(payload)).decode()


def _readable(message: Received, payload: Any) -> str:
    values = msgspec.to_builtins(payload)
    moment = to_datetime(values.get("timestamp_us") or message.envelope.event_us).astimezone(IST)
    name = str(values.get("symbol") or message.topic.rstrip("|"))
    facts = "  ".join(f"{key} {_short(value)}" for key, value in values.items() if key not in _UNSHOWN and _says(value))
    return f"{moment:%H:%M:%S}  {name:<12}  {facts}"


def _short(value: Any) -> str:
    return f"{value:.2f}" if isinstance(value, float) else str(value)


def _says(value: Any) -> bool:
    return value is not None and value not in ("", {}, [])


def _say(what: object) -> None:
    print(f"fleet feed: {what}", file=sys.stderr, flush=True)
