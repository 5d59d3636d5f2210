"""What the broker's streams have in common: verified, pinging, on a named thread, lost once and never silently."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from libs.upstox.reading import FeedSocket
from libs.upstox.session import BrokerSession


class StreamSocket(FeedSocket):
    """A socket that knows the thread it runs on."""

    thread: threading.Thread


def make_socket(session: BrokerSession, path: str, name: str, ping_interval_s: int, **handlers: Any) -> StreamSocket:
    """Give a socket with the `thread` that will connect it; start that once the socket is where its callbacks look."""
    token = session.client.configuration.auth_settings()["OAUTH2"]["value"]
    socket = StreamSocket(session.hosts.streams + path, header={"Authorization": token}, **handlers)
    # No ping_timeout: it would end the connection by itself; the supervision decides, and counts pongs.
    options = {"sslopt": session.ssl_options(), "ping_interval": ping_interval_s}
    socket.thread = threading.Thread(target=socket.run_forever, kwargs=options, name=name, daemon=True)
    return socket


class LostOnce:
    """Mixed into a streamer of the SDK's: the end of its connection is told once, by `on_lost(detail, refused)`."""

    feeder: Any
    _lost: Callable[[str, bool], None]

    def prepare(self, on_lost: Callable[[str, bool], None]) -> None:
        """Take who is told."""
        self._lost = on_lost
        self._once = threading.Lock()
        self._is_lost = False
        self._error = ""

    def close(self) -> None:
        """End the connection without a word to `on_lost`; the thread is waited for a moment."""
        with self._once:
            self._is_lost = True
        feeder = self.feeder
        if feeder is None or feeder.ws is None:
            return
        feeder.ws.keep_running = False
        sock = feeder.ws.sock
        if sock is not None:
            # Not the polite close: it would wait for an answer from a peer that may be dead.
            sock.shutdown()
        if feeder.ws.thread is not threading.current_thread():
            feeder.ws.thread.join(2.0)

    def handle_error(self, _ws: Any, error: Any) -> None:
        self._error = f"{type(error).__name__}: {error}"[:300]

    def handle_close(self, _ws: Any, code: Any, message: Any) -> None:
        with self._once:
            if self._is_lost:
                return
            self._is_lost = True
        detail = f"close code {code}: {message}" if code else self._error or "closed without a code"
        refused = any(f" {status} " in self._error for status in (401, 403))
        self._lost(detail, refused)
