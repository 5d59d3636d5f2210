"""A copy before new code touches the stores: made by whatever starts it, so that nobody has to remember it."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

from libs.core.errors import FleetError, Refused
from libs.dbaccess.backup.manager import BackupManager
from libs.dbaccess.files import make_directory, write_atomically
from libs.dbaccess.layout import Layout
from libs.dbaccess.roles import Store
from libs.settings import PROJECT_ROOT

#: What a deployment changes, below the project's root; settings and data are the operator's.
_CODE = ("cli", "libs", "services")
_LOCK = "requirements.lock"
#: Below the backups: which code ran last on this data root.
_NOTE = ".deployed_code"


def copy_before_deployment(manager: BackupManager, *, without: bool = False) -> dict[str, str]:
    """Copy trading and config unless this code ran here before; give the copies by store, none when it did.

    Each copy is opened and checked. Raise Refused when one cannot be made: the new code has touched nothing then.
    `without` deploys without a copy. Stores that are not there yet need none.
    """
    layout = manager.layout
    if not layout.root.is_dir() or _deployed(layout) == code_fingerprint(PROJECT_ROOT):
        return {}
    makers = {Store.TRADING: manager.backup_trading_db, Store.CONFIG: manager.backup_config_db}
    made = {}
    for store, make in makers.items():
        if without or not layout.store(store).exists():
            continue
        try:
            made[store.value] = str(make())
        except (FleetError, OSError) as e:
            raise Refused(
                f"this code runs here for the first time, and a copy of {store.value} before it could not be made: "
                f"{e}. Nothing was touched: go back to the code that ran, or `fleet init --no-backup` goes on without"
            ) from e
    if any(layout.store(store).exists() for store in makers):
        note_deployment(layout)
    return made


def note_deployment(layout: Layout) -> None:
    """Write down that this code runs here now."""
    make_directory(layout.backups, layout.root)
    write_atomically(layout.backups / _NOTE, code_fingerprint(PROJECT_ROOT).encode())


@cache
def code_fingerprint(project: Path) -> str:
    """Tell this code from any other by its own bytes: a checkout, a container and a patched file alike."""
    digest = hashlib.blake2b(digest_size=16)
    paths = sorted(path for folder in _CODE for path in (project / folder).rglob("*.py"))
    for path in [*paths, project / _LOCK]:
        content = path.read_bytes() if path.exists() else b""
        digest.update(f"{path.relative_to(project).as_posix()} {len(content)}\n".encode() + content)
    return digest.hexdigest()


def _deployed(layout: Layout) -> str:
    try:
        return (layout.backups / _NOTE).read_text("ascii", errors="replace").strip()
    except OSError:
        return ""
