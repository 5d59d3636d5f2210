"""The two streams: market data as protobuf frames, the portfolio as JSON events, and the driver that plays the day."""
