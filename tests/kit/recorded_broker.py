"""A broker that says what it was told to say: the broker's documented answers, byte for byte, over a real socket."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class RecordedBroker:
    """`answers` maps "METHOD /path" to (status, body); None: the connection is dropped; a number: silence so long.

    What can be called is, with what was sent, and gives one of these.
    """

    def __init__(self, port: int) -> None:
        self.port = port
        self.answers: dict[str, Any] = {}
        self.asked: list[tuple[str, Any]] = []

    def bodies(self, name: str) -> list[Any]:
        """What was sent to one path."""
        return [body for asked, body in self.asked if asked == name]


@contextmanager
def recorded_broker() -> Iterator[RecordedBroker]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            data = self.rfile.read(length)
            name = f"{self.command} {self.path.partition('?')[0]}"
            asked = json.loads(data) if data and self.command != "DELETE" else self.path
            broker.asked.append((name, asked))
            answer = broker.answers.get(name, (404, {"status": "error", "errors": []}))
            answer = answer(asked) if callable(answer) else answer
            if answer is None or isinstance(answer, (int, float)):
                time.sleep(answer or 0)
                self.close_connection = True
                self.connection.close()
                return
            status, body = answer
            sent = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(sent)))
            self.end_headers()
            self.wfile.write(sent)

        do_GET = do_POST = do_PUT = do_DELETE = _answer  # noqa: N815  # their names, not ours

        def log_message(self, *_: Any) -> None:
            """Quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        broker = RecordedBroker(server.server_address[1])
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield broker
        finally:
            server.shutdown()
            thread.join()
