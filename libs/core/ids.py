"""Ids as pure functions of content, so that the same fact has the same name in every process and replay."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from hashlib import blake2b


def content_id(*parts: str | int) -> str:
    """Hash the parts to 32 hex digits; the parts are length-prefixed, so ("ab", "c") and ("a", "bc") differ."""
    return _fed(blake2b(digest_size=16), parts).hexdigest()


class ContentPrefix:
    """The first parts of many content ids, hashed once: `ContentPrefix(a, b).id(c)` is `content_id(a, b, c)`."""

    def __init__(self, *parts: str | int) -> None:
        self._digest = _fed(blake2b(digest_size=16), parts)

    def id(self, *parts: str | int) -> str:
        """Hash the remaining parts."""
        return _fed(self._digest.copy(), parts).hexdigest()


def _fed(digest: blake2b, parts: Iterable[str | int]) -> blake2b:
    for part in parts:
        data = str(part).encode()
        digest.update(len(data).to_bytes(4, "big"))
        digest.update(data)
    return digest


def random_id(digits: int = 16) -> str:
    """Make a name nobody else has: an epoch, a nonce, a store's uuid. Never the identity of a market fact."""
    return secrets.token_hex((digits + 1) // 2)[:digits]
