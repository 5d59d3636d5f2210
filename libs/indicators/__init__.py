"""Indicators, one family a file: a streaming form for strategies, a vectorised one over columns, equal to the bit."""
