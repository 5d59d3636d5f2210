"""Documents point at what is there."""

from __future__ import annotations

import re

import pytest

from tests.kit.paths import PROJECT, product_files

PAGES = [*PROJECT.glob("*.md"), *(PROJECT / "docs").rglob("*.md"), PROJECT / "data" / "README.md"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(PROJECT).as_posix())
def test_links_lead_somewhere(page):
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text("utf-8"))
    dead = [each for each in targets if "://" not in each and not (page.parent / each).exists()]

    assert not dead


def test_every_command_is_in_the_reference():
    """The command line's page is compared with its table, so that neither drifts."""
    from cli.main import COMMANDS

    text = (PROJECT / "docs" / "reference" / "cli.md").read_text("utf-8")

    assert [name for name in COMMANDS if f"`fleet {name}" not in text] == []


def test_every_setting_section_is_in_the_reference():
    from libs.settings.load import _SECTIONS

    for page in ("config/fleet.toml", "docs/reference/settings.md"):
        text = (PROJECT / page).read_text("utf-8")

        assert [name for name in _SECTIONS if f"[{name}]" not in text] == [], page


def test_every_decision_is_in_the_index():
    folder = PROJECT / "docs" / "decisions"
    index = (folder / "README.md").read_text("utf-8")

    assert [page.name for page in folder.glob("*.md") if page.name != "README.md" and page.name not in index] == []


#: Spoken of in the docs, and being built.
NOT_YET: set[str] = set()


def test_advice_names_commands_there_are():
    """An error that tells a trader to run what does not exist is worse than one that says nothing."""
    from cli.main import COMMANDS

    sources = [*product_files(), PROJECT / "Makefile", PROJECT / "supervisord.conf", *PAGES]
    named = {
        (command, path.relative_to(PROJECT).as_posix())
        for path in sources
        for command in re.findall(r"`fleet ([a-z][a-z-]+)", path.read_text("utf-8"))
    }
    unknown = sorted(pair for pair in named if pair[0] not in {*COMMANDS, *NOT_YET})

    assert len(named) > 10
    assert unknown == []
