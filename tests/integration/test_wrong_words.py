"""Words that cannot be meant end every command with 2, says docs/reference/cli.md; what is not there with 4."""

from __future__ import annotations

import pytest

from tests.kit.commands import fleet_here
from tests.kit.roots import copy_stores

BACK = ("--from", "2026-02-05", "--to", "2026-02-02")
WRONG = [
    (("candles", "ACME", "--timeframe", "7m"), "invalid choice"),
    (("candles", "ACME", "--from", "2026-22-02"), "expected a datetime"),
    (("candles", "ACME", *BACK), "is after --to"),
    (("candles", "ACME", "--last", "5", "--from", "2026-02-02"), "--last takes one symbol and no --from"),
    (("candles", "../x"), "expected letters"),
    (("candles", "ACME", "--exchange", "../x"), "expected a word such as 'nse'"),
    (("candles", "ACME", "--last", "-1"), "0 at least"),
    (("candles", "ACME", "--format", "parquet"), "give it a file with --out"),
    (("candles", "ACME", "--out", "rows.txt"), "its name does not say the format"),
    (("query", "SELECT 1", "--from", "soon"), "expected a datetime"),
    (("query", "SELECT 1", "--from", "2026-02-03", "--to", "2026-02-02"), "is after --to"),
    (("query", "SELECT 1", "--from", "2026-02-03T10:00", "--to", "2026-02-03T09:00"), "lies after"),
    (("coverage", *BACK), "is after --to"),
    (("coverage", "--from", "yesterday"), "'yesterday' is no date; expected one such as 2026-02-02"),
    (("coverage", "--symbols", "../x"), "symbol '../x'"),
    (("db", "export", "market", "--out", "nowhere", *BACK), "is after --to"),
    (("backup", "market", "--day", "today"), "is no date"),
    (("coverage", "--min", "101"), "from 0 to 100"),
    (("coverage", "--exchange", "mars"), "no such calendar; there are nse"),
    (("calendar", "--exchange", "mars"), "no such calendar; there are nse"),
    (("calendar", "--days", "0"), "1 at least"),
    (("rollover", "--exchange", "mars"), "no such calendar; there are nse"),
    (("rollover", "--date", "2026-02-30"), "is no date"),
    (("history", "fetch", "--symbols", "ACME", *BACK), "is after --to"),
    (("history", "fetch", "--symbols", ",", "--from", "2026-02-02"), "expected symbols"),
    (("import", "candles", "rows.csv", "--map", "close"), "expected FIELD=COLUMN"),
    (("import", "candles", "rows.csv", "--tz", "Mars"), "time zone 'Mars'"),
    (("import", "candles", "rows.csv", "--exchange", "../x"), "exchange '../x'"),
    (("migrate", "old.db", "--tz", "Mars"), "time zone 'Mars'"),
    (("migrate", "old.db", "--exchange", "../x"), "exchange '../x'"),
    (("feed", "candles", "--timeframe", "7m"), "invalid choice"),
    (("feed", "candles", "--timeframe", "1h"), "invalid choice"),
    (("feed", "ticks", "--count", "0"), "1 at least"),
    (("keys", "new", "../x"), "is no name for a key"),
    (("orders", "modify", "tf-1"), "give --price, --quantity or --trigger"),
    (("orders", "--limit", "0"), "1 at least"),
    (("reconcile", "--settle", "tf-1"), "needs --reason"),
    (("reconcile", "--reason", "looked"), "--reason goes with --settle"),
    (("replay", "--date", "2026-02-02", "--into", "{root}"), "is the recording's own data root"),
    (("replay", "--date", "2026-02-02", "--into", "other", "--speed", "-1"), "0 at least"),
    (("parity", "--date", "2026-02-02", "--strategy", "nosuch"), "no strategy 'nosuch'; there are sma_cross"),
    (("parity", "--date", "2026-02-02", "--strategy", "confluence"), "name its symbols"),
    (("parity", "--date", "2026-02-02", "--timeout", "-1"), "0 at least"),
    (("parity", *BACK), "is before --from"),
    (("sim", "faults", "add", "latency", "slow"), "expected NAME=VALUE"),
    (("instruments", "search", "x", "--limit", "-1"), "1 at least"),
    (("analytics", "update", *BACK), "is after --to"),
    (("analytics", "update", "--timeframe", "7m"), "expected one of 1m, 5m"),
    (("analytics", "show", "ACME", "--timeframe", "7m"), "expected one of 1m, 5m"),
    (("new", "strategy", "Bad-Name"), "cannot name a strategy"),
    (("eod", "--compare", "-1"), "0 at least"),
    (("logs", "ingestor", "-n", "-1"), "0 at least"),
    (("user", "token", "a", "--days", "-1"), "0 at least"),
]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("words") / "data"
    copy_stores(root)
    return root


@pytest.mark.parametrize(("words", "said"), WRONG, ids=[" ".join(words) for words, _ in WRONG])
def test_what_cannot_be_meant_is_wrong_usage(root, tmp_path, monkeypatch, words, said):
    """Whatever the stores hold: nobody has to read the text to know that the same words will never do."""
    monkeypatch.chdir(tmp_path)
    done = fleet_here(*(word.format(root=root) for word in words), TRADEFLEET_DATA=str(root))

    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert said in done.stderr
    assert list(tmp_path.iterdir()) == []
