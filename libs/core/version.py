"""Which code this is; stored beside what it writes, never inside an id.

Written here and read by the package's build: to ask the installed package for it brings half of the mail library, a
twentieth of a second of a start that does not come to DuckDB, which asks for its own that way.
"""

from __future__ import annotations

CODE_VERSION = "0.1.0"
