"""Tokens, codes and rate limits."""

from __future__ import annotations

import base64
import json
from datetime import datetime

import pytest

from libs.core.clock import IST, to_us
from services.exchange_sim.access import ANALYTICS, EXTENDED, TRADING, RateLimiter, Tokens, next_expiry_us


@pytest.fixture
def tokens(clock):
    return Tokens(clock, "secret", {"fixed": TRADING})


@pytest.mark.parametrize(
    ("now", "expiry"),
    [
        ("2026-09-12T10:00", "2026-09-13T03:30"),
        ("2026-09-13T03:29", "2026-09-13T03:30"),
        ("2026-09-13T03:30", "2026-09-14T03:30"),
    ],
)
def test_tokens_end_at_half_past_three(now, expiry):
    def instant(text):
        return to_us(datetime.fromisoformat(text).replace(tzinfo=IST))

    assert next_expiry_us(instant(now)) == instant(expiry)


def test_recorded_expiry(clock, tokens):
    """The recorded example: exp 1789250400 is 2026-09-13 03:30 IST."""
    clock.wall_us = to_us(datetime(2026, 9, 12, 12, tzinfo=IST))
    claims = tokens.issue().split(".")[1]

    assert json.loads(base64.urlsafe_b64decode(claims + "=="))["exp"] == 1_789_250_400


def test_a_token_lives_until_its_end(clock, tokens):
    token = tokens.issue(life_s=60)
    reader = tokens.issue(ANALYTICS)

    assert tokens.scope(token) == TRADING
    clock.pass_s(61)
    assert tokens.scope(token) is None
    clock.pass_s(300 * 86_400)
    assert tokens.scope(reader) == ANALYTICS


def test_forged_and_foreign_tokens_are_nobodys(tokens, clock):
    real = tokens.issue()
    head, _, signature = real.rpartition(".")
    other = Tokens(clock, "another secret", {}).issue()

    assert [tokens.scope(text) for text in ("", "x.y.z", other, head + ".x" + signature[1:])] == [None] * 4


def test_death_takes_all_and_new_ones_live(tokens):
    old = tokens.issue()
    tokens.kill_all()
    new = tokens.issue(EXTENDED)

    assert [tokens.scope(text) for text in (old, "fixed", new)] == [None, None, EXTENDED]
    tokens.revive()
    assert [tokens.scope(text) for text in (old, "fixed")] == [TRADING, TRADING]


def test_logout_kills_one(tokens):
    one, other = tokens.issue(), tokens.issue()
    tokens.kill(one)

    assert (tokens.scope(one), tokens.scope(other)) == (None, TRADING)


def test_a_code_opens_one_door_once_and_not_for_long(clock, tokens):
    first, second, third = tokens.code("market"), tokens.code("market"), tokens.code("market")

    assert tokens.redeem(first, "market")
    assert not tokens.redeem(first, "market")
    assert not tokens.redeem(second, "portfolio")
    clock.pass_s(61)
    assert not tokens.redeem(third, "market")


def test_every_window_of_the_limit_counts(clock):
    """10/s, 500/min, 2,000 in half an hour; what is refused is not counted."""
    limiter = RateLimiter(clock, {1.0: 10, 60.0: 500, 1800.0: 2000})
    granted_first_second = sum(limiter.take() for _ in range(20))
    granted = granted_first_second
    for _ in range(59):
        clock.pass_s(1)
        granted += sum(limiter.take() for _ in range(20))
    for _ in range(1740):
        clock.pass_s(1)
        granted += sum(limiter.take() for _ in range(20))

    assert granted_first_second == 10
    assert granted == 2000


def test_minute_limit_alone(clock):
    limiter = RateLimiter(clock, {1.0: 10, 60.0: 500})
    granted = 0
    for _ in range(59):
        granted += sum(limiter.take() for _ in range(20))
        clock.pass_s(1)

    assert granted == 500
