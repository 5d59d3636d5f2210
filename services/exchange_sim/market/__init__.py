"""The simulated market: instruments, sessions, a seeded price path, quotes, candles and the market's own clock."""
