"""Ids as pure functions of content, so that the same fact has the same name in every process and replay."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from hashlib import blake2b

_LENGTHS = tuple(length.to_bytes(4, "big") for length in range(256))


def content_id(*parts: str | int) -> str:
    """Hash the parts to 32 hex digits; the parts are length-prefixed, so ("ab", "c") and ("a", "bc") differ."""
    return id_of(_joined(parts))


class ContentPrefix:
    """The first parts of many content ids, hashed once: `ContentPrefix(a, b).id(c)` is `content_id(a, b, c)`."""

    def __init__(self, *parts: str | int) -> None:
        self._digest = blake2b(_joined(parts), digest_size=16)

    def id(self, *parts: str | int) -> str:
        """Hash the remaining parts."""
        return self.id_of(joined(*parts))

    def id_of(self, parts: bytes) -> str:
        """Hash the remaining parts, joined already (`joined`)."""
        digest = self._digest.copy()
        digest.update(parts)
        return digest.hexdigest()

    def id_of_number(self, number: int, parts: bytes) -> str:
        """Hash a number and remaining parts, joined already: `id_of(joined(number) + parts)`, in one step."""
        data = b"%d" % number
        digest = self._digest.copy()
        digest.update(_LENGTHS[len(data)] + data + parts)
        return digest.hexdigest()


def id_of(parts: bytes) -> str:
    """Hash parts that are joined already: `id_of(joined(a, b) + joined(c))` is `content_id(a, b, c)`."""
    return blake2b(parts, digest_size=16).hexdigest()


def joined(*parts: str | int) -> bytes:
    """Give parts as they are hashed, each behind its length; what many ids have in common is joined once."""
    return _joined(parts)


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
