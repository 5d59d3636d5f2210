"""How far the machine's clock is off, as the kernel knows it."""

from __future__ import annotations

import ctypes

_UNSYNCHRONISED, _NANOSECONDS = 0x0040, 0x2000
_TIMEX_BYTES = 256


def clock_offset_ms() -> float | None:
    """Ask the kernel how far its clock is off, by its own time keeping; None when nothing keeps it."""
    buffer = ctypes.create_string_buffer(_TIMEX_BYTES)
    if ctypes.CDLL(None, use_errno=True).adjtimex(buffer) < 0:
        return None
    word = ctypes.sizeof(ctypes.c_long)
    offset = ctypes.c_long.from_buffer(buffer, word).value
    status = ctypes.c_int.from_buffer(buffer, 5 * word).value
    if status & _UNSYNCHRONISED:
        return None
    return abs(offset) / (1e6 if status & _NANOSECONDS else 1e3)
