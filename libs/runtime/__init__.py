"""What every process does the same way: logs, and later signals, heartbeat and the wiring of a manifest."""
