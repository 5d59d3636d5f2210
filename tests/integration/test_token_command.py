"""Logging in at the broker: the code becomes a token in a private file, and nobody is ever shown it."""

from __future__ import annotations

import json
import logging
import stat

import pytest

from cli.main import main
from libs.core.clock import US_PER_MINUTE
from libs.core.errors import Refused
from libs.upstox.tokens import TokenState, code_of, judge, store_token
from tests.kit.exchange_sim import running_simulator

APP, BACK = "app-1", "http://127.0.0.1/back"
NOW_US = 1_770_000_000_000_000


@pytest.fixture(scope="module")
def sim():
    with running_simulator(record_ticks=False) as running:
        yield running


@pytest.fixture
def token_file(tmp_path, monkeypatch):
    file = tmp_path / "secrets" / "token"
    monkeypatch.setenv("TRADEFLEET_UPSTOX_ACCESS_TOKEN_FILE", str(file))
    monkeypatch.setenv("TRADEFLEET_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("UPSTOX_CLIENT_SECRET", "app-secret-of-mine")
    return file


def test_login_status_and_death(sim, token_file, monkeypatch, capfd, caplog):
    """The whole life of a token, with every word that was said on the way searched for it."""
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("TRADEFLEET_EXCHANGE_SIM_PORT", str(sim.port))
    assert main(["token", "status"]) == 1  # there is none
    code = sim.login_code(APP, BACK)
    login = ["token", "login", "--client-id", APP, "--redirect-uri", BACK, "--code"]
    assert main([*login, f"{BACK}?code={code}"]) == 0
    token = token_file.read_text("utf-8").strip()
    assert stat.S_IMODE(token_file.stat().st_mode) == 0o600
    assert stat.S_IMODE(token_file.parent.stat().st_mode) == 0o700
    assert main([*login, code]) == 1  # a code works once
    assert token_file.read_text("utf-8").strip() == token
    capfd.readouterr()
    assert main(["token", "status", "--check", "--json"]) == 0
    shown = json.loads(capfd.readouterr().out)
    assert shown["state"] in {"valid", "expiring"}
    assert "T03:30:00+05:30" in shown["expires"]

    sim.add_fault("token_death")
    assert main(["token", "status", "--check", "--json"]) == 1
    assert json.loads(capfd.readouterr().out)["state"] == "dead"
    assert main(["token", "status"]) == 0  # nobody asked the broker
    said = "".join(capfd.readouterr()) + caplog.text
    for secret in (token, token.split(".")[2], "app-secret-of-mine"):
        assert secret not in said


def test_a_token_is_set_from_standard_input(token_file, monkeypatch, capfd):
    monkeypatch.setattr("sys.stdin", open("/dev/null"))  # noqa: PTH123, SIM115
    assert main(["token", "set"]) == 1
    assert not token_file.exists()
    store_token(token_file, "a-token-of-old\n")
    assert [file.name for file in token_file.parent.iterdir()] == ["token"]
    with pytest.raises(Refused):
        store_token(token_file, "two words")
    assert token_file.read_text("utf-8") == "a-token-of-old\n"


def test_states(sim):
    ends = sim.token(life_s=7200)
    expires_us = judge(ends, NOW_US).expires_us

    assert judge("", NOW_US).state is TokenState.NEEDS_LOGIN
    assert judge(ends, expires_us - 61 * US_PER_MINUTE).state is TokenState.VALID
    assert judge(ends, expires_us - 59 * US_PER_MINUTE).state is TokenState.EXPIRING
    assert judge(ends, expires_us).state is TokenState.NEEDS_LOGIN
    assert judge(ends, expires_us - 1, is_refused=True).state is TokenState.DEAD
    for opaque in ("opaque", "a.b.c", "a.!!.c"):
        assert (judge(opaque, NOW_US).state, judge(opaque, NOW_US).expires_us) == (TokenState.VALID, 0)
    with pytest.raises(Refused):
        code_of("http://127.0.0.1/back?error=denied")
