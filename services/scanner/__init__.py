"""Hosts strategies over closed bars; every signal is in its store before anybody hears of it."""
