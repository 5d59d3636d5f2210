"""One strategy, many parameters: grids, searches, the file of their results, and how much of the best is luck."""
