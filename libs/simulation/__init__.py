"""The other halves for tests: a clock that is told the time, a bus without sockets; everything by seed."""
