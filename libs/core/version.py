"""Which code this is; stored beside what it writes, never inside an id."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version


def _installed() -> str:
    try:
        return version("tradefleet")
    except PackageNotFoundError:  # run out of a checkout that was never installed
        return "0+unknown"


CODE_VERSION = _installed()
