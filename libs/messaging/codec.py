"""Bytes to envelopes and back. Payloads are decoded by the topic's family; what does not fit is never passed on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

import msgspec

from libs.contracts.base import Message
from libs.contracts.bus import PAYLOADS, SCHEMA_VERSION, TELEMETRY_PAYLOADS, Envelope
from libs.contracts.topics import TERMINATOR
from libs.messaging.errors import MalformedMessage

_TOPICS_CACHED_MAX = 50_000
#: Longer than any topic of the grammar needs to be.
_TOPIC_BYTES_MAX = 512

encode = msgspec.msgpack.Encoder().encode


class Received(Message, frozen=True):
    """A message as it is handed to the reader. `replayed`: it came from the owner's journal, not live."""

    topic: str
    envelope: Envelope[Any]
    replayed: bool = False

    @property
    def payload(self) -> Any:
        return self.envelope.payload

    @property
    def seq(self) -> int:
        return self.envelope.seq

    @property
    def stream(self) -> str:
        return self.envelope.stream


class UnknownPayload(MalformedMessage):
    """A message of a kind this version does not know: skipped, and its place in the stream taken as seen."""

    def __init__(self, envelope: Envelope[Any]) -> None:
        super().__init__(f"a payload this version does not know, in stream {envelope.stream!r} at seq {envelope.seq}")
        self.envelope = envelope


class _Kind:
    """How to decode one family."""

    def __init__(self, payload: Any) -> None:
        self.decoder: msgspec.msgpack.Decoder[Envelope[Any]] = msgspec.msgpack.Decoder(Envelope[payload])
        structs = get_args(payload) or (payload,)
        self.tags = {struct.__struct_config__.tag for struct in structs if hasattr(struct, "__struct_config__")}


class Codec:
    """Decodes messages; one for each reader, because it remembers topics."""

    def __init__(self) -> None:
        self._kinds = {family: _Kind(payload) for family, payload in PAYLOADS.items()}
        self._telemetry = {kind: _Kind(payload) for kind, payload in TELEMETRY_PAYLOADS.items()}
        self._plain = _Kind(Any)
        self._by_tag = {struct.__struct_config__.tag: struct for struct in _structs(Message)}
        self._topics: dict[bytes, tuple[str, _Kind]] = {}

    def decode(self, topic: bytes, body: bytes) -> tuple[str, Envelope[Any]]:
        """Give the topic and the envelope; raise `MalformedMessage` for anything else."""
        known = self._topics.get(topic)
        if known is None:
            known = self._learn(topic)
        text, kind = known
        try:
            envelope = kind.decoder.decode(body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as e:
            raise self._why(kind, body, text, e) from e
        if envelope.v != SCHEMA_VERSION:
            raise UnknownPayload(envelope)
        if kind is self._plain:
            envelope = self._told_apart(envelope, text)
        return text, envelope

    def _learn(self, topic: bytes) -> tuple[str, _Kind]:
        try:
            text = topic.decode()
        except UnicodeDecodeError as e:
            raise MalformedMessage(f"a topic of {len(topic)} bytes is not UTF-8") from e
        if len(topic) > _TOPIC_BYTES_MAX or not text.endswith(TERMINATOR):
            raise MalformedMessage(f"a topic of {len(topic)} bytes does not end in {TERMINATOR!r} or is too long")
        family, _, rest = text.removesuffix(TERMINATOR).partition(".")
        if family == "telemetry":
            kind = self._telemetry.get(rest.partition(".")[0], self._plain)
        else:
            kind = self._kinds.get(family, self._plain)
        if len(self._topics) >= _TOPICS_CACHED_MAX:
            self._topics.clear()
        self._topics[topic] = text, kind
        return text, kind

    def _told_apart(self, envelope: Envelope[Any], topic: str) -> Envelope[Any]:
        """Give a plain map the struct its `type` names, where there is one."""
        payload = envelope.payload
        tag = payload.get("type") if isinstance(payload, dict) else None
        struct = self._by_tag.get(tag) if isinstance(tag, str) else None
        if struct is None:
            return envelope
        try:
            return msgspec.structs.replace(envelope, payload=msgspec.convert(payload, struct))
        except msgspec.ValidationError as e:
            raise MalformedMessage(f"a payload on {topic!r} does not fit: {e}") from e

    def _why(self, kind: _Kind, body: bytes, topic: str, error: Exception) -> MalformedMessage:
        """Tell a kind of message from the future from garbage."""
        try:
            envelope = self._plain.decoder.decode(body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return MalformedMessage(f"a body of {len(body)} bytes on {topic!r} is no envelope: {error}")
        payload = envelope.payload
        tag = payload.get("type") if isinstance(payload, dict) else None
        if isinstance(tag, str) and tag not in kind.tags:
            return UnknownPayload(envelope)
        return MalformedMessage(f"a payload on {topic!r} does not fit: {error}")


def _structs(base: type[Message]) -> Iterator[type[Message]]:
    """Every kind of message that was imported."""
    for struct in base.__subclasses__():
        if struct.__struct_config__.tag is not None:
            yield struct
        yield from _structs(struct)
