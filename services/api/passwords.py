"""Passwords: argon2, and nothing but the hash ever kept, sent or logged."""

from __future__ import annotations

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from libs.core.errors import Refused

_BYTES_MAX = 1024


def hash_password(password: str, characters_min: int) -> str:
    """Give the hash to store, or say what is wrong with the password."""
    if len(password) < characters_min:
        raise Refused(f"the password has {len(password)} characters; expected at least {characters_min}")
    if len(password.encode()) > _BYTES_MAX:
        raise Refused(f"the password is longer than {_BYTES_MAX} bytes")
    return PasswordHasher().hash(password)


def is_right(password_hash: str | None, password: str) -> bool:
    """Compare; as slow for a name there is not as for one there is."""
    hasher = PasswordHasher()
    if len(password.encode()) > _BYTES_MAX:
        return False
    if password_hash is None:
        hasher.hash(password)
        return False
    try:
        return hasher.verify(password_hash, password)
    except (VerificationError, InvalidHashError):
        return False
