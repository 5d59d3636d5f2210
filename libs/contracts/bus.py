"""What the bus says of itself: envelopes, batches, heads, replay, commands; and which payloads a family carries."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Generic, TypeVar

import msgspec

from libs.contracts.analytics import ScanResult
from libs.contracts.base import Message
from libs.contracts.health import Health
from libs.contracts.market import Backfilled, FeedGap, MinuteClosed, OHLCVBar, SessionChanged, Tick
from libs.contracts.orders import OrderEvent, TradeEvent
from libs.contracts.risk import PositionEvent
from libs.contracts.signals import Decided, SignalEvent

SCHEMA_VERSION = 1
#: Topics the bus keeps for itself: `head.<stream>|` and `sync.<nonce>|`.
HEAD, SYNC = "head", "sync"

T = TypeVar("T")


class Envelope(Message, Generic[T], frozen=True):
    """The body of every message: where it stands in its stream, when it happened, and what it says.

    `seq` is the position in the journal of `stream`; `prev` the seq of the message before it on the same topic, counted
    in the journal (0: none known). `epoch` names one life of the publisher.
    """

    v: int
    stream: str
    epoch: str
    seq: int
    prev: int
    event_us: int
    received_us: int
    published_us: int
    payload: T


class TickBatch(Message, frozen=True, tag="ticks"):
    """Ticks of one exchange in order of seq; the envelope's seq is the last one's."""

    ticks: list[Tick]


class StreamHead(Message, frozen=True):
    """How far a stream has come.

    `oldest` is the lowest seq that can still be replayed, `opening` the seq after which today begins. A stream that is
    not `replayable` is nobody's journal: what is lost of it stays lost. `topics` gives the last seq of each topic.
    """

    stream: str
    epoch: str
    seq: int
    oldest: int = 1
    opening: int = 0
    replayable: bool = True
    topics: dict[str, int] = msgspec.field(default_factory=dict)


class Heads(Message, frozen=True, tag="heads"):
    """The heads of an owner's streams: all of them in answer to `sync.<nonce>|`, one on `head.<stream>|`."""

    heads: list[StreamHead]


class ReplayRequest(Message, frozen=True, tag="replay"):
    """Ask an owner for what its journal holds on topics with these prefixes, after one seq and up to another."""

    request_id: str
    stream: str
    topics: list[str]
    after_seq: int
    upto_seq: int
    limit: int = 0


class ReplayReply(Message, frozen=True, tag="replayed"):
    """Messages in order of seq, each a topic and a body as on the wire; complete up to `covered_seq`.

    Ask again after `covered_seq` until it reaches what was asked for. What lies below `oldest` is gone from the
    journal. `refused` says why there is no answer.
    """

    request_id: str
    stream: str
    epoch: str
    messages: list[tuple[str, bytes]] = msgspec.field(default_factory=list)
    covered_seq: int = 0
    oldest: int = 1
    refused: str = ""


class CommandRequest(Message, frozen=True, tag="command"):
    """Ask an owner to do something. A repeat with the same `command_id` gets the first answer and does nothing.

    An owner that reads it only after `expires_us` (0: never) neither does nor answers it.
    """

    command_id: str
    name: str
    arguments: dict[str, Any] = msgspec.field(default_factory=dict)
    expires_us: int = 0


class CommandStatus(StrEnum):
    """What became of a command, by what the sender does next; see `libs.core.errors`."""

    OK = "ok"
    REFUSED = "refused"
    RETRY_LATER = "retry_later"
    UNKNOWN = "unknown"


class CommandReply(Message, frozen=True, tag="command.reply"):
    """The owner's answer. `UNKNOWN`: it failed while doing it, and how far it came nobody knows.

    `expires_us` repeats the request's, so that a late `RETRY_LATER` is not taken for the answer to the next attempt.
    """

    command_id: str
    status: CommandStatus
    detail: str = ""
    result: Any = None
    expires_us: int = 0


#: What a family of topics carries. A family that is not here carries several kinds, or kinds of its service's own:
#: they are told apart by their `type`, and one that no struct of ours has is a plain map.
PAYLOADS: dict[str, Any] = {
    "tick": Tick,
    "ticks": TickBatch,
    "candle": OHLCVBar,
    "market": MinuteClosed | FeedGap | SessionChanged | Backfilled,
    "signal": SignalEvent,
    "decided": Decided,
    "scan": ScanResult,
    "order": OrderEvent,
    "trade": TradeEvent,
    "position": PositionEvent,
    HEAD: Heads,
    SYNC: Heads,
}

#: The same for telemetry, whose kind decides.
TELEMETRY_PAYLOADS: dict[str, Any] = {"health": Health}
