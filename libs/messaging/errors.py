"""What can go wrong on the bus, by what the caller does next."""

from __future__ import annotations

from libs.core.errors import Corrupt, FleetError, Refused


class MalformedMessage(FleetError):
    """Bytes that are no message of ours: counted and dropped, never passed on."""


class BusRefused(Refused):
    """The bus will not do this: an unsafe address, a missing key, a topic nobody publishes."""


class BadKeyName(BusRefused):
    """No key can be called so."""


class SequenceBroken(Corrupt):
    """A publisher was handed a seq its stream has already passed."""


class GapUnrecoverable(Refused):
    """Messages were lost and the owner's journal no longer holds them; the owner's store does."""

    def __init__(self, *, owner: str, stream: str, from_seq: int, upto_seq: int, why: str) -> None:
        super().__init__(
            f"stream {stream!r} of {owner}: what was published from seq {from_seq} to {upto_seq} cannot be replayed "
            f"({why}); read it from the store of {owner} (libs.dbaccess, fleet query)"
        )
        self.owner = owner
        self.stream = stream
        self.from_seq = from_seq
        self.upto_seq = upto_seq
