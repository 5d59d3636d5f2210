"""G4: the report stands alone, has every part, and says what the run's file says."""

from __future__ import annotations

import re
from datetime import date
from html.parser import HTMLParser

import numpy as np
import pytest

from libs.calendar import Calendar
from services.backtest import BacktestRunner, reading
from services.backtest.charts import histogram, line_chart
from services.backtest.report import render
from tests.kit.backtest import FIRST, runner_manager, walk
from tests.kit.market_days import close_day
from tests.kit.roots import copy_stores

#: Thirty days make a rolling ratio; only the last is whole, for each costs time.
DAYS = Calendar.load("nse").trading_days(FIRST, date(2026, 3, 20))[-31:]


class Page(HTMLParser):
    """Collects tags, and what a page could load from elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.tags, self.loads, self.text, self.open = [], [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.loads += [value for name, value in attrs if name in {"src", "href", "srcset", "data"}]
        if tag not in {"meta", "br"}:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A run of some weeks over two months, and its report."""
    root = tmp_path_factory.mktemp("report") / "data"
    copy_stores(root)
    rng = np.random.default_rng(1)
    for day in DAYS:
        close_day(root, day, walk("M&M", day, rng, 375 if day == DAYS[-1] else 30))
    db = runner_manager(root)
    run_id = BacktestRunner(db).run("sma_cross", ["M&M"], DAYS[0], DAYS[-1], parameters={"fast": 5, "slow": 12})
    return db, run_id, render(db, run_id)


def test_report_stands_alone_and_tells_the_run(made):
    """Every tag closes, nothing is loaded, every fill of the last stretch is a mark on the candles, in its place."""
    db, run_id, text = made
    page = Page()
    page.feed(text)
    fills = reading.trades(db, run_id)
    shown = "".join(page.text)

    assert page.open == []
    assert (page.loads, re.findall(r"https?://|@import|url\(|<script", text)) == ([], [])
    headings = ("Figures", "Equity", "Drawdown", "Months", "Rolling Sharpe", "Exposure", "Trades", "By symbol", "Costs",
                "Data quality", "Parameters", "Log")  # fmt: skip
    assert [name for name in headings if f"<h2>{name}" not in text] == []
    assert "M&M" in shown
    assert run_id in shown
    marks = [attrs["class"] for tag, attrs in page.tags if tag == "polygon" and attrs["class"] in {"buy", "sell"}]
    late = [fill for fill in fills if (fill["timestamp"].date(), fill["timestamp"].hour) >= (DAYS[-1], 11)]
    assert late
    assert marks[-len(late) :] == [fill["side"] for fill in late]
    fees = sum(fill["fees_paise"] for fill in fills) / 100
    assert f"{fees:,.2f}" in shown
    figures = reading.describe(db, run_id)["metrics"]
    for scope in ("", "benchmark"):
        for key, digits in (("return_ratio", ".2%"), ("sharpe", ",.2f"), ("volatility", ".2%"), ("cagr", ".2%")):
            assert f"{figures[scope][key]:{digits}}" in shown, f"{key} of {scope or 'the run'} is not on the page"
    for scope in ("", "benchmark"):
        assert f"{figures[scope]['drawdown_max_daily_ratio']:.2%}" in shown
    for key, digits in (
        ("trades", ",.0f"),
        ("win_rate", ".2%"),
        ("profit_factor", ",.2f"),
        ("drawdown_max_ratio", ".2%"),
    ):
        assert f"{figures[''][key]:{digits}}" in shown, key
    assert f"{figures['']['return_month_2026-02']:.2%}" in shown


#: Of each chart: its heading, whether all that is drawn lies within it, how long its line is, how many marks it has.
_CHARTS = """
return [...document.querySelectorAll('svg')].map((svg) => {
  const all = svg.getBoundingClientRect(), line = svg.querySelector('polyline');
  const drawn = [...svg.querySelectorAll('polyline, polygon, rect')].map((each) => each.getBoundingClientRect());
  const inside = drawn.every((each) => each.left >= all.left - 3 && each.right <= all.right + 3
    && each.top >= all.top - 9 && each.bottom <= all.bottom + 9);
  return [svg.closest('div').previousElementSibling.textContent, drawn.length > 0 && inside,
    line ? line.getTotalLength() : 0, svg.querySelectorAll('polygon.buy, polygon.sell').length];
})"""


def test_report_is_drawn_in_a_browser_without_a_network(made, tmp_path, browser):
    """Opened from the disk: nothing is asked for, nothing complains, every chart is there, at a desk and on a phone."""
    db, run_id, text = made
    page = tmp_path / "report.html"
    page.write_text(text, "utf-8")
    browser.get_log("browser")
    found = {}
    try:
        browser.execute_cdp_cmd("Network.enable", {})
        browser.execute_cdp_cmd("Network.setBlockedURLs", {"urls": ["http://*", "https://*", "ws://*", "wss://*"]})
        for width in (1200, 390):
            size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
            browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
            browser.get(page.as_uri())
            found[width] = browser.execute_script(_CHARTS)
            asked, across = browser.execute_script(
                "return [performance.getEntriesByType('resource').map((each) => each.name),"
                " document.documentElement.scrollWidth]"
            )
            assert (asked, browser.get_log("browser")) == ([], [])
            assert across <= width, "the page goes beyond the screen"
        rows = browser.execute_script("return [...document.querySelectorAll('tr')].map((row) => row.innerText)")
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        browser.execute_cdp_cmd("Network.setBlockedURLs", {"urls": []})
        browser.execute_cdp_cmd("Network.disable", {})
        browser.get("about:blank")

    headings = ["Equity, rupees", "Drawdown", "Rolling Sharpe, 10 days", "Exposure, of equity",
                "Trades, rupees before charges", "Trades on M&M"]  # fmt: skip
    last = [
        fill
        for fill in reading.trades(db, run_id)
        if (fill["timestamp"].date(), fill["timestamp"].hour) >= (DAYS[-1], 11)
    ]
    for charts in found.values():
        assert [(name, fits) for name, fits, *_ in charts] == [(name, True) for name in headings]
        lines = {name: length for name, _, length, _ in charts}
        assert min(lines["Equity, rupees"], lines["Rolling Sharpe, 10 days"], lines["Exposure, of equity"]) > 800
        assert charts[-1][3] >= len(last) > 0, "trades on the candles"
    year = next(row for row in rows if row.startswith("2026"))
    assert year.count("%") == 2, f"February and March: {year}"


def test_a_scale_is_marked_by_round_numbers_that_differ():
    """A fall of two hundredths of a percent is no fall from 0.0 % to 0.0 %."""
    for values, marks in (
        (np.array([0.0, -0.0002]), ["-0.020%", "-0.015%", "-0.010%", "-0.005%", "0.000%"]),
        (np.array([0.0, 0.0]), ["-1.0%", "-0.5%", "0.0%", "0.5%", "1.0%"]),
        (np.array([0.0, -0.25]), ["-25%", "-20%", "-15%", "-10%", "-5%", "0%"]),
    ):
        drawn = line_chart(values, ["a", "b"], kind="area", percent=True)
        assert re.findall(r'text-anchor="end">([^<]*%)</text>', drawn) == marks


def test_no_bar_of_the_distribution_has_gains_and_losses():
    drawn = histogram(np.array([-900.0, -20.0, 5.0, 40.0]))
    titles = re.findall(r'class="(up|down)"[^>]*><title>(-?[\d,]+) to (-?[\d,]+): (\d+)', drawn)

    assert sum(int(count) for *_, count in titles) == 4
    assert all((side == "down") == (int(high.replace(",", "")) <= 0) for side, _, high, _ in titles)
