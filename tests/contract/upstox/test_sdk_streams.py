"""The unmodified SDK's streamers against the simulator: through a patched address, and through a proxy with TLS."""

from __future__ import annotations

import json
import shutil
import socket
import socketserver
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import upstox_client as sdk
import websocket
from upstox_client.feeder import market_data_feeder_v3, portfolio_data_feeder

from tests.contract.upstox.conftest import GENEROUS, sdk_client
from tests.contract.upstox.test_sdk_rest import KEY, order
from tests.kit.exchange_sim import IN_SESSION, TRADING_TOKEN, Simulator, running_simulator
from tests.kit.processes import wait_until

INDEX = "NSE_INDEX|Nifty 50"
REAL = "wss://api.upstox.com"


class Redirected:
    """Stands where the feeder modules look for `websocket`, and changes nothing but the address."""

    def __init__(self, address: str) -> None:
        self._address = address

    def __getattr__(self, name: str) -> Any:
        return getattr(websocket, name)

    def WebSocketApp(self, url: str, **options: Any) -> Any:
        assert url.startswith(REAL)
        return websocket.WebSocketApp(url.replace(REAL, self._address), **options)


@pytest.fixture
def redirected(sim: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    shim = Redirected(sim.url.replace("http", "ws"))
    monkeypatch.setattr(market_data_feeder_v3, "websocket", shim)
    monkeypatch.setattr(portfolio_data_feeder, "websocket", shim)


class Streamed:
    """A streamer with what it said; ended at the end of the block, whatever state it is in."""

    def __init__(self, streamer: Any) -> None:
        self.streamer = streamer
        self.messages: list[Any] = []
        self.errors: list[Any] = []
        self.closed: list[Any] = []
        self.opened = threading.Event()
        streamer.on("open", self.opened.set)
        streamer.on("message", self.messages.append)
        streamer.on("error", self.errors.append)
        streamer.on("close", lambda *why: self.closed.append(why))
        streamer.auto_reconnect(False)


@contextmanager
def streaming(streamer: Any) -> Iterator[Streamed]:
    streamed = Streamed(streamer)
    streamer.connect()
    try:
        yield streamed
    finally:
        streamer.disconnect()  # its thread looks up within ten seconds and ends


def market(client: Any, keys: list[str], mode: str) -> Any:
    return sdk.MarketDataStreamerV3(client, keys, mode)


def live(streamed: Streamed, key: str) -> list[Any]:
    """The live updates of one key."""
    return [
        message["feeds"][key] for message in list(streamed.messages)
        if message.get("type") == "live_feed" and key in message["feeds"]
    ]  # fmt: skip


def test_order_of_messages_and_shape_of_a_full_feed(client, redirected):
    """market_info, then the snapshot (whose type vanishes, being zero), then updates; int64 arrive as strings."""
    with streaming(market(client, [KEY, INDEX], "full")) as streamed:
        wait_until(lambda: live(streamed, KEY) and live(streamed, INDEX), "updates")

    first, second = streamed.messages[:2]
    assert first["type"] == "market_info"
    assert first["marketInfo"]["segmentStatus"]["NSE_EQ"] == "NORMAL_OPEN"
    assert "type" not in second
    assert set(second["feeds"]) == {KEY, INDEX}
    share, index = second["feeds"][KEY]["fullFeed"]["marketFF"], second["feeds"][INDEX]["fullFeed"]["indexFF"]
    assert set(index) == {"ltpc", "marketOHLC"}
    assert set(index["ltpc"]) == {"ltp", "ltt", "cp"}
    assert len(share["marketLevel"]["bidAskQuote"]) == 5
    assert [row["interval"] for row in share["marketOHLC"]["ohlc"]] == ["1d", "I1"]
    assert share["marketOHLC"]["ohlc"][0]["ts"] == "1769970600000"  # midnight in India
    assert all(isinstance(share[name], str) for name in ("vtt",))
    assert second["feeds"][KEY]["requestMode"] == "full_d5"


@pytest.mark.parametrize(
    ("mode", "inside"),
    [("ltpc", "ltpc"), ("option_greeks", "firstLevelWithGreeks"), ("full_d30", "fullFeed")],
)
def test_other_modes(client, redirected, mode, inside):
    with streaming(market(client, [KEY], mode)) as streamed:
        found = wait_until(lambda: live(streamed, KEY), "an update")

    assert inside in found[0]
    if mode == "full_d30":
        depths = [feed["fullFeed"]["marketFF"].get("marketLevel", {}).get("bidAskQuote", []) for feed in found]
        assert {len(depth) for depth in depths} <= {0, 30}
    if mode == "ltpc":
        assert "requestMode" not in found[0]


def test_subscribe_change_mode_and_unsubscribe(client, sim, redirected):
    def modes() -> dict[str, int]:
        return next((one["subscriptions"] for one in sim.state()["connections"] if one["stream"] == "market"), {})

    with streaming(market(client, [KEY], "ltpc")) as streamed:
        assert streamed.opened.wait(30)
        wait_until(lambda: modes() == {"ltpc": 1}, "the first subscription")
        streamed.streamer.subscribe([INDEX], "full")
        wait_until(lambda: modes() == {"ltpc": 1, "full": 1}, "the second")
        streamed.streamer.change_mode([KEY], "full")
        wait_until(lambda: modes() == {"full": 2}, "the other mode")
        streamed.streamer.unsubscribe([INDEX])
        wait_until(lambda: modes() == {"full": 1}, "the end of one")

    assert not streamed.errors


def test_order_and_position_events(client, redirected):
    streamer = sdk.PortfolioDataStreamer(client, order_update=True, position_update=True)
    with streaming(streamer) as streamed:
        assert streamed.opened.wait(30)
        order_id = sdk.OrderApiV3(client).place_order(order(tag="events")).data.order_ids[0]

        def events() -> list[Any]:
            return [json.loads(text) for text in list(streamed.messages)]

        wait_until(lambda: any(one.get("status") == "complete" for one in events()), "the order to be complete")
        wait_until(lambda: any(one["update_type"] == "position" for one in events()), "the position")
        mine = [one for one in events() if one.get("order_id") == order_id]

    assert [one["status"] for one in mine][:4] == [
        "put order req received", "validation pending", "open pending", "open",
    ]  # fmt: skip
    assert mine[-1]["filled_quantity"] == 10
    assert mine[-1]["instrument_key"] == mine[-1]["instrument_token"] == KEY
    assert mine[-1]["tag"] == "events"


def test_dead_token_is_refused_at_the_handshake(sim, redirected):
    with streaming(market(sdk_client(sim.url, "no token of yours"), [KEY], "ltpc")) as streamed:
        wait_until(lambda: streamed.errors, "the refusal")

    assert "401" in str(streamed.errors[0])


def test_refused_authorisation_has_its_status(client, sim, redirected):
    sim.add_fault("authorize_refused", stream="market", status=403, count=1)
    with streaming(market(client, [KEY], "ltpc")) as streamed:
        wait_until(lambda: streamed.errors, "the refusal")

    assert "403" in str(streamed.errors[0])


# -- the third way: nothing of the SDK is touched, a proxy takes its connections to the simulator


class Tunnel(socketserver.BaseRequestHandler):
    """A proxy that knows CONNECT and has one destination for everybody."""

    def handle(self) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            piece = self.request.recv(4096)
            if not piece:
                return
            head += piece
        self.server.asked.append(head.split()[1].decode())
        with socket.create_connection(("127.0.0.1", self.server.destination)) as onward:
            self.request.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            back = threading.Thread(target=pump, args=(onward, self.request), daemon=True)
            back.start()
            pump(self.request, onward)
            back.join(30)


def pump(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        for end in (source, target):
            end.close()


class Proxy(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False

    def __init__(self, destination: int) -> None:
        super().__init__(("127.0.0.1", 0), Tunnel)
        self.destination = destination
        self.asked: list[str] = []


def openssl(directory: Path, *words: str) -> None:
    subprocess.run(["openssl", *words], cwd=directory, check=True, capture_output=True, timeout=60)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate authority of our own, and its certificate for the broker's names."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed: no certificate can be made for the proxy way")
    directory = tmp_path_factory.mktemp("tls")
    (directory / "names").write_text(
        "subjectAltName=DNS:api.upstox.com,DNS:api-hft.upstox.com\nkeyUsage=digitalSignature\nbasicConstraints=CA:FALSE\n"
    )
    openssl(directory, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca.key", "-out", "ca.pem",
            "-subj", "/CN=test authority", "-days", "2", "-addext", "keyUsage=critical,keyCertSign")  # fmt: skip
    openssl(directory, "req", "-newkey", "rsa:2048", "-nodes", "-keyout", "key.pem", "-out", "request.pem",
            "-subj", "/CN=api.upstox.com")  # fmt: skip
    openssl(directory, "x509", "-req", "-in", "request.pem", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
            "-out", "certificate.pem", "-days", "2", "-extfile", "names")  # fmt: skip
    return directory


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def proxied(certificates: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Any, Proxy, Simulator]]:
    tls_port = free_port()
    tls = {
        "TRADEFLEET_EXCHANGE_SIM_TLS_PORT": str(tls_port),
        "TRADEFLEET_EXCHANGE_SIM_TLS_CERTIFICATE_PATH": str(certificates / "certificate.pem"),
        "TRADEFLEET_EXCHANGE_SIM_TLS_KEY_PATH": str(certificates / "key.pem"),
    }
    with running_simulator(start=IN_SESSION, **GENEROUS, **tls) as simulator, Proxy(tls_port) as proxy:
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{proxy.server_address[1]}"
        for name in ("no_proxy", "NO_PROXY", "HTTPS_PROXY"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("https_proxy", address)
        configuration = sdk.Configuration()
        configuration.host, configuration.order_host = "https://api.upstox.com", "https://api-hft.upstox.com"
        configuration.access_token = TRADING_TOKEN
        configuration.proxy, configuration.ssl_ca_cert = address, str(certificates / "ca.pem")
        yield sdk.ApiClient(configuration), proxy, simulator
        proxy.shutdown()


def test_the_sdk_as_installed_through_a_proxy(proxied):
    """Default hosts, default TLS, default code: what the broker's own servers would see."""
    client, proxy, _ = proxied
    answer = sdk.OrderApiV3(client).place_order(order())
    book = sdk.OrderApi(client).get_order_book("2.0").data
    with streaming(market(client, [KEY], "full")) as streamed:
        wait_until(lambda: live(streamed, KEY), "updates")

    assert [row.order_id for row in book] == answer.data.order_ids
    assert set(proxy.asked) == {"api-hft.upstox.com:443", "api.upstox.com:443"}


def test_tls_is_the_authoritys(certificates, proxied):
    """The proxy way proves something only if the certificate is checked: another authority's is refused."""
    _, proxy, _ = proxied
    context = ssl.create_default_context()
    with (
        socket.create_connection(("127.0.0.1", proxy.destination)) as plain,
        pytest.raises(ssl.SSLCertVerificationError),
    ):
        context.wrap_socket(plain, server_hostname="api.upstox.com")
