"""`fleet calendar` in words and in JSON."""

from __future__ import annotations

import json

import pytest

from cli.main import main


@pytest.mark.parametrize(
    ("day", "words"),
    [
        ("2026-02-02", "Mon 2026-02-02 nse: 09:15 to 15:30, 375 minutes\n"),
        ("2026-02-07", "Sat 2026-02-07 nse: closed (weekend)\n"),
        ("2026-01-26", "Mon 2026-01-26 nse: closed (Republic Day)\n"),
        ("2024-03-02", "Sat 2024-03-02 nse: 09:15 to 10:00 and 11:30 to 12:30, 105 minutes (Switch-over"),
        ("2026-08-03", "Mon 2026-08-03 nse: 09:15 to 15:30, closing auction 15:15 to 15:35, 375 minutes\n"),
        ("2027-01-04", "ASSUMED: the data ends on 2026-12-31"),
    ],
)
def test_a_date_in_words(capsys, day, words):
    assert main(["calendar", "--date", day]) == 0
    assert words in capsys.readouterr().out


def test_dates_as_json_lines(capsys):
    assert main(["calendar", "--date", "2026-01-25", "--days", "3", "--json"]) == 0

    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(row["date"], row["open"]) for row in rows] == [
        ("2026-01-25", False), ("2026-01-26", False), ("2026-01-27", True),
    ]  # fmt: skip
    assert rows[1]["reason"] == "Republic Day"
    assert rows[2]["minutes"] == 375


def test_unknown_exchange_fails_with_a_sentence(capsys):
    assert main(["calendar", "--exchange", "nope"]) == 2
    assert "no such calendar" in capsys.readouterr().err
