"""Who may ask, and how often: tokens of the OAuth flow, one-time codes, rate limits over several windows."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections import deque
from collections.abc import Iterator
from itertools import count

import msgspec

from libs.core.clock import IST, US_PER_DAY, US_PER_MINUTE, Clock, day_start_us, to_datetime, trading_date

_EXPIRES_AT_US = 210 * US_PER_MINUTE  # 03:30 IST
_CODE_LIFE_NS = 60_000_000_000
#: The scopes a token may have: `extended` and `analytics` read, only `trading` trades.
TRADING, ANALYTICS, EXTENDED = "trading", "analytics", "extended"


class Tokens:
    """Gives out and checks access tokens. They look like the broker's: a JWT that ends at the next 03:30 IST.

    The expiry follows the machine's clock, not the market's: it is the client's own clock that reads it.
    """

    def __init__(self, clock: Clock, secret: str, fixed: dict[str, str]) -> None:
        self._clock = clock
        self._secret = secret.encode()
        self._fixed = fixed
        self._numbers = count(1)
        self._codes: dict[str, tuple[str, int]] = {}
        self._dead: set[str] = set()
        self._born_after = 0

    def issue(self, scope: str = TRADING, *, life_s: float | None = None) -> str:
        """Make a token; an analytics one lives a year, others until 03:30 IST, unless `life_s` says otherwise."""
        now_us = self._clock.now_us()
        if life_s is not None:
            expires_us = now_us + int(life_s * 1e6)
        elif scope == ANALYTICS:
            expires_us = now_us + 365 * US_PER_DAY
        else:
            expires_us = next_expiry_us(now_us)
        claims = {
            "sub": "SIM001", "jti": f"sim{next(self._numbers):06d}", "isMultiClient": False, "isPlusPlan": True,
            "isExtended": scope == EXTENDED, "scope": scope, "iat": now_us // 1_000_000, "iss": "udapi-gateway-service",
            "exp": expires_us // 1_000_000,
        }  # fmt: skip
        head = _encoded({"typ": "JWT", "alg": "HS256"}) + "." + _encoded(claims)
        return head + "." + self._signature(head)

    def scope(self, token: str) -> str | None:
        """Give the scope of a living token, None for any other."""
        if token in self._dead:
            return None
        if token in self._fixed:
            return None if self._born_after else self._fixed[token]
        head, _, signature = token.rpartition(".")
        if not hmac.compare_digest(signature, self._signature(head)):
            return None
        claims = _decoded(head.partition(".")[2])
        alive = claims.exp * 1_000_000 > self._clock.now_us() and int(claims.jti[3:]) > self._born_after
        return claims.scope if alive else None

    def kill(self, token: str) -> None:
        """End one token: a logout."""
        self._dead.add(token)

    def kill_all(self) -> None:
        """End every token given out so far, the fixed ones too."""
        self._born_after = next(self._numbers)

    def revive(self) -> None:
        """Let the tokens live again that `kill_all` ended."""
        self._born_after = 0

    def code(self, purpose: str) -> str:
        """Make a one-time code: for a login, or for a stream."""
        code = hashlib.blake2b(f"{purpose}{next(self._numbers)}".encode(), key=self._secret, digest_size=8).hexdigest()
        self._codes[code] = (purpose, self._clock.monotonic_ns() + _CODE_LIFE_NS)
        return code

    def redeem(self, code: str, purpose: str) -> bool:
        """Use a one-time code up; False when it was used, is too old or is for something else."""
        known, ends_ns = self._codes.pop(code, ("", 0))
        return known == purpose and self._clock.monotonic_ns() < ends_ns

    def _signature(self, head: str) -> str:
        return base64.urlsafe_b64encode(hmac.digest(self._secret, head.encode(), "sha256")).decode().rstrip("=")


def next_expiry_us(now_us: int) -> int:
    """Give the next 03:30 IST after an instant."""
    today = day_start_us(trading_date(now_us)) + _EXPIRES_AT_US
    return today if today > now_us else today + US_PER_DAY


def expiry_text(now_us: int) -> str:
    """Spell the next expiry as epoch milliseconds, as the broker does."""
    return str(int(to_datetime(next_expiry_us(now_us)).astimezone(IST).timestamp() * 1000))


def _encoded(claims: dict[str, object]) -> str:
    return base64.urlsafe_b64encode(json.dumps(claims, separators=(",", ":")).encode()).decode().rstrip("=")


def _decoded(text: str) -> _Claims:
    return msgspec.json.decode(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)), type=_Claims)


class _Claims(msgspec.Struct):
    exp: int
    jti: str
    scope: str


class RateLimiter:
    """So many requests in each of several sliding windows. A refused request is not counted."""

    def __init__(self, clock: Clock, limits: dict[float, int]) -> None:
        self._clock = clock
        self._windows = [(int(seconds * 1e9), most, deque[int]()) for seconds, most in limits.items()]

    def take(self) -> bool:
        """Count a request, or say that it is one too many."""
        now_ns = self._clock.monotonic_ns()
        if any(len(times) >= most for most, times in self._pruned(now_ns)):
            return False
        for _, _, times in self._windows:
            times.append(now_ns)
        return True

    def _pruned(self, now_ns: int) -> Iterator[tuple[int, deque[int]]]:
        for width_ns, most, times in self._windows:
            while times and times[0] <= now_ns - width_ns:
                times.popleft()
            yield most, times
