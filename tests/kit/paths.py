"""Where the project is."""

from __future__ import annotations

from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
PRODUCT = ("cli", "libs", "services")


def product_files() -> list[Path]:
    """Every Python file of the product, without tests and bench."""
    return sorted(path for top in PRODUCT for path in (PROJECT / top).rglob("*.py"))
