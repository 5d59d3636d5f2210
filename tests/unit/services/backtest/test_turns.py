"""Threads take short turns while a run's tables are written, and their usual ones afterwards."""

from __future__ import annotations

import sys

import pytest

from services.backtest.turns import short_turns


def test_turns_are_the_usual_ones_again_however_it_ends():
    usual = sys.getswitchinterval()
    with pytest.raises(ZeroDivisionError), short_turns():
        assert sys.getswitchinterval() < usual
        raise ZeroDivisionError

    assert sys.getswitchinterval() == usual
