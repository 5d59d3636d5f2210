"""Sockets need short paths."""

from tests.kit.short import tmp_path

__all__ = ["tmp_path"]
