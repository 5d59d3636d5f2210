"""Scans over a whole market at once: bars in, picked symbols out; no store, no bus, no clock."""
