"""Every shipped strategy has its page, and the page its parameters."""

from __future__ import annotations

import pytest

from libs.strategies import registry
from libs.strategies.interface import describe_parameters
from tests.kit.paths import PROJECT

PAGES = PROJECT / "docs" / "strategies"


@pytest.mark.parametrize("name", registry.SHIPPED)
def test_page_says_idea_parameters_and_failure(name):
    page = (PAGES / f"{name}.md").read_text("utf-8")
    rows = {row.split("`")[1]: row for row in page.splitlines() if row.startswith("| `")}

    assert {"## Idea", "## Parameters", "## When it fails"} <= set(page.splitlines())
    assert set(rows) == {parameter.name for parameter in describe_parameters(registry.find(name))}
    for parameter in describe_parameters(registry.find(name)):
        default = str(parameter.default).lower() if parameter.kind == "bool" else f"{parameter.default:g}"
        assert f"| {default} |" in rows[parameter.name]


def test_no_page_is_left_over():
    assert {path.stem for path in PAGES.glob("*.md")} == set(registry.SHIPPED)
