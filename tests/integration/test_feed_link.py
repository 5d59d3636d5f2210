"""C4: the feed's link over real sockets: a mute peer, a reader that is too slow, a host that is not who it says."""

from __future__ import annotations

import random
import socket
import ssl
import subprocess
import threading
from datetime import date

import msgspec
import pytest

from libs.calendar import Calendar
from libs.contracts.feed import FeedConnected, FeedLost, Frame
from libs.core.clock import SystemClock
from libs.dbaccess import DatabaseManager, Role
from libs.dbaccess.calendars import FollowedCalendar, load_calendar
from libs.feeds import FeedSupervisor
from libs.feeds.upstox import UpstoxFeed
from libs.upstox.credentials import Scope
from libs.upstox.session import BrokerSession
from services.exchange_sim.market.instruments import Listing
from services.ingestor.source import learned_calendar
from tests.kit.exchange_sim import ANALYTICS_TOKEN, running_simulator
from tests.kit.processes import wait_until
from tests.kit.roots import copy_stores, settings

KEYS = {each.symbol: each.key for each in Listing(2, 7).instruments}
CLOCK = SystemClock()


class Link:
    """A feed under supervision, and everything it said."""

    def __init__(self, given, **feed) -> None:
        changed = msgspec.structs.replace(given.feed, backoff_min_ms=60_000, backoff_max_ms=60_000, **feed)
        session = BrokerSession.open(given, Scope.MARKET_DATA, {})
        self.feed = UpstoxFeed(session, changed, CLOCK, KEYS, "nse")
        self.feed.subscribe(list(KEYS))
        self.supervisor = FeedSupervisor(self.feed, changed, CLOCK, random.Random(1), lambda: True)
        self.said: list[object] = []

    def poll(self) -> None:
        self.said += self.supervisor.poll(1000)

    def heard(self, kind: type) -> list[object]:
        self.poll()
        return [event for event in self.said if isinstance(event, kind)]

    def lost(self) -> FeedLost:
        wait_until(lambda: self.heard(FeedLost), "the feed to be given up")
        (event,) = self.heard(FeedLost)
        assert isinstance(event, FeedLost)
        return event


@pytest.fixture(scope="module")
def sim():
    with running_simulator(speed=60, symbols=2, record_ticks=False) as found:
        yield found


@pytest.fixture
def link_to(request):
    def make(url: str, **options) -> Link:
        feed = options.pop("feed", {})
        made = Link(settings(TRADEFLEET_UPSTOX_API_URL=url, **options), **feed)
        request.addfinalizer(made.supervisor.close)
        made.supervisor.start()
        return made

    return make


def test_a_socket_that_is_open_and_mute_is_given_up(sim, link_to):
    """The kernel thinks all is well; nothing but the watchdog would ever notice."""
    link = link_to(sim.url, feed={"ping_interval_s": 1, "pong_timeout_s": 2})
    wait_until(lambda: link.heard(Frame), "frames")
    assert link.supervisor.figures.stalls == 0
    assert link.feed._session.client.configuration.access_token == ANALYTICS_TOKEN, "never the trading token"
    fault = sim.add_fault("mute", stream="market")
    lost = link.lost()
    sim.clear_faults()

    assert fault
    assert (lost.cause, link.supervisor.figures.stalls) == ("stall", 1)
    assert "neither frame nor pong" in lost.detail


def test_a_queue_that_overflows_is_counted_and_loud(sim, link_to):
    """What was taken comes out in order, then the word that more was lost; nothing is dropped in silence."""
    link = link_to(sim.url, feed={"queue_frames_max": 3, "queue_wait_ms": 50})
    wait_until(lambda: link.feed.waiting() > 3, "a reader that does not read to be too slow")
    wait_until(lambda: not link.feed._link.is_open, "the link to be dropped")  # type: ignore[union-attr]
    lost = link.lost()

    assert isinstance(link.said[0], FeedConnected)
    assert link.said[-1] is lost
    assert len(link.said) == 4
    assert (lost.cause, lost.detail) == ("overflow", "3 frames waited for 50 ms")
    assert link.supervisor.figures.overflows == 1


def test_a_self_signed_host_never_sees_the_token(tmp_path, link_to):
    """The SDK itself would hand the bearer token to whoever answers."""
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=127.0.0.1",
         "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", tmp_path / "key", "-out", tmp_path / "cert"],
        check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert", tmp_path / "key")
    seen: list[bytes] = []

    def answer(listening: socket.socket) -> None:
        peer, _ = listening.accept()
        try:
            with context.wrap_socket(peer, server_side=True) as stream:
                seen.append(stream.recv(4096))
        except ssl.SSLError as e:
            seen.append(f"refused: {e.reason}".encode())

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=answer, args=(listening,), daemon=True)
        thread.start()
        lost = link_to(f"https://127.0.0.1:{listening.getsockname()[1]}").lost()
        thread.join(30)

    assert "CERTIFICATE_VERIFY_FAILED" in lost.detail
    assert not any(b"Bearer" in each for each in seen)


def test_the_brokers_word_on_holidays_is_kept_for_every_process(data_root):
    """A holiday that was declared yesterday closes the date for all, also once the broker is not reached any more."""
    copy_stores(data_root)
    today, declared = date(2026, 2, 2), date(2026, 2, 4)
    manager = DatabaseManager(data_root, Role.INGESTOR)
    other, trading_desk = Calendar.load("nse"), FollowedCalendar(data_root, "nse")
    assert trading_desk.session(declared) is not None
    with running_simulator(symbols=2, record_ticks=False, TRADEFLEET_EXCHANGE_SIM_HOLIDAYS=str(declared)) as sim:
        session = BrokerSession.open(settings(TRADEFLEET_UPSTOX_API_URL=sim.url), Scope.MARKET_DATA, {})
        agreed = learned_calendar(session, manager, "nse", today)
    alone = learned_calendar(session, manager, "nse", today)

    assert (agreed.session(declared), agreed.session(today)) == (None, other.session(today))
    assert alone.session(declared) is None
    assert trading_desk.session(declared) is None, "a process that was there before follows"
    assert load_calendar(data_root, "nse").holiday(declared) is not None
