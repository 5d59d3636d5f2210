"""Old closed days as compressed Parquet: written, verified equal, and only then taken from the hot folders."""

from libs.dbaccess.archive.run import ArchivedDay, ArchiveReport, archive_days

__all__ = ["ArchiveReport", "ArchivedDay", "archive_days"]
