"""Ids as pure functions of content, so that the same fact has the same name in every process and replay."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from hashlib import blake2b

_LENGTHS = tuple(length.to_bytes(4, "big") for length in range(256))


def content_id(*parts: str | int) -> str:
    """Hash the parts to 32 hex digits; the parts are length-prefixed, so ("ab", "c") and ("a", "bc") differ."""
    return blake2b(_joined(parts), digest_size=16).hexdigest()


class ContentPrefix:
    """The first parts of many content ids, hashed once: `ContentPrefix(a, b).id(c)` is `content_id(a, b, c)`."""

    def __init__(self, *parts: str | int) -> None:
        self._digest = blake2b(_joined(parts), digest_size=16)

    def id(self, *parts: str | int) -> str:
        """Hash the remaining parts."""
        digest = self._digest.copy()
        digest.update(_joined(parts))
        return digest.hexdigest()


def _joined(parts: Iterable[str | int]) -> bytes:
    pieces = []
    for part in parts:
        data = part.encode() if isinstance(part, str) else str(part).encode()
        length = len(data)
        pieces.append(_LENGTHS[length] if length < 256 else length.to_bytes(4, "big"))
        pieces.append(data)
    return b"".join(pieces)


def random_id(digits: int = 16) -> str:
    """Make a name nobody else has: an epoch, a nonce, a store's uuid. Never the identity of a market fact."""
    return secrets.token_hex((digits + 1) // 2)[:digits]
