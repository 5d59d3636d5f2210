"""Reads config/charges/*.toml; what they mean is `libs.orders.charges`, which reads no files."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from libs.settings.load import PROJECT_ROOT, SettingsError


def read_charges(config_directory: Path | None = None) -> dict[str, dict[str, Any]]:
    """Give every charges file parsed, by its path; hand this to `ChargeBook.from_documents`."""
    directory = (config_directory or PROJECT_ROOT / "config") / "charges"
    paths = sorted(directory.glob("*.toml"))
    if not paths:
        raise SettingsError(f"{directory}: no charges; expected one file a segment, such as intraday.toml")
    documents = {}
    for path in paths:
        try:
            documents[str(path)] = tomllib.loads(path.read_text("utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as e:
            raise SettingsError(f"{path}: cannot be read as TOML: {e}") from e
    return documents
