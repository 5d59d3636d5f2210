"""`fleet strategies` and `fleet new strategy`: from an idea's name to a line in the list."""

from __future__ import annotations

import json

import pytest

from cli.main import main
from libs.strategies import registry


@pytest.fixture(autouse=True)
def own_root(data_root, monkeypatch):
    monkeypatch.setenv("TRADEFLEET_DATA", str(data_root))
    return data_root


def test_lists_the_shipped_ones(capsys):
    assert main(["strategies"]) == 0
    lines = capsys.readouterr().out.splitlines()

    assert [line.split()[0] for line in lines[1:]] == list(registry.SHIPPED)
    assert "fast=10 (2..500)" in lines[1]


def test_new_strategy_is_listed_and_runs(own_root, capsys):
    """E1: one command, one file, and it is there."""
    assert main(["new", "strategy", "morning_gap"]) == 0
    assert main(["strategies", "--json"]) == 0
    printed = capsys.readouterr().out
    listed = json.loads(printed[printed.index("{") :])["strategies"]
    mine = next(entry for entry in listed if entry["strategy_id"] == "morning_gap")

    assert mine["file"] == str(own_root / "strategies" / "morning_gap.py")
    assert mine["warmup_bars"] == 20
    assert {each["name"]: each["maximum"] for each in mine["parameters"]} == {"period": 500, "stop_percent": 20.0}


def test_new_strategy_never_overwrites(own_root, capsys):
    assert main(["new", "strategy", "mine"]) == 0
    path = own_root / "strategies" / "mine.py"
    path.write_text(path.read_text() + "# edited\n")

    assert main(["new", "strategy", "mine"]) == 1
    assert path.read_text().endswith("# edited\n")
    assert "is already there" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["My-Idea", "2fast", "_hidden", "class", "../up"])
def test_name_that_cannot_be_is_refused(name, capsys):
    assert main(["new", "strategy", name]) == 2
    assert "cannot name a strategy" in capsys.readouterr().err


def test_taken_name_is_not_written(own_root, capsys):
    assert main(["new", "strategy", "sma_cross"]) == 1

    assert "is taken by" in capsys.readouterr().out
    assert not (own_root / "strategies" / "sma_cross.py").exists()


def test_broken_file_is_named_with_its_line(own_root, capsys):
    directory = own_root / "strategies"
    directory.mkdir()
    (directory / "bad.py").write_text("\n\nimport nonesuch\n")

    assert main(["strategies"]) == 1
    streams = capsys.readouterr()
    assert f"{directory}/bad.py:3: ModuleNotFoundError" in streams.err
    assert "sma_cross" in streams.out
