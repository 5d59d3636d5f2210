"""structlog, loaded without rich: a tenth of a second of every start, for tracebacks that no log of ours prints."""

from __future__ import annotations

import sys

if "rich" in sys.modules:
    import structlog
else:
    sys.modules["rich"] = None  # type: ignore[assignment]  # an import of it fails, and structlog does without
    try:
        import structlog
    finally:
        del sys.modules["rich"]

__all__ = ["structlog"]
