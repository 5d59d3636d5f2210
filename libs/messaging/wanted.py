"""Which topics anyone subscribes to, so that nobody encodes what nobody reads."""

from __future__ import annotations

from libs.contracts.topics import TERMINATOR


class Wanted:
    """The union of all subscriptions. `generation` changes whenever an earlier answer may be out of date."""

    def __init__(self, prefixes_max: int) -> None:
        self.generation = 0
        self._prefixes_max = prefixes_max
        self._exact: set[str] = set()
        self._prefixes: set[str] = set()
        self._prefixes_tuple: tuple[str, ...] = ()
        self._everything = False

    def __call__(self, topic: str) -> bool:
        return self._everything or topic in self._exact or topic.startswith(self._prefixes_tuple)

    def __len__(self) -> int:
        return len(self._exact) + len(self._prefixes)

    def change(self, prefix: str, *, wanted: bool) -> None:
        """Take in one subscription, or the end of the last one of its kind."""
        kind = self._exact if prefix.endswith(TERMINATOR) else self._prefixes
        if wanted and len(self) >= self._prefixes_max:
            # Choosing costs more than sending now, and whoever asked must not go without.
            self._everything = True
        elif wanted:
            kind.add(prefix)
        else:
            kind.discard(prefix)
        self._prefixes_tuple = tuple(self._prefixes)
        self.generation += 1
