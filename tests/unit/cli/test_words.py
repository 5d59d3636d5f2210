"""What cannot be meant is wrong usage (exit 2) with a word about it, never an empty answer that looks like all well."""

from __future__ import annotations

import pytest

from tests.kit.commands import fleet_here
from tests.kit.roots import copy_stores


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    data_root = tmp_path_factory.mktemp("words") / "data"
    copy_stores(data_root)
    return data_root


BACKWARDS = ("--from", "2026-02-03", "--to", "2026-02-02")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("coverage", *BACKWARDS, "--min", "99"), "--from 2026-02-03 is after --to 2026-02-02"),
        (("coverage", "--from", "yesterday"), "'yesterday' is no date; expected one such as 2026-02-02"),
        (("coverage", "--symbols", "../x"), "symbol '../x'"),
        (("db", "export", "market", "--out", "nowhere", *BACKWARDS), "is after"),
        (("history", "fetch", "--symbols", "TCS", *BACKWARDS), "is after"),
        (("rollover", "--date", "2026-02-30"), "is no date"),
        (("backup", "market", "--day", "today"), "is no date"),
        (("query", "SELECT 1", *BACKWARDS), "is after"),
        (("query", "SELECT 1", "--from", "soon"), "start 'soon': expected"),
        (("query", "SELECT 1", "--from", "2026-02-03T10:00", "--to", "2026-02-03T09:00"), "lies after"),
        (("candles", "TCS", *BACKWARDS), "is after"),
        (("candles", "TCS", "--out", "rows.xls"), "add --format"),
        (("import", "candles", "TCS.csv", "--tz", "Mars"), "time zone 'Mars': expected a name such as"),
        (("migrate", "old.db", "--tz", "Mars"), "time zone 'Mars'"),
        (("migrate", "old.db", "--exchange", "../x"), "exchange '../x'"),
        (("migrate",), "no SOURCE was given"),
        (("import", "candles", "TCS.csv", "--map", "close"), "--map close: expected FIELD=COLUMN"),
        (("import", "candles", "TCS.csv", "--exchange", "../x"), "exchange '../x'"),
    ],
)
def test_words_that_cannot_be_meant(root, words, said):
    done = fleet_here(*words, "--data-root", root)

    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr


def test_a_bare_date_in_to_is_that_whole_day(root):
    done = fleet_here("candles", "TCS", "--from", "2026-02-02", "--to", "2026-02-02", "--data-root", root)

    assert (done.returncode, done.stderr) == (0, "not there: 1 of 1 trading days: 2026-02-02\n0 rows\n")
