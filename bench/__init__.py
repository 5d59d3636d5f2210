"""Our numbers beside the bare parts' and the peers', as ratios of one run. Never part of a test."""
