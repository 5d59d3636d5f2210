"""Which code this is; stored beside what it writes, never inside an id.

Written here and read by the package's build: to ask the installed package for it would bring half of the mail library
into every process, a twentieth of a second of each start.
"""

from __future__ import annotations

CODE_VERSION = "0.1.0"
