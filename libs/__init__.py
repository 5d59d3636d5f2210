"""What live, backtest and the tools share; see CONTRIBUTING.md for the layers."""
