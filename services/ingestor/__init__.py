"""Captures the market: feed, journal, bars, bus, live buffer. The market store's only writer."""
