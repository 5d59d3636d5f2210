"""One check a file: `check(case) -> Rejected | None`, pure, cheap, with the figures that decided it."""
