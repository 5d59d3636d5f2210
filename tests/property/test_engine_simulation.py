"""F6, J6: whatever dies when, no order twice, no fill lost, positions equal on both sides. A failure names its seed."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest

from tests.kit.engine_schedules import Schedule
from tests.kit.roots import copy_stores

SCHEDULES, BATCH, SAMPLE = 2_000, 100, 40


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    root = tmp_path_factory.mktemp("template") / "data"
    root.mkdir(mode=0o700)
    copy_stores(root)
    return root


def run(seeds: range, template: Path, directory: Path) -> Counter[str]:
    counts: Counter[str] = Counter()
    for seed in seeds:
        counts += Schedule(seed, template, directory / str(seed)).run()
    return counts


def test_a_sample_of_schedules(template, tmp_path):
    """A part of the matrix on every run; `TRADEFLEET_SEED` is not read: the seeds are these."""
    counts = run(range(SAMPLE), template, tmp_path)

    assert counts["crashes"] > SAMPLE / 2
    assert {"filled", "cancelled", "rejected", "unknown"} <= set(counts), counts


@pytest.mark.matrix
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("first", range(0, SCHEDULES, BATCH))
def test_every_schedule(template, tmp_path, first):
    """2,000 of them; one alone: `SEED=41 pytest … -k one_schedule`."""
    run(range(first, first + BATCH), template, tmp_path)


def test_one_schedule(template, tmp_path):
    """The seed that is asked for."""
    seed = int(os.environ.get("SEED", "41"))
    first = Schedule(seed, template, tmp_path / "first").run()
    second = Schedule(seed, template, tmp_path / "second").run()

    assert first == second
