"""The ZeroMQ sockets below publishers, subscribers and commands: bounded, never blocking, closed to the uninvited."""

from __future__ import annotations

import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Self

import zmq

from libs.messaging.endpoints import Endpoints
from libs.messaging.errors import BusRefused
from libs.messaging.security import Admission, identify
from libs.settings.model import Settings

_LINGER_MS = 200
#: Plain integers, because the flags of zmq are slow to combine and these are used for every message.
_NOW, _NOW_AND_MORE, _MORE_TO_COME = int(zmq.NOBLOCK), int(zmq.NOBLOCK | zmq.SNDMORE), int(zmq.RCVMORE)
_RECONNECT_MS, _RECONNECT_MAX_MS = 50, 1000
#: How long a peer may leave a handshake half done, and how soon a vanished tcp peer is noticed.
_HANDSHAKE_MS, _HEARTBEAT_MS = 5000, 2000


class Hub:
    """One context and its sockets, closed together."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._endpoints = Endpoints(settings)
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._sockets: list[zmq.Socket[bytes]] = []
        self._admission: Admission | None = None

    def bound(self, kind: int, service: str, name: str, message_bytes_max: int) -> zmq.Socket[bytes]:
        """Bind one socket of a service; refused beyond this machine without CURVE and its allow-list."""
        address = self._endpoints.address(service, name, bind=True)
        socket = self._socket(kind, message_bytes_max)
        if self._endpoints.needs_keys(address):
            self._admission = self._admission or Admission(self._context, self._settings)
            self._admission.guard(socket)
        try:
            socket.bind(address)
        except zmq.ZMQError as e:
            raise BusRefused(f"{service} cannot bind its {name} socket at {address}: {e.strerror}") from e
        if address.startswith("ipc://"):
            path = Path(address.removeprefix("ipc://"))
            if stat.S_ISSOCK(path.stat().st_mode):
                path.chmod(0o600)
        return socket

    def connected(
        self, kind: int, service: str, name: str, message_bytes_max: int, *, only_when_there: bool = False
    ) -> zmq.Socket[bytes]:
        """Connect to one socket of a service; it need not be there yet.

        What is sent before it is there waits for it, or, with `only_when_there`, cannot be sent.
        """
        address = self._endpoints.address(service, name)
        socket = self._socket(kind, message_bytes_max)
        socket.setsockopt(zmq.IMMEDIATE, int(only_when_there))
        if self._endpoints.needs_keys(address):
            identify(socket, self._settings)
        socket.connect(address)
        return socket

    def close(self) -> None:
        if self._admission is not None:
            self._admission.close()
            self._admission = None
        for socket in self._sockets:
            socket.close()
        self._sockets.clear()
        self._context.term()

    def _socket(self, kind: int, message_bytes_max: int) -> zmq.Socket[bytes]:
        bus = self._settings.bus
        socket = self._context.socket(kind)
        self._sockets.append(socket)
        socket.setsockopt(zmq.LINGER, _LINGER_MS)
        socket.setsockopt(zmq.SNDHWM, bus.send_queue_max)
        socket.setsockopt(zmq.RCVHWM, bus.receive_queue_max)
        socket.setsockopt(zmq.MAXMSGSIZE, message_bytes_max)
        socket.setsockopt(zmq.HANDSHAKE_IVL, _HANDSHAKE_MS)
        socket.setsockopt(zmq.RECONNECT_IVL, _RECONNECT_MS)
        socket.setsockopt(zmq.RECONNECT_IVL_MAX, _RECONNECT_MAX_MS)
        if bus.transport == "tcp":
            socket.setsockopt(zmq.HEARTBEAT_IVL, _HEARTBEAT_MS)
            socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, 3 * _HEARTBEAT_MS)
            socket.setsockopt(zmq.IPV6, 1)
        return socket


class PublisherSockets:
    """XPUB for the streams, ROUTER for replays."""

    def __init__(self, hub: Hub, publish: zmq.Socket[bytes], replay: zmq.Socket[bytes]) -> None:
        self._hub = hub
        self._publish = publish
        self._replay = replay
        # With NODROP a full queue is an error we can count; the message is then sent again to those with room.
        publish.setsockopt(zmq.XPUB_NODROP, 1)

    @classmethod
    def bind(cls, service: str, settings: Settings) -> Self:
        hub = Hub(settings)
        try:
            small = settings.bus.request_bytes_max
            return cls(
                hub, hub.bound(zmq.XPUB, service, "publish", small), hub.bound(zmq.ROUTER, service, "replay", small)
            )
        except BaseException:
            hub.close()
            raise

    def send(self, topic_bytes: bytes, body: bytes) -> bool:
        socket = self._publish
        try:
            socket.send(topic_bytes, _NOW_AND_MORE)
        except zmq.Again:
            return self._send_to_those_with_room(topic_bytes, body)
        socket.send(body, _NOW)
        return True

    def _send_to_those_with_room(self, topic_bytes: bytes, body: bytes) -> bool:
        self._publish.setsockopt(zmq.XPUB_NODROP, 0)
        try:
            self._publish.send_multipart((topic_bytes, body), zmq.NOBLOCK)
        finally:
            self._publish.setsockopt(zmq.XPUB_NODROP, 1)
        return False

    def subscriptions(self, limit: int) -> Iterator[bytes]:
        for _ in range(limit):
            frames = receive(self._publish)
            if frames is None:
                return
            # A client may also send messages upstream; those of one frame that look like a subscription are one.
            yield frames[0] if len(frames) == 1 else b""

    def requests(self, limit: int) -> Iterator[tuple[bytes, bytes]]:
        for _ in range(limit):
            frames = receive(self._replay)
            if frames is None:
                return
            yield frames[0], frames[1] if len(frames) == 2 else b""

    def reply(self, identity: bytes, body: bytes) -> None:
        send_or_drop(self._replay, (identity, body))

    def descriptors(self) -> list[int]:
        return [int(self._publish.fileno()), int(self._replay.fileno())]

    def close(self) -> None:
        self._hub.close()


class FollowerSockets:
    """SUB for an owner's streams, DEALER to ask for replays."""

    def __init__(self, service: str, settings: Settings) -> None:
        self._hub = Hub(settings)
        try:
            size = settings.bus.message_bytes_max
            self._streams = self._hub.connected(zmq.SUB, service, "publish", size)
            self._replay = self._hub.connected(zmq.DEALER, service, "replay", size)
        except BaseException:
            self._hub.close()
            raise

    def subscribe(self, prefix: str) -> None:
        self._streams.setsockopt(zmq.SUBSCRIBE, prefix.encode())

    def unsubscribe(self, prefix: str) -> None:
        self._streams.setsockopt(zmq.UNSUBSCRIBE, prefix.encode())

    def request(self, body: bytes) -> None:
        send_or_drop(self._replay, (body,))

    def message(self) -> tuple[bytes, bytes] | None:
        """Give the next message; what has one frame comes as two empty ones, to be counted as garbage.

        Frames beyond the second come as messages of their own: whoever can send them could have sent those.
        """
        socket = self._streams
        try:
            topic_bytes = socket.recv(_NOW)
        except zmq.Again:
            return None
        if not socket.getsockopt(_MORE_TO_COME):
            return b"", b""
        return topic_bytes, socket.recv()

    def reply(self) -> bytes | None:
        frames = receive(self._replay)
        if frames is None:
            return None
        return frames[0] if len(frames) == 1 else b""

    def descriptors(self) -> list[int]:
        return [int(self._streams.fileno()), int(self._replay.fileno())]

    def register(self, poller: zmq.Poller) -> None:
        poller.register(self._streams, zmq.POLLIN)
        poller.register(self._replay, zmq.POLLIN)

    def close(self) -> None:
        self._hub.close()


def receive(socket: zmq.Socket[bytes]) -> list[bytes] | None:
    """Take the next message off a socket, or None when there is none."""
    # Asking costs a third of the exception that an empty socket raises.
    if not int(socket.getsockopt(zmq.EVENTS)) & zmq.POLLIN:
        return None
    frames = [socket.recv(_NOW)]
    while socket.getsockopt(_MORE_TO_COME):
        frames.append(socket.recv())
    return frames


def send_or_drop(socket: zmq.Socket[bytes], frames: tuple[bytes, ...]) -> bool:
    """Send without waiting; a peer that does not take its messages loses them, and asks again."""
    try:
        socket.send_multipart(frames, zmq.NOBLOCK)
    except (zmq.Again, zmq.ZMQError):
        return False
    return True


class Waiter:
    """Waits for any of a reader's sockets; remembers them, because it is called between messages."""

    def __init__(self) -> None:
        self._poller: zmq.Poller | None = None

    def __call__(self, wires: Sequence[object], timeout_s: float) -> None:
        """Wait until one of the sockets has something to read, at most so long."""
        if self._poller is None:
            self._poller = zmq.Poller()
            for wire in wires:
                if isinstance(wire, FollowerSockets):
                    wire.register(self._poller)
        self._poller.poll(max(int(timeout_s * 1000), 1))
