"""Where the parts of the live buffer are."""

from __future__ import annotations

from pathlib import Path

from libs.dbaccess.layout import DATA_TYPES, Layout

TABLES = DATA_TYPES


class LivePaths:
    """Paths below the live buffer's directory, none of which leads out of the data root. Making one touches nothing."""

    def __init__(self, layout: Layout) -> None:
        self.root = layout.live
        self.manifest = self.root / "manifest.json"
        self.segments = self.root / "segments"
        self.pins = self.root / "pins"
        self.spill = self.segments / ".merge.spill"
        # What no manifest lists is removed at every start: a link here would empty somebody else's directory.
        for path in (self.manifest, self.segments, self.pins, self.spill, *layout.live_files()):
            layout.confined(path)

    def file(self, table: str) -> Path:
        """The DuckDB file of a table. Only the owner opens it, and only one way."""
        return self.root / f"{table}_today.duckdb"

    def segment(self, name: str) -> Path:
        """A Parquet segment by the name the manifest gives it."""
        return self.segments / name
