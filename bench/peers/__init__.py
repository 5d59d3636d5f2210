"""The same backtest by others, each in a process and an environment that exist for the bench alone."""
