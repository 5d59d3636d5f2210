"""A short temporary directory: a socket's path has room for about 100 bytes, and a parallel run leaves none."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """Stand in for pytest's own, whose paths grow with the run's number and the worker's name."""
    path = Path(tempfile.mkdtemp(prefix="tf-"))
    yield path
    shutil.rmtree(path, ignore_errors=True)
