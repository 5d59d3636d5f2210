"""The shape all messages share."""

from __future__ import annotations

from datetime import datetime

import msgspec

from libs.core.clock import to_datetime


class Message(msgspec.Struct, frozen=True):
    """A fact that crosses a process boundary. Readers ignore fields they don't know."""


class Event(Message, frozen=True):
    """A message about one instant: its struct has a `timestamp_us`."""

    @property
    def timestamp(self) -> datetime:
        """The instant as an aware UTC datetime."""
        return to_datetime(self.timestamp_us)  # type: ignore[attr-defined]  # each event declares it in its own wire order
