"""The broker's client reaches the host of its profile, verified, once, with the right token, or not at all."""

from __future__ import annotations

import socket
import ssl
import threading

import pytest
import upstox_client

from libs.core.errors import Corrupt, OutcomeUnknown, RetryLater
from libs.settings import Settings
from libs.settings.upstox import Upstox
from libs.upstox.credentials import Credentials, NoCredentials, Scope
from libs.upstox.hosts import WrongHost, resolve_hosts
from libs.upstox.session import BrokerSession


def settings(profile: str, **upstox: object) -> Settings:
    return Settings(profile=profile, data_root="/nowhere", upstox=Upstox(**upstox))


@pytest.mark.parametrize(
    ("profile", "upstox"),
    [
        ("demo", {"api_url": "https://api.upstox.com"}),
        ("demo", {"order_url": "https://api-hft.upstox.com"}),
        ("demo", {"stream_url": "wss://api.upstox.com"}),
        ("demo", {"api_url": "http://192.0.2.1:9100"}),
        ("live", {"api_url": "http://127.0.0.1:9100"}),
        ("live", {"order_url": "http://localhost:9100"}),
        ("live", {"stream_url": "ws://[::1]:9100"}),
        ("live", {"api_url": "http://api.upstox.com"}),
        ("paper", {"stream_url": "ws://api.upstox.com"}),
        ("live", {"api_url": "api.upstox.com"}),
    ],
)
def test_wrong_host_is_refused(profile, upstox):
    """A demo order at the real broker, or a real one at the simulator, never leaves the process."""
    with pytest.raises(WrongHost):
        resolve_hosts(settings(profile, **upstox))


def test_defaults_are_the_simulator_and_the_broker():
    assert resolve_hosts(settings("demo")).orders == "http://127.0.0.1:9100"
    assert resolve_hosts(settings("demo")).streams == "ws://127.0.0.1:9100"
    assert resolve_hosts(settings("live")) == (
        "https://api.upstox.com", "https://api-hft.upstox.com", "wss://api.upstox.com", "https://assets.upstox.com",
    )  # fmt: skip


def test_sandbox_or_other_host_of_the_shared_configuration_is_noticed():
    """The SDK copies its first configuration for ever: a stranger's must not send our orders elsewhere."""
    session = BrokerSession.open(settings("demo"), Scope.TRADING, {})
    session.check_hosts()
    session.client.configuration.host = "https://api.upstox.com"
    with pytest.raises(Corrupt, match=r"api\.upstox\.com"):
        session.authorize()


def test_first_configuration_of_somebody_else_does_not_decide():
    """Whoever made a sandbox configuration first, ours has our hosts and is no sandbox."""
    upstox_client.Configuration.set_default(None)
    upstox_client.Configuration(sandbox=True)
    try:
        session = BrokerSession.open(settings("demo"), Scope.TRADING, {})
        session.check_hosts()
        assert session.client.configuration.verify_ssl
    finally:
        upstox_client.Configuration.set_default(None)


def test_streams_verify_their_peer():
    options = BrokerSession.open(settings("live"), Scope.MARKET_DATA, {}).ssl_options()

    assert options["cert_reqs"] == ssl.CERT_REQUIRED
    assert options["check_hostname"]
    assert options["ca_certs"]


@pytest.fixture
def silent_port():
    """A server that takes requests and never answers; counts them."""
    server = socket.create_server(("127.0.0.1", 0))
    taken: list[socket.socket] = []

    def take() -> None:
        while True:
            try:
                taken.append(server.accept()[0])
            except OSError:
                return

    threading.Thread(target=take, daemon=True).start()
    yield server.getsockname()[1], taken
    server.close()
    for connection in taken:
        connection.close()


def test_write_without_answer_is_unknown_and_sent_once(silent_port):
    """F6: the SDK would send a cancel four times; a time-out is no failure."""
    port, taken = silent_port
    made = settings("demo", api_url=f"http://127.0.0.1:{port}", read_timeout_s=1)
    session = BrokerSession.open(made, Scope.TRADING, {})
    session.authorize()
    orders = upstox_client.OrderApiV3(session.client)
    with pytest.raises(OutcomeUnknown):
        session.call(orders.cancel_order, "o-1", writes=True)
    with pytest.raises(RetryLater):
        session.call(upstox_client.OrderApi(session.client).get_order_book, "2.0")

    assert len(taken) == 2


def test_read_only_token_is_preferred_for_market_data(tmp_path):
    """The ingestor never holds the trading token when there is another."""
    environment = {"UPSTOX_ACCESS_TOKEN": "trading", "UPSTOX_ANALYTICS_TOKEN": "analytics"}
    credentials = Credentials(settings("live"), environment)
    only_trading = Credentials(settings("live"), {"UPSTOX_ACCESS_TOKEN": "trading"})

    assert credentials.token(Scope.MARKET_DATA) == "analytics"
    assert credentials.token(Scope.TRADING) == "trading"
    assert only_trading.token(Scope.MARKET_DATA) == "trading"
    with pytest.raises(NoCredentials, match="UPSTOX_ACCESS_TOKEN"):
        Credentials(settings("live"), {"UPSTOX_ANALYTICS_TOKEN": "analytics"}).token(Scope.TRADING)


def test_real_token_never_goes_to_the_simulator():
    environment = {"UPSTOX_ACCESS_TOKEN": "real", "UPSTOX_ANALYTICS_TOKEN": "real"}

    assert Credentials(settings("demo"), environment).token(Scope.TRADING) == "simulated-trading-token"


def test_token_file_is_private_and_read_at_every_connect(tmp_path):
    file = tmp_path / "token"
    file.write_text("first\n")
    file.chmod(0o600)
    session = BrokerSession.open(settings("live", analytics_token_file=str(file)), Scope.MARKET_DATA, {})
    session.authorize()
    assert session.client.configuration.access_token == "first"
    file.write_text("second\n")
    session.authorize()
    assert session.client.configuration.access_token == "second"
    file.chmod(0o640)
    with pytest.raises(NoCredentials, match="chmod 600"):
        session.authorize()


def test_session_threads_end():
    """The SDK starts a pool of threads that nobody uses."""
    before = threading.active_count()
    sessions = [BrokerSession.open(settings("demo"), Scope.TRADING, {}) for _ in range(3)]
    for session in sessions:
        session.client.pool.join()

    assert threading.active_count() <= before
