"""Restarts what hangs, stops what keeps crashing, and is loudest when the engine falls silent with positions open."""
