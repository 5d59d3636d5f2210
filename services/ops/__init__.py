"""Looks after the fleet: copies on schedule, heartbeats watched, somebody told."""
