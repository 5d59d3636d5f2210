"""E2: the streaming and the vectorised form of every indicator are one indicator, whatever the columns hold."""

from __future__ import annotations

import random

import numpy as np
import pytest

from libs.indicators import registry
from tests.kit.processes import run_code
from tests.property.indicators.cases import columns_of_market, random_columns, random_parameters, stream

NAMES = sorted(registry.INDICATORS)


@pytest.fixture(autouse=True)
def _compiled(monkeypatch):
    """Short columns are walked in plain Python; here what long ones are run by is to be tried."""
    monkeypatch.setattr("libs.indicators.columns.WALKED_ROWS_MAX", 0)


def assert_same(name, columns, parameters):
    vectorised = registry.compute(name, columns, **parameters)
    streamed = stream(registry.create(name, **parameters), columns)

    assert list(vectorised) == list(streamed)
    for output, column in vectorised.items():
        # Equal to the bit: a strategy and its vectorised form must decide alike on a tie.
        np.testing.assert_array_equal(column, streamed[output], err_msg=f"{name}.{output} {parameters}")


@pytest.mark.parametrize("name", NAMES)
def test_forms_agree_on_random_columns(name):
    """Random prices, flat stretches, missing and infinite values, sizes from nothing to many windows."""
    for seed in range(40):
        chance = random.Random(f"{name}/{seed}")
        columns = random_columns(
            seed,
            size=chance.choice([0, 1, 2, 5, 30, 60, 90, 150]),
            scale=chance.choice([0.1, 100.0, 80_000.0]),
            missing=chance.choice([0.0, 0.03, 0.3]),
            flat=chance.choice([0.0, 0.2, 0.95]),
        )
        assert_same(name, columns, random_parameters(name, chance))


@pytest.mark.parametrize("name", NAMES)
def test_forms_agree_on_a_market_at_the_defaults(name):
    assert_same(name, columns_of_market(), {})


@pytest.mark.parametrize("name", NAMES)
def test_value_comes_with_the_bar_that_is_needed(name):
    """`bars_needed` is neither a bar too many nor too few: on minutes of full sessions, from the open on."""
    columns = columns_of_market(days=3)
    needed = registry.describe(name).bars_needed
    first = max(int(np.argmax(np.isfinite(column))) for column in registry.compute(name, columns).values())
    full_day = name == "pivots"

    # Pivots need one date, however many of its minutes traded.
    assert first + 1 == needed if not full_day else abs(first + 1 - needed) <= 10


@pytest.mark.parametrize("name", NAMES)
def test_copy_goes_its_own_way(name):
    """A copy in mid-stream continues exactly, and feeding it leaves the original alone."""
    columns = random_columns(3, size=160, missing=0.02)
    head = {key: column[:90] for key, column in columns.items()}
    tail = {key: column[90:] for key, column in columns.items()}
    parameters = random_parameters(name, random.Random(name))
    original = registry.create(name, **parameters)
    stream(original, head)
    twin = original.copy()
    continued = stream(twin, tail)
    again = stream(original, tail)

    for output, column in continued.items():
        np.testing.assert_array_equal(column, again[output])


@pytest.mark.parametrize("name", NAMES)
def test_constant_prices_give_finite_values(name):
    """No division by nothing: a price that never moves has an indicator."""
    size = 1100
    columns = random_columns(1, size=size, flat=1.0, per_day=375)
    columns["volume"] = np.full(size, 10.0)
    found = registry.compute(name, columns)

    for output, column in found.items():
        after = column[-100:]
        assert np.isfinite(after).all(), output
        assert (after >= -1e-9).all() or name == "macd", output
    assert_same(name, columns, {})


@pytest.mark.parametrize("name", NAMES)
def test_skipped_bar_changes_nothing(name):
    """The policy for missing values: as if the bar had not been."""
    columns = random_columns(8, size=120)
    keep = np.ones(120, dtype=bool)
    keep[[17, 18, 40, 41, 42, 77]] = False
    holed = {key: column.copy() for key, column in columns.items()}
    for key in ("open", "high", "low", "close", "volume"):
        holed[key][~keep] = np.nan
    dense = registry.compute(name, {key: column[keep] for key, column in columns.items()})

    for output, column in registry.compute(name, holed).items():
        np.testing.assert_array_equal(column[keep], dense[output])
        assert np.isnan(column[~keep]).all()


def test_short_columns_come_out_the_same_without_numba(tmp_path):
    """A process with little to walk never imports it, and must decide as one with much."""
    done = run_code(
        """
        import random, sys
        import numpy as np
        sys.modules["numba"] = None
        from libs.indicators import registry
        from tests.property.indicators.cases import random_columns
        columns = random_columns(7, size=150, missing=0.03, flat=0.2)
        found = {f"{name}.{output}": column for name in registry.INDICATORS
                 for output, column in registry.compute(name, columns).items()}
        np.savez(sys.argv[1], **found)
        """,
        tmp_path / "plain.npz",
    )
    assert done.returncode == 0, done.stderr
    columns = random_columns(7, size=150, missing=0.03, flat=0.2)
    plain = np.load(tmp_path / "plain.npz")

    for name in NAMES:
        for output, column in registry.compute(name, columns).items():
            np.testing.assert_array_equal(plain[f"{name}.{output}"], column, err_msg=f"{name}.{output}")
