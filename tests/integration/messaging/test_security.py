"""DESIGN §4: who may bind where, and who may connect."""

from __future__ import annotations

import shutil
import socket
import stat
import tempfile
from pathlib import Path

import msgspec
import pytest

from libs.core.errors import RetryLater
from libs.messaging import BusRefused, CommandClient, CommandServer, Publisher, Subscriber
from libs.messaging.endpoints import Endpoints, run_directory
from libs.messaging.keys import KeyStore
from libs.settings import load_settings
from libs.settings.bus import Ports
from tests.kit.journals import ListJournal, Owner
from tests.kit.processes import wait_until


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def settings_with(data_root, **bus):
    settings = load_settings(environment={"TRADEFLEET_DATA": str(data_root)})
    return msgspec.structs.replace(settings, bus=msgspec.structs.replace(settings.bus, **bus))


@pytest.fixture
def tcp(data_root):
    ports = dict(load_settings(environment={}).bus.ports) | {"ingestor": Ports(*free_ports(3))}
    return lambda **bus: settings_with(data_root, transport="tcp", ports=ports, head_interval_ms=100, **bus)


def deliver(settings, reader_settings=None, turns=None):
    """Publish bars until one arrives, or for so many turns; give what arrived."""
    with (
        Publisher.open("ingestor", settings=settings, source=ListJournal()) as publisher,
        Subscriber.open(["candle.1m."], settings=reader_settings or settings) as subscriber,
    ):
        owner, got = Owner(ListJournal(), publisher), []

        def turn():
            publisher.pump()
            owner.candle()
            message = subscriber.poll(0.005)
            if message is not None:
                got.append(message)
            return got

        if turns is None:
            wait_until(turn, "a bar")
        else:
            for _ in range(turns):
                turn()
        return got


def test_ipc_sockets_are_ours_alone(data_root):
    settings = settings_with(data_root)
    with Publisher.open("ingestor", settings=settings) as publisher:
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (data_root / "run").iterdir()}

    assert publisher is not None
    assert stat.S_IMODE((data_root / "run").stat().st_mode) == 0o700
    assert modes == {"ingestor.publish": 0o600, "ingestor.replay": 0o600}


def test_a_directory_open_to_others_is_refused_by_readers(data_root):
    """Whoever can write there could listen in our place."""
    (data_root / "run").mkdir(mode=0o700)
    (data_root / "run").chmod(0o777)

    with pytest.raises(BusRefused, match="0700"):
        Subscriber.open(["candle.1m."], settings=settings_with(data_root))


def test_a_long_data_root_falls_back_to_a_short_private_directory(tmp_path):
    """A Unix socket's path has room for about 100 bytes."""
    deep = tmp_path / ("deep" * 25)
    deep.mkdir(parents=True)
    settings = settings_with(deep, head_interval_ms=100)
    directory = run_directory(deep)

    assert directory.parent == Path(tempfile.gettempdir())
    assert deliver(settings)
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    shutil.rmtree(directory)
    assert run_directory(deep) == directory
    assert run_directory(tmp_path) == tmp_path / "run"


def test_a_fallback_directory_somebody_else_made_is_refused(tmp_path):
    """The system's temporary directory is everyone's: a link or an open directory there is not trusted."""
    deep = tmp_path / ("deep" * 25)
    deep.mkdir(parents=True)
    directory = run_directory(deep)
    trap = tmp_path / "trap"
    trap.mkdir()
    directory.symlink_to(trap)
    try:
        with pytest.raises(BusRefused, match="expected a directory of our own"):
            Publisher.open("ingestor", settings=settings_with(deep))
    finally:
        directory.unlink()


def test_tcp_loopback_needs_no_keys(tcp):
    assert deliver(tcp())


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.7", "::", "*", "example.org"])  # noqa: S104  # it must be refused
def test_any_other_bind_is_refused_without_curve(tcp, host):
    settings = tcp(bind_host=host)

    with pytest.raises(BusRefused, match=r"fleet keys"):
        Publisher.open("ingestor", settings=settings)
    with pytest.raises(BusRefused, match=r"fleet keys"):
        CommandServer.open("ingestor", lambda _request: None, settings=settings)


def test_an_explicit_address_is_checked_as_well(data_root):
    addresses = {"ingestor": {"publish": "tcp://0.0.0.0:5999"}}

    with pytest.raises(BusRefused, match=r"fleet keys"):
        Publisher.open("ingestor", settings=settings_with(data_root, addresses=addresses))


def test_curve_without_a_server_key_is_refused(tcp):
    with pytest.raises(BusRefused, match="fleet keys new server"):
        Publisher.open("ingestor", settings=tcp(curve=True, bind_host="0.0.0.0"))  # noqa: S104  # it must be refused


def test_only_keys_on_the_list_are_served(tcp):
    """CURVE alone admits any key pair; the list decides, and takes effect without a restart."""
    settings = tcp(curve=True)
    keys = KeyStore(settings)
    keys.new("server")
    keys.new("client")

    assert deliver(settings, turns=60) == []
    keys.allow("client")
    assert deliver(settings)
    keys.revoke("client")
    assert deliver(settings, turns=60) == []


def test_a_stranger_without_keys_gets_nothing(tcp):
    settings = tcp(curve=True)
    keys = KeyStore(settings)
    keys.new("server")

    assert deliver(settings, tcp(curve=False), turns=60) == []


def test_a_command_of_a_stranger_is_never_seen(tcp):
    """The replay and command sockets stand behind the same door."""
    settings, seen = tcp(curve=True, command_timeout_ms=300), []
    keys = KeyStore(settings)
    keys.new("server")
    keys.new("client")
    with (
        CommandServer.open("ingestor", seen.append, settings=settings) as server,
        CommandClient("ingestor", settings=settings) as client,
    ):
        with pytest.raises(RetryLater, match="nothing was asked"):
            client.call("halt")
        server.pump()

    assert seen == []


def test_secrets_are_private_and_never_replaced(data_root):
    """A new pair over an old one would lock out everybody who was given the old key."""
    keys = KeyStore(settings_with(data_root))
    keys.new("server")
    secret = keys.directory / "server.key_secret"

    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    with pytest.raises(BusRefused, match="exists"):
        keys.new("server")
    secret.chmod(0o644)
    with pytest.raises(BusRefused, match="others can read"):
        keys.pair("server")


@pytest.mark.parametrize("name", ["", "../server", "a/b", ".hidden", "x" * 65])
def test_a_key_name_cannot_leave_its_directory(data_root, name):
    with pytest.raises(BusRefused):
        KeyStore(settings_with(data_root)).new(name)


def test_unknown_services_and_sockets_are_named(data_root):
    endpoints = Endpoints(settings_with(data_root))

    with pytest.raises(BusRefused, match="scanner"):
        endpoints.address("nobody", "publish")
    with pytest.raises(BusRefused, match="replay"):
        endpoints.address("ingestor", "telepathy")
