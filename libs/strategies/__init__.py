"""Strategies: bars in, signals out; no broker, no store, no clock. One file each; `registry.py` names them."""

from libs.strategies.context import StrategyContext
from libs.strategies.interface import BaseStrategy, Parameters
from libs.strategies.position import Position
from libs.strategies.registry import register

__all__ = ["BaseStrategy", "Parameters", "Position", "StrategyContext", "register"]
