"""Which code was on a store last: a fingerprint of the code, and a note a store of the one that ran there."""

from __future__ import annotations

import hashlib
import os
from functools import cache
from pathlib import Path

from libs.dbaccess.files import make_directory, write_atomically
from libs.dbaccess.layout import Layout
from libs.dbaccess.roles import Store
from libs.settings import PROJECT_ROOT

#: What a deployment changes, below the project's root; settings and data are the operator's.
_CODE = ("cli", "libs", "services")
_LOCK = "requirements.lock"


@cache
def code_fingerprint(project: Path) -> str:
    """Tell this code from any other by its own bytes: a checkout, a container and a patched file alike."""
    digest = hashlib.blake2b(digest_size=16)
    walked = (each for top in _CODE for each in os.walk(project / top))
    paths = sorted(f"{folder}/{name}" for folder, _, names in walked for name in names if name.endswith(".py"))
    for path in [*paths, f"{project / _LOCK}"]:
        content = Path(path).read_bytes() if Path(path).exists() else b""
        digest.update(f"{path.removeprefix(str(project))} {len(content)}\n".encode() + content)
    return digest.hexdigest()


def is_new_code(layout: Layout, store: Store) -> bool:
    """Whether other code than this was on the store last, or nobody knows which."""
    try:
        return _note(layout, store).read_text("ascii", errors="replace").strip() != code_fingerprint(PROJECT_ROOT)
    except FileNotFoundError:
        return True


def note_code(layout: Layout, store: Store) -> None:
    """Write down that this code is on the store now; for who holds its lock, or found it free."""
    make_directory(layout.backups, layout.root)
    write_atomically(_note(layout, store), code_fingerprint(PROJECT_ROOT).encode())


def _note(layout: Layout, store: Store) -> Path:
    """Beside the copies, one a store: below the backups."""
    return layout.backups / f".deployed_code_{store.value}"
