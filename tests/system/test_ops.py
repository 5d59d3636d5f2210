"""I3, D3: ops catches up what is due, hears who is silent, and an alert reaches a webhook."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

from libs.dbaccess import DatabaseManager, Role
from tests.kit.processes import wait_until
from tests.kit.roots import ROOMY, make_stores
from tests.kit.service import service


class Receiver(BaseHTTPRequestHandler):
    """Keeps what is posted to it."""

    got: list[dict] = []  # noqa: RUF012  # one server a test

    def do_POST(self) -> None:
        self.got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_copies_are_made_and_silence_is_told(data_root):
    make_stores(data_root)
    with DatabaseManager(data_root, Role.EXECUTION_ENGINE).trading_writer():
        pass
    server = HTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    addresses = data_root.parent / "addresses"
    addresses.write_text(f"json://127.0.0.1:{server.server_port}/hook\n")
    addresses.chmod(0o600)
    environment = {
        "TRADEFLEET_DATA": str(data_root), "TRADEFLEET_PROFILE": "demo", "TRADEFLEET_OPS_HEARTBEAT_LOST_S": "1",
        "TRADEFLEET_OPS_WATCHED": "ingestor", "TRADEFLEET_OPS_ALERT_URLS_FILE": str(addresses), **ROOMY,
    }  # fmt: skip
    try:
        with service("ops", environment) as ops:
            ops.start()
            status = ops.wait_for(lambda status: {"health", "config backup"} <= set(status["done"]), "what is due")
            assert status["services"] == {}
            ops.wait_for(lambda status: "ingestor is silent" in status["alerts"], "the alert")
            wait_until(lambda: any("ingestor is silent" in each["title"] for each in Receiver.got), "the webhook")
            assert ops.stop() == 0
            log = ops.log.read_text()
    finally:
        server.shutdown()
        server.server_close()

    assert list((data_root / "backups" / "config").glob("config_*.db"))
    assert str(server.server_port) not in log, "an address is a secret"
