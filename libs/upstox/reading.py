"""How the feed's socket is read: as much as there is at once, then frame by frame.

The library asks the system for the two bytes of a frame's header, then for its length, then for the rest, and waits
before each frame. Each question lets another thread have the interpreter, and under load it takes milliseconds to get
it back. Here one question brings many frames.
"""

from __future__ import annotations

import selectors
from collections.abc import Callable
from typing import Any

import websocket
from websocket._dispatcher import DispatcherBase

_READ_BYTES = 64 * 1024


class FeedSocket(websocket.WebSocketApp):
    """The library's client, reading ahead."""

    def create_dispatcher(self, ping_timeout: Any, *_: Any) -> Any:
        return _Reading(self, ping_timeout)


class _Reading(DispatcherBase):
    """The loop of the socket's thread."""

    def read(self, _sock: Any, read_callback: Callable[[], bool], check_callback: Callable[[], bool]) -> None:
        client = self.app.sock
        if client is None or client.sock is None:
            return
        ahead = _Ahead(client.frame_buffer)
        sock = client.sock
        pending = getattr(sock, "pending", lambda: 0)  # TLS has a buffer of its own
        with selectors.DefaultSelector() as selector:
            selector.register(sock, selectors.EVENT_READ)
            while self.app.keep_running:
                if (ahead.waiting or pending() or selector.select(self.ping_timeout)) and not read_callback():
                    break
                check_callback()


class _Ahead:
    """Bytes that were read and not asked for yet; takes the place of the frame buffer's source."""

    def __init__(self, frames: Any) -> None:
        self._more: Callable[[int], bytes] = frames.recv
        self._data = b""
        self._at = 0
        frames.recv = self.take

    @property
    def waiting(self) -> bool:
        """Whether there is something to take without asking the system."""
        return self._at < len(self._data)

    def take(self, size: int) -> bytes:
        """Give at most so many bytes, at least one; raises what the socket raises."""
        if self._at == len(self._data):
            self._data, self._at = self._more(_READ_BYTES), 0
        begin = self._at
        self._at = min(begin + size, len(self._data))
        return self._data[begin : self._at]
