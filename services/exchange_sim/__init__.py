"""A published fake broker: speaks the broker's own REST and WebSocket protocol over a seeded market, with faults."""
