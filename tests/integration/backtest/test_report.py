"""G4: the report stands alone, has every part, and says what the run's file says."""

from __future__ import annotations

import re
from html.parser import HTMLParser

from services.backtest import BacktestRunner, reading
from services.backtest.report import render
from tests.kit.backtest import FIRST, LAST, make_history, runner_manager


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


def test_report_stands_alone_and_tells_the_run(tmp_path):
    """Every tag closes, nothing is loaded, every fill of the last stretch is a mark on the candles, in its place."""
    root = make_history(tmp_path / "data", ("M&M",))
    db = runner_manager(root)
    run_id = BacktestRunner(db).run("sma_cross", ["M&M"], FIRST, LAST)
    text = render(db, run_id)
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
    late = [fill for fill in fills if (fill["timestamp"].date(), fill["timestamp"].hour) >= (LAST, 11)]
    assert marks[-len(late) :] == [fill["side"] for fill in late]
    fees = sum(fill["fees_paise"] for fill in fills) / 100
    assert f"{fees:,.2f}" in shown
    figures = reading.describe(db, run_id)["metrics"]
    for scope in ("", "benchmark"):
        for key, digits in (("return_ratio", ".2%"), ("sharpe", ",.4g"), ("volatility", ".2%"), ("cagr", ".2%")):
            assert f"{figures[scope][key]:{digits}}" in shown, f"{key} of {scope or 'the run'} is not on the page"
    for key, digits in (
        ("trades", ",.4g"),
        ("win_rate", ".2%"),
        ("profit_factor", ",.4g"),
        ("drawdown_max_ratio", ".2%"),
    ):
        assert f"{figures[''][key]:{digits}}" in shown, key
    assert f"{figures['']['return_month_2026-02']:.2%}" in shown
