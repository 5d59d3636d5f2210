"""Crash points: the instants at which a kill matrix kills a process. A no-op in production.

Every commit, send and rename that a crash must not break has one before and one after. `POINTS` names them all;
`tests/tidy` compares it with the code, and the suite fails when a point was not hit by any test.
`TRADEFLEET_CRASH_AT=<point>[:n]` kills the process with SIGKILL at the n-th hit (1 by default);
`TRADEFLEET_CRASH_SEEN=<directory>` leaves a file per point that was hit.
"""

from __future__ import annotations

import os
import signal
from collections import Counter
from pathlib import Path

POINTS: dict[str, str] = {
    "ingestor.backfill.before": "candles for a gap have come, they are not journalled",
    "ingestor.backfill.after": "candles for a gap are journalled and told, they are in no store",
    "scanner.decide.before": "a minute's signals are written, not committed",
    "scanner.decide.after": "a minute's signals are durable, nobody was told yet",
    "migrate.commit.before": "a migration and its record are written, not committed",
    "migrate.commit.after": "a migration is durable, the next one has not begun",
    "init.rename.before": "a new store is complete under its temporary name",
    "init.rename.after": "a new store has its name",
    "replace.rename.before": "a store is set aside, the one that replaces it has not its name yet",
    "replace.rename.after": "a store is replaced, nobody was told yet",
    "backup.rename.before": "a copy is complete and checked under its temporary name",
    "backup.rename.after": "a copy has its name, older ones are not pruned yet",
    "sqlite.commit.before": "a SQLite store's transaction is written, not committed",
    "sqlite.commit.after": "a SQLite store's transaction is durable, the caller does not know yet",
    "history.rename.before": "a day's file is complete under its temporary name",
    "history.rename.after": "a day's file has its name, nobody was told yet",
    "import.staged.before": "the files are read into a scratch database under its temporary name",
    "import.staged.after": "the scratch database has its name, no day is closed yet",
    "import.day.after": "an imported day is closed, its longer bars are not there",
    "import.certify.before": "an imported day and its longer bars are closed, it has no certificates yet",
    "archive.rename.before": "an archived day is written and compared, under its temporary name",
    "archive.rename.after": "an archived day has its name, the hot one stands and is the one that is read",
    "archive.remove.before": "the catalogue lists the archived day, the hot one still stands",
    "archive.remove.after": "the hot day is gone",
    "legacy.copied.after": "an old installation's file is copied, nothing of it is placed",
    "legacy.table.before": "an old table is placed, the journal of the migration does not say so",
    "legacy.table.after": "an old table is placed and journalled",
    "live.commit.before": "rows and watermarks of one live file are written, not committed",
    "live.commit.after": "one live file is committed; the other may not be",
    "live.segment.before": "a segment is complete under its temporary name",
    "live.segment.after": "a segment has its name, no manifest lists it",
    "live.manifest.before": "all is committed, the old manifest stands",
    "live.manifest.after": "the new manifest stands, merged parts are not removed",
    "live.merge.before": "a merged segment is complete under its temporary name",
    "live.merge.after": "a merged segment has its name, the manifest still lists its parts",
    "live.recovery.before": "missing segments are rebuilt, the old manifest stands",
    "live.recovery.after": "the repaired manifest stands, strangers are not removed",
    "rollover.freeze.before": "the live buffer is as its owner left it",
    "rollover.freeze.after": "the live buffer is repaired and closed, nothing of it is in history",
    "rollover.verify.before": "a day's file is written under its temporary name, nobody compared it",
    "rollover.verify.after": "a day's file holds what the live buffer holds, it is not synced",
    "rollover.close.after": "a series of a day is closed and listed, the live buffer still has it",
    "rollover.certify.before": "all series of the days are closed and listed, a day has no certificates yet",
    "rollover.fresh.before": "all days are closed, there is no fresh live file",
    "rollover.fresh.after": "a fresh live file is complete beside the one in use",
    "rollover.swap.before": "fresh files are complete, one of them has not its name yet",
    "rollover.swap.after": "one fresh file has its name, the old snapshot stands",
    "journal.write.before": "records have their seqs, the journal does not have them",
    "journal.write.after": "records are in the journal, nobody was told yet",
    "journal.sync.before": "records are the kernel's, not the disk's",
    "journal.sync.after": "records are on disk, nobody may build on it yet",
    "journal.rotate.before": "a segment is full",
    "journal.rotate.sealed": "a full segment is on disk with its index, the next is not there",
    "journal.rotate.after": "the next segment is there and empty",
    "journal.lease.before": "seqs are about to run out, the lease is the old one",
    "journal.lease.after": "the new lease is on disk, nobody uses it yet",
    "journal.drop.before": "a segment is no longer needed, its file is there",
    "ingestor.publish.before": "ticks are in the journal, nobody was told yet",
    "ingestor.candle.before": "a minute's bars are in the journal, some may be told and others not",
    "engine.intent.before": "a signal is decided, neither its intent nor the cursor is committed",
    "engine.intent.after": "a decision with its intents and the cursor are committed, no request has left",
    "engine.exit.before": "an exit is decided, its intent is not committed",
    "engine.exit.after": "an exit is committed, its request has not left",
    "engine.place.sending": "`sending` is committed, the request has not left",
    "engine.place.sent": "the place request was carried out, its answer is not here",
    "engine.cancel.before": "a cancel is decided, not committed",
    "engine.cancel.sending": "a cancel is committed, the request has not left",
    "engine.cancel.sent": "the cancel request was carried out, its answer is not here",
    "engine.change.before": "a modification is decided, not committed",
    "engine.change.sending": "a modification is committed, the request has not left",
    "engine.change.sent": "the modify request was carried out, its answer is not here",
    "engine.replace.before": "a replacement is decided, its intent is not committed",
    "engine.replace.after": "a replacement's intent is committed, `sending` is not",
    "engine.answer.before": "an answer is here, nothing of it is written",
    "engine.answer.commit": "an answer is written, not committed",
    "engine.answer.after": "an answer is committed",
    "engine.report.before": "a report or trade is here, nothing of it is written",
    "engine.report.commit": "a report or trade is written, not committed",
    "engine.report.after": "a report or trade is committed and published",
    "engine.reconcile.before": "the books are compared, nothing is repaired",
    "engine.reconcile.after": "repairs and differences are committed, nobody was halted for them yet",
    "engine.command.accepted": "a command is committed, nothing of it is done",
    "engine.lock.sent": "the broker's own switch was thrown, nothing of it is written",
    "engine.recovery.step": "an order of the last process is settled, others are not",
    "ingestor.eod.before": "a day is in history and out of the buffer, nobody was told yet",
    "ingestor.eod.after": "the word of a rollover is journalled and out, the ledger has no note of it",
    "ingestor.ledger.after": "late ticks, quarantine and gaps are in the ledger, their rows in no live file",
}

_armed = os.environ.get("TRADEFLEET_CRASH_AT", "")
_seen_directory = os.environ.get("TRADEFLEET_CRASH_SEEN", "")
_hits: Counter[str] = Counter()


def crash_point(name: str) -> None:
    """Die here if a test asked for it."""
    if _armed or _seen_directory:
        _note(name)


def _note(name: str) -> None:
    if name not in POINTS:
        raise KeyError(f"crash point {name!r} is not in libs.core.faults.POINTS")
    _hits[name] += 1
    if _seen_directory and _hits[name] == 1:
        (Path(_seen_directory) / name).touch()
    wanted, _, count = _armed.partition(":")
    if name == wanted and _hits[name] == int(count or 1):
        os.kill(os.getpid(), signal.SIGKILL)
