"""The execution engine: signals become orders, orders become positions, and the trading store remembers all of it."""
