"""The bench's table and page: what they say of goals, and that no bench is forgotten (issue 10)."""

from __future__ import annotations

import ast
from html.parser import HTMLParser

import pytest

from bench.curves import Curve, drawn
from bench.page import page
from bench.table import Measure, interleaved, print_measures
from tests.kit.paths import PROJECT

LINEAR = Curve("reading", "days", "s", (1, 2, 4), (1.0, 2.0, 4.0))
DEARER = Curve("reading <all>", "days", "s", (10_000, 40_000), (1.0, 8.0))


class Elements(HTMLParser):
    """Every element with its attributes, and the text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data


def test_a_missed_goal_is_said_and_makes_the_table_fail(capsys):
    rows = [Measure("bus", "1", "2", 0.5, "0.8", False), Measure("risk", "3", "", None, "", None)]
    assert print_measures(rows) is False
    bus, risk = capsys.readouterr().out.splitlines()
    assert bus.endswith("MISSED")
    assert "0.50x" in bus
    assert "MISSED" not in risk
    assert print_measures(rows[1:]) is True


def test_the_page_counts_goals_and_escapes_what_it_is_given():
    rows = [
        Measure("a <b> & 'c'", "1", "2", 2.0, "1x", True),
        Measure("worse", "1", "2", 0.1, "1x", False),
        Measure("no goal", "1", "", None, "", None),
    ]
    elements = Elements(page(rows, "a machine"))
    assert "1 of 2 goals met" in elements.text
    assert "a <b> & 'c'" in elements.text
    assert "Growth" not in elements.text
    bars = [attributes for tag, attributes in elements.found if tag == "rect"]
    assert [bar["class"] for bar in bars] == ["ours", "worse"]
    assert not any(tag in {"script", "link", "img"} for tag, _ in elements.found), "the page opens offline"


def test_growth_is_drawn_as_a_curve_beside_the_straight_line():
    assert LINEAR.growth == 1.0
    assert DEARER.growth == pytest.approx(2.0)
    rows = [Measure("reading", "", "", each.growth, "at most 1.25x", None, each) for each in (LINEAR, DEARER)]
    elements = Elements(page(rows, "a machine"))
    lines = [attributes for tag, attributes in elements.found if tag == "polyline"]
    assert [len(line["points"].split()) for line in lines] == [3, 2]
    assert not any(tag == "rect" for tag, _ in elements.found), "a curve's ratio is of itself, so it has no bar"
    names = [attributes["aria-label"] for tag, attributes in elements.found if tag == "svg"]
    assert names == ["reading by days", "reading <all> by days"]


def test_the_last_point_of_a_linear_curve_lies_on_the_dashed_line():
    found = Elements(drawn(LINEAR)).found
    (line,) = (attributes for tag, attributes in found if tag == "polyline")
    (dashed,) = (attributes for _, attributes in found if attributes.get("class") == "linear")
    assert line["points"].split()[-1] == f"{dashed['x2']},{dashed['y2']}"


def test_works_run_in_turn_and_their_medians_are_given():
    order: list[str] = []
    ticks = iter(range(0, 100, 5))
    medians = interleaved(
        lambda: order.append("ours"), lambda: order.append("bare"), rounds=3, clock=lambda: float(next(ticks))
    )
    assert order == ["ours", "bare"] * 3
    assert medians == [5.0, 5.0]


def test_every_bench_is_run_by_make_bench():
    tree = ast.parse((PROJECT / "bench" / "__main__.py").read_text())
    (table,) = (node for node in ast.walk(tree) if isinstance(node, ast.AnnAssign) and node.target.id == "BENCHES")
    collected = {key.value for key in table.value.keys}
    modules = [*(PROJECT / "bench").glob("*.py"), PROJECT / "bench" / "peers" / "__main__.py"]
    for path in modules:
        functions = {node.name for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef)}
        if "measures" in functions and path.name != "table.py":
            assert (path.parent.name if path.name == "__main__.py" else path.stem) in collected, f"{path} is left out"
