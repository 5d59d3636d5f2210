"""`fleet indicators` shows what the registry holds."""

from __future__ import annotations

import json

from cli.main import main
from libs.indicators.registry import INDICATORS


def test_lists_every_indicator(capsys):
    assert main(["indicators"]) == 0
    lines = capsys.readouterr().out.splitlines()

    assert [line.split()[0] for line in lines[1:]] == list(INDICATORS)
    assert "period=14 (2..5000)" in next(line for line in lines if line.startswith("rsi"))


def test_gives_ranges_as_json(capsys):
    assert main(["indicators", "--json"]) == 0
    rsi = next(entry for entry in json.loads(capsys.readouterr().out) if entry["name"] == "rsi")

    assert rsi["inputs"] == ["close"]
    assert rsi["parameters"] == [{"name": "period", "kind": "int", "default": 14, "minimum": 2.0, "maximum": 5000.0}]
