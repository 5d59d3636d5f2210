"""The deterministic core that live and backtest share: strategy host, sizing, exits, the loop. Pure."""
