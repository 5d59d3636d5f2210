"""A runbook names commands as they can be typed: each is given to the command line's own parser."""

from __future__ import annotations

import re
import shlex

import pytest

from cli.main import COMMANDS, _parser
from tests.kit.paths import PROJECT

PAGES = sorted((PROJECT / "docs" / "runbooks").glob("*.md"))
PLACES = {"D": "2026-02-02", "N": "5"}
#: Of another form: the index, and one that is a part of others.
FREE_FORM = {"restore-from-backup.md", "README.md"}


def commands_of(page) -> list[str]:
    text = page.read_text("utf-8")
    found = re.findall(r"`(fleet [a-z-][^`]*)`", text) + re.findall(r"^(fleet [^#\n]*)", text, re.MULTILINE)
    return [each for each in found if "…" not in each and "|" not in each]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_commands_parse(page):
    for command in commands_of(page):
        words = [PLACES.get(word, word) for word in shlex.split(command)[1:]]
        if words[0] == "--version":
            continue
        assert words[0] in COMMANDS, command
        try:
            _parser(words[0]).parse_args(words)
        except SystemExit:
            pytest.fail(f"{page.name}: `{command}` is not what `fleet {words[0]} --help` takes")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_runbook_says_how_it_looks_what_to_do_and_what_good_is(page):
    if page.name in FREE_FORM:
        return
    text = page.read_text("utf-8")

    assert "## Good looks like" in text
    assert "## What to do" in text
    assert "## Symptoms" in text or page.name == "new-machine.md"
    assert f"({page.name})" in (page.parent / "README.md").read_text("utf-8")
