"""`fleet new scan` and the user's own scans: written, checked, listed, configured; broken ones are named."""

from __future__ import annotations

import json
import textwrap

import pytest

from cli.main import main
from libs.scanners import _template, registry
from libs.scanners.conformance import problem
from libs.scanners.user import load_directory
from services.scanner.scan_configs import ScanConfig

SCAN = """
import numpy as np

from libs.scanners.interface import BaseScan, Found


class {name}(BaseScan):
    scan_id = "{name}"
    purpose = "Picks."

    def scan(self, panel):
        close = panel.last("close")
        {body}
"""


@pytest.fixture(autouse=True)
def own_root(data_root, monkeypatch):
    monkeypatch.setenv("TRADEFLEET_DATA", str(data_root))
    return data_root


@pytest.mark.parametrize("name", [*registry.SCANS, "template"])
def test_every_scan_does_what_a_scan_must(name):
    assert problem(_template.Template if name == "template" else registry.find(name)) == ""


def test_new_scan_is_listed_and_can_be_configured(own_root, capsys):
    assert main(["new", "scan", "morning_move"]) == 0
    assert main(["new", "scan", "morning_move"]) == 1
    assert main(["new", "scan", "gainers"]) == 1
    assert main(["scans", "--json"]) == 0
    told = capsys.readouterr()
    listed = {entry["scan_id"]: entry for entry in json.loads(told.out[told.out.index("[\n") :])}

    assert "is already there" in told.err
    assert "taken by libs.scanners.movers.Gainers" in told.out
    assert not (own_root / "scans" / "gainers.py").exists()
    assert listed["morning_move"]["file"] == str(own_root / "scans" / "morning_move.py")
    assert listed["morning_move"]["parameters"] == {"percent": 1.0, "bars": 15}
    assert ScanConfig("mine", "morning_move", "1m", '{"bars": 20}').make().bars_needed == 20


def test_a_scan_that_misbehaves_is_named_and_the_others_load(own_root, capsys):
    bodies = {
        "good": "return Found(close, close * 0.0, {})",
        "by_chance": "return Found(close + np.random.default_rng().random(len(close)), close * 0.0, {})",
        "changes": "panel.close[:] = 1.0; return Found(close, close * 0.0, {})",
        "sizes": 'return Found(close, close * 0.0, {"stop_price": close})',
        "unsure": "return Found(close, close * np.nan, {})",
        "raises": "return Found(close[99], close, {})",
    }
    directory = own_root / "scans"
    directory.mkdir()
    for name, body in bodies.items():
        (directory / f"{name}.py").write_text(textwrap.dedent(SCAN).format(name=name, body=body))
    loaded = load_directory(directory)
    reasons = {each.path.rpartition("/")[2][:-3]: each for each in loaded.broken}
    code = main(["scans"])
    told = capsys.readouterr()

    assert list(loaded.scans) == ["good"]
    assert reasons.keys() == bodies.keys() - {"good"}
    assert "same panel" in reasons["by_chance"].reason
    assert "changes the panel" in reasons["changes"].reason
    assert "how much to trade" in reasons["sizes"].reason
    assert "confidence" in reasons["unsure"].reason
    assert (reasons["raises"].line, code) == (13, 1)
    assert "good" in told.out
    assert "raises.py:13: IndexError" in told.err
