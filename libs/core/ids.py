"""Ids as pure functions of content, so that the same fact has the same name in every process and replay."""

from __future__ import annotations

import secrets
from hashlib import blake2b


def content_id(*parts: str | int) -> str:
    """Hash the parts to 32 hex digits; the parts are length-prefixed, so ("ab", "c") and ("a", "bc") differ."""
    digest = blake2b(digest_size=16)
    for part in parts:
        data = str(part).encode()
        digest.update(len(data).to_bytes(4, "big"))
        digest.update(data)
    return digest.hexdigest()


def random_id(digits: int = 16) -> str:
    """Make a name nobody else has: an epoch, a nonce, a store's uuid. Never the identity of a market fact."""
    return secrets.token_hex((digits + 1) // 2)[:digits]
