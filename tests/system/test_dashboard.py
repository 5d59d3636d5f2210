"""H1, H2: the dashboard in a real Chromium, at an api that has no fleet beside it; `test_fleet` has one that lives."""

from __future__ import annotations

import tempfile
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys

from libs.contracts import Health, HealthState
from libs.contracts.topics import topic
from libs.core.clock import SystemClock
from libs.messaging import Publisher
from services.api.routes.pages import PAGES
from tests.kit.api import running_api
from tests.kit.browser import Dashboard
from tests.kit.exchange_sim import running_simulator
from tests.kit.paths import PROJECT

AXE = PROJECT / "node_modules" / "axe-core" / "axe.min.js"
#: Every page there is, with the two that are not in the menu.
ALL = (*PAGES, "broker", "login")
#: What can be reached with the keyboard must say so when it is.
_REACHABLE = (
    "return [...document.querySelectorAll('a[href],button,input,select,summary,[tabindex=\"0\"]')]"
    ".filter((each) => !each.disabled && each.checkVisibility()).length"
)
_FOCUSED = (
    "const at = document.activeElement, all = [...document.querySelectorAll('*')], look = getComputedStyle(at);"
    "const shows = look.outlineStyle !== 'none' && parseFloat(look.outlineWidth) >= 2;"
    "return [all.indexOf(at), at === document.body || shows, at.outerHTML.slice(0, 100)]"
)


@contextmanager
def running(**given):
    """An api of the tests' own."""
    with tempfile.TemporaryDirectory(prefix="tf") as folder:
        given["UPSTOX_ACCESS_TOKEN_FILE"] = str(Path(folder) / "token")
        with running_api(Path(folder) / "d", **{f"TRADEFLEET_{name}": value for name, value in given.items()}) as api:
            yield api


@pytest.fixture(scope="module")
def api():
    """An api for which a heartbeat is old soon."""
    with running(RUNTIME_HEARTBEAT_INTERVAL_MS="200") as api:
        yield api


@pytest.fixture
def board(api, browser):
    """A browser that nobody is logged in with."""
    browser.get_log("browser")  # what was said before is not this test's
    return Dashboard(browser, str(api.client.base_url))


@contextmanager
def hung(api):
    """Keep the api's event loop busy for the block, as a fault of ours would."""
    over = threading.Event()
    api.loop.call_soon_threadsafe(over.wait, 60)
    try:
        yield
    finally:
        over.set()


@contextmanager
def beating(api):
    """Beat as the ingestor does, for the block."""
    over, clock = threading.Event(), SystemClock()

    def beat():
        with Publisher.open("ingestor", settings=api.settings, clock=clock) as publisher:
            while not over.wait(0.05):
                health = Health("ingestor", clock.now_us(), HealthState.GREEN, 1)
                publisher.publish(topic("telemetry", "health", "ingestor"), health)
                publisher.pump()

    thread = threading.Thread(target=beat)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def test_a_page_says_what_is_old(api, board):
    """A viewer is offered nothing to do; an api or an ingestor that falls silent is said to be, on the page itself."""
    board.enter("vik")
    board.read("trading/trading.db")
    board.open("risk")
    board.read("Trading is allowed")
    offered = board.buttons()
    board.read("no feed", "live")
    with beating(api):
        board.wait_for(lambda: board.text("live") == "live" and board.text("stale") == "", "a fresh page")
        with hung(api):
            board.read("stale for", "live")
            of_api = board.text("stale")
        board.wait_for(lambda: board.text("live") == "live", "the page to be live again")
    board.read("feed silent", "live")
    of_feed = board.text("stale")

    assert offered == []
    assert "what you see may be old" in of_api
    assert "The ingestor has not been heard" in of_feed


def test_a_page_that_was_left_is_told_no_more(api, board):
    """A browser keeps six connections to one host: streams of pages gone by would be the end of the dashboard."""
    board.enter("vik")
    for page in ("signals", "trading", "logs"):
        board.open(page)
    board.driver.back()
    board.drawn("trading")
    board.wait_for(lambda: board.text("live") not in {"", "connecting…"}, "the stream of a page that came back")

    board.wait_for(lambda: "\ntradefleet_api_pages 1\n" in api.client.get("/metrics").text, "one page to be open")


@pytest.mark.matrix  # the same over HTTP, with all that may go wrong, is in `tests/integration/api`
def test_the_daily_login_at_the_broker(browser):
    """From Settings to the broker's dialog and back, with a token at the end of it; the code leaves the address."""
    with (
        running_simulator(record_ticks=False) as sim,
        running(EXCHANGE_SIM_PORT=str(sim.port), UPSTOX_CLIENT_ID="app-1") as api,
    ):
        log_in_at_the_broker(Dashboard(browser, str(api.client.base_url)))


def log_in_at_the_broker(board):
    board.enter("asha")
    board.open("settings")
    board.read("needs login")
    board.press("Log in at the broker")
    board.drawn("broker")
    board.read("Logged in. Token:")
    address = board.driver.current_url
    board.open("settings")
    board.wait_for(lambda: any(word in board.text() for word in ("Token: valid", "Token: expiring")), "the token")
    board.driver.back()
    board.drawn("broker")
    board.read("The broker sent no code")

    assert address.endswith("/broker")
    assert "code=" not in board.driver.page_source
    assert board.text("notice") == ""


@pytest.mark.matrix
@pytest.mark.timeout(600)  # a dozen pages on a busy machine
def test_every_action_is_reached_with_the_keyboard(board):
    """Tab goes to each link, button and field, in order, and what has the focus shows it."""
    board.enter("asha")
    for page in ALL:
        board.open(page)
        count = board.driver.execute_script(_REACHABLE)
        seen, unseen = [], []
        for _ in range(2 * count + 5):  # a date has a stop for each of its parts
            ActionChains(board.driver).send_keys(Keys.TAB).perform()
            place, shows, what = board.driver.execute_script(_FOCUSED)
            seen.append(place)
            if not shows:
                unseen.append(what)

        assert unseen == [], page
        assert len(set(seen)) >= count, f"{page}: Tab reached {len(set(seen))} of {count}"


@pytest.mark.matrix  # a minute of the suite's ten; `make matrix` has it
@pytest.mark.timeout(900)  # every page twice on a busy machine
def test_every_page_can_be_read_by_everybody(board):
    """Every page is drawn without an error in light and dark, fits a phone, and axe finds no barrier on it."""
    if not AXE.exists():
        pytest.skip("axe-core is not installed (`make setup` had no npm): accessibility was not checked")
    axe = AXE.read_text("utf-8")
    board.enter("asha")
    wrong, barriers, wide = {}, [], []
    for page in ALL:
        for scheme in ("light", "dark"):
            board.look(scheme)
            wrong[page, scheme] = board.open(page)
            board.driver.execute_script(axe)
            found = board.driver.execute_async_script("axe.run({ resultTypes: ['violations'] }).then(arguments[0])")
            barriers += [
                (page, scheme, each["id"], [node["html"][:120] for node in each["nodes"]][:3])
                for each in found["violations"]
            ]
        phone = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
        board.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", phone)
        wide += [page] if board.driver.execute_script("return document.documentElement.scrollWidth > 390") else []
        board.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    severe = [
        line for line in board.driver.get_log("browser") if line["level"] == "SEVERE" and "lightweight" not in str(line)
    ]

    assert set(wrong.values()) == {""}, wrong
    assert barriers == []
    assert wide == []
    assert severe == []
