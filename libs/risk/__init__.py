"""The gate before every order: limits, checks, and the verdict only the gate can make. Pure; no I/O, no clock."""
