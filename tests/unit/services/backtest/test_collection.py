"""A run's records are many and stay: nothing walks over them, not even when the run is over."""

from __future__ import annotations

import gc

from services.backtest.collection import without_collection


def test_what_a_run_made_counts_as_old_when_it_is_over():
    with without_collection():
        records = [[] for _ in range(5000)]
    old = {id(each) for each in gc.get_objects(generation=2)}

    assert gc.isenabled()
    assert all(id(record) in old for record in records)


def test_within_another_nothing_is_collected_yet():
    with without_collection():
        with without_collection():
            pass
        assert not gc.isenabled()
