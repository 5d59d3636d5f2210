"""What tests share: project paths, seeded market data, processes to start and kill."""
