"""B1: the writer lock, between processes and inside one."""

from __future__ import annotations

import fcntl
import os
import signal
from threading import Timer

import pytest

from libs.dbaccess import WriterLock, WriterLockHeld
from tests.kit.processes import first_line, run_code, running_code

HOLD = """
    import sys
    from libs.dbaccess import WriterLock
    lock = WriterLock(sys.argv[1])
    assert lock.acquire()
    print("held", flush=True)
    sys.stdin.read()
"""


def test_lock_names_its_holder(tmp_path):
    path = tmp_path / "deep" / ".writer.lock"

    with WriterLock(path) as lock:
        assert lock.held
        assert lock.holder() == os.getpid()


def test_second_holder_in_the_same_process_is_refused(tmp_path):
    path = tmp_path / ".writer.lock"

    with WriterLock(path):
        assert WriterLock(path).acquire() is False


def test_acquire_twice_and_release_twice_are_harmless(tmp_path):
    lock = WriterLock(tmp_path / ".writer.lock")

    assert lock.acquire()
    assert lock.acquire()
    lock.release()
    lock.release()
    assert WriterLock(lock.path).acquire()


def test_context_manager_releases_when_the_block_raises(tmp_path):
    path = tmp_path / ".writer.lock"

    with pytest.raises(ZeroDivisionError), WriterLock(path):
        raise ZeroDivisionError

    assert WriterLock(path).acquire()


def test_another_process_is_refused_with_path_and_pid(tmp_path):
    path = tmp_path / ".writer.lock"
    with running_code(HOLD, path) as holder:
        first_line(holder)

        with pytest.raises(WriterLockHeld) as refusal, WriterLock(path):
            pass

    assert str(path) in str(refusal.value)
    assert str(holder.pid) in str(refusal.value)
    assert refusal.value.pid == holder.pid


def test_lock_of_a_killed_holder_is_free_at_once(tmp_path):
    """kill -9 leaves the file and its pid behind; the system gives the lock back, so no cleaner is needed."""
    path = tmp_path / ".writer.lock"
    with running_code(HOLD, path) as holder:
        first_line(holder)
        os.kill(holder.pid, signal.SIGKILL)
        holder.wait()

        lock = WriterLock(path)
        assert lock.holder() == holder.pid  # stale: information, not an error
        assert lock.acquire()
        assert lock.holder() == os.getpid()


def test_garbage_in_the_file_is_no_error(tmp_path):
    path = tmp_path / ".writer.lock"
    path.write_bytes(b"\xff\x00 not a pid")

    lock = WriterLock(path)
    assert lock.holder() is None
    assert lock.acquire()


def test_asking_who_holds_it_disturbs_nobody(tmp_path):
    path = tmp_path / ".writer.lock"
    assert not WriterLock(path).is_held_by_anyone()

    with WriterLock(path) as lock:
        assert WriterLock(path).is_held_by_anyone()
        assert lock.is_held_by_anyone()

    assert not WriterLock(path).is_held_by_anyone()


def test_released_lock_names_nobody(tmp_path):
    """So a pid in a lock that is free tells that its holder died: what the health check calls stale (I2)."""
    path = tmp_path / ".writer.lock"
    with WriterLock(path):
        pass

    assert WriterLock(path).holder() is None


def test_lock_file_survives_release(tmp_path):
    """Deleting a lock file in use would let two holders in."""
    path = tmp_path / ".writer.lock"
    with WriterLock(path):
        pass

    assert path.exists()


def test_lock_works_where_flock_is_missing(tmp_path):
    """The Windows way: portalocker is told to use a locker that is not flock, as it does where fcntl is missing."""
    done = run_code(
        """
        import os
        import sys
        import portalocker
        from portalocker import portalocker as backend

        class ExclusiveFile(backend.BaseLocker):
            # What msvcrt.locking promises: exclusive, per handle, refused at once when another handle holds it.
            holders = {}
            def lock(self, file_obj, flags):
                if self.holders.setdefault(self.key(file_obj), file_obj) is not file_obj:
                    raise portalocker.exceptions.AlreadyLocked("held", fh=file_obj)
            def unlock(self, file_obj):
                self.holders.pop(self.key(file_obj), None)
            def key(self, file_obj):
                return os.fstat(file_obj.fileno()).st_ino

        backend.LOCKER = ExclusiveFile
        from libs.dbaccess import WriterLock
        first, second = WriterLock(sys.argv[1]), WriterLock(sys.argv[1])
        assert first.acquire() and not second.acquire()
        first.release()
        assert second.acquire()
        print("ok")
        """,
        tmp_path / ".writer.lock",
    )

    assert done.stdout.strip() == "ok", done.stderr


def test_an_owner_waits_for_who_only_looks(tmp_path):
    """A health check that looks at a buffer without an owner must not keep its owner from starting."""
    path = tmp_path / ".writer.lock"
    looking = WriterLock(path)
    assert looking.acquire_to_look()
    assert looking.holder() is None
    done = Timer(0.1, looking.release)
    done.start()

    assert WriterLock(path).acquire()
    done.join()


def test_a_dead_owners_pid_is_not_taken_for_who_looks_now(tmp_path):
    """After kill -9 the pid stays: an owner that starts while somebody asks about the lock is not told it is held."""
    path = tmp_path / ".writer.lock"
    path.write_text(f"{2**30}\n")  # above any pid a system gives
    with path.open("r+") as asking:
        fcntl.flock(asking, fcntl.LOCK_EX)
        done = Timer(0.1, fcntl.flock, (asking, fcntl.LOCK_UN))
        done.start()

        assert WriterLock(path).acquire()
        done.join()
