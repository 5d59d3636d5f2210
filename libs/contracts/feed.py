"""What a feed gives its reader, whatever broker or recording is behind it. Stays inside one process."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from libs.contracts.market import Tick


class FrameKind(StrEnum):
    """Why a frame came."""

    SNAPSHOT = "snapshot"
    LIVE = "live"
    STATUS = "status"


class Frame(msgspec.Struct, frozen=True):
    """What came at once: quotes without `seq`, and `volume` only from a recording, and the exchange's time."""

    exchange_us: int
    received_us: int
    ticks: list[Tick]
    kind: FrameKind = FrameKind.LIVE


class FeedConnected(msgspec.Struct, frozen=True):
    """The connection is there and everything was subscribed to."""

    at_us: int


class FeedLost(msgspec.Struct, frozen=True):
    """The connection is gone. `cause` is a cause of a gap; `refused`: the broker said no."""

    at_us: int
    cause: str
    detail: str = ""
    refused: bool = False


class FeedPong(msgspec.Struct, frozen=True):
    """The other side answered a ping: it lives, though it has nothing to say."""

    at_us: int


class FeedDamaged(msgspec.Struct, frozen=True):
    """Something came that could not be read; `raw` is its beginning."""

    at_us: int
    detail: str
    raw: bytes


class FeedEnded(msgspec.Struct, frozen=True):
    """There is nothing more to come: a recording is over."""

    at_us: int


FeedEvent = Frame | FeedConnected | FeedLost | FeedPong | FeedDamaged | FeedEnded
