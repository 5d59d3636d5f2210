"""Standing in for the ingestor: what changes history by hand is refused while it lives."""

from __future__ import annotations

from libs.dbaccess.errors import WriterLockHeld
from libs.dbaccess.layout import Layout
from libs.dbaccess.locks import WriterLock
from libs.dbaccess.roles import Store


def refuse_living_owner(layout: Layout) -> None:
    """Raise `WriterLockHeld`, naming the ingestor's process, while it holds the live buffer.

    Its lock is only looked at: the work that follows may take an hour, and must never keep the ingestor from starting
    and capturing. What the two would both write is kept apart by the lock of history, which is taken for the work.
    """
    lock = WriterLock(layout.lock(Store.LIVE))
    if lock.is_held_by_anyone():
        raise WriterLockHeld(lock.path, lock.holder())
