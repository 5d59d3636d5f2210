"""A fleet operated from its dashboard, in a real browser: an admin's trading day, and what a viewer may not."""

from __future__ import annotations

import httpx
from selenium.webdriver.common.by import By

from tests.kit.acting import add_users, check_audit, check_viewer_is_refused
from tests.kit.api import log_in
from tests.kit.browser import Dashboard
from tests.kit.fleet import WholeFleet


def check_trading_day(fleet: WholeFleet, board: Dashboard) -> None:
    """Log in, watch a candle move, halt and see a signal refused, resume; switch a strategy on and off."""
    add_users(fleet)
    board.enter("asha")
    check_first_visit(board)
    _halt(fleet, board)
    _strategy(fleet, board)


def check_first_visit(board: Dashboard) -> None:
    """The overview tells of ticks, the chart's newest candle makes way for a newer one."""
    board.read("ticks")
    board.open("charts?symbol=RELIANCE")
    board.read("live", "live")
    first = board.wait_for(lambda: _newest(board), "a candle")
    board.wait_for(lambda: _newest(board) != first, "the candle to move")


def check_after_the_day(fleet: WholeFleet, board: Dashboard, day: str) -> None:
    """Start a backtest and open its report, restart a service and see it come back; a viewer is refused all of it."""
    board.enter("asha")
    board.open("backtests")
    board.fill(strategy="SMA cross", symbols="RELIANCE", start=day, end=day)
    board.press("Start")
    board.driver.get(board.wait_for(lambda: _report(board), "the run's report"))
    page = board.driver.find_element(By.TAG_NAME, "body").text
    assert "sma_cross" in page, page[:500]
    assert "RELIANCE" in page, page[:500]

    board.open("overview")
    before = fleet.pids()
    board.press("Restart", beside="Backtest", confirm=True)
    fleet.back("backtest", before)
    board.wait_for(lambda: str(fleet.pids()["backtest"]) in _row(board, "Backtest"), "the new process on the page")
    assert board.text("notice") == ""

    board.enter("vik")
    assert board.buttons() == [], "a viewer is offered what an admin may do"
    assert board.asked("POST", "/api/engine/halt", '{"arguments": {"reason": "vik"}}') == 403
    with httpx.Client(base_url=board.address, timeout=60) as client:
        log_in(client, "vik")
        check_viewer_is_refused(client)
        log_in(client, "asha")
        check_audit(client)


def _newest(board: Dashboard) -> str:
    """The newest candle as it stands in the table below the chart."""
    found = board.driver.find_elements(By.CSS_SELECTOR, "#content tbody tr")
    return str(found[0].text) if found else ""


def _row(board: Dashboard, service: str) -> str:
    rows = board.driver.find_elements(By.CSS_SELECTOR, "#content tbody tr")
    return next((row.text for row in rows if row.text.startswith(service)), "")


def _report(board: Dashboard) -> str | None:
    found = board.driver.find_elements(By.CSS_SELECTOR, "a.report")
    return found[0].get_attribute("href") if found else None


def _halt(fleet: WholeFleet, board: Dashboard) -> None:
    """The kill switch on the page is the engine's; what a strategy says from then on is refused with its reason."""
    board.open("risk")
    board.press("Halt trading")
    board.read("Say why first", "notice")
    board.fill(reason="looked at")
    board.press("Halt trading")
    fleet.wait_for("execution_engine", lambda status: status["state"] == "halted", "trading to be halted")
    board.read("halted", "state")
    board.wait_for(lambda: "Trading state" in board.text() and "Flipper" in board.text(), "a refused signal")
    assert "looked at" in board.text(), "the page does not say why it is halted"
    board.fill(reason="looked at")
    board.press("Resume trading")
    fleet.wait_for("execution_engine", lambda status: status["state"] == "active", "trading to be resumed")
    board.read("trading", "state")


def _strategy(fleet: WholeFleet, board: Dashboard) -> None:
    """A strategy made and switched under Settings is picked up by the scanner that runs."""
    board.open("settings")
    board.press("Add or change one")  # the first: the strategies'
    board.fill(instance="shown", symbols="RELIANCE")
    board.press("Save")
    board.press("Switch on", beside="Shown")
    fleet.wait_for("scanner", lambda status: "shown" in status["instances"], "the scanner to run it")
    board.press("Switch off", beside="Shown")
    fleet.wait_for("scanner", lambda status: "shown" not in status["instances"], "the scanner to end it")
