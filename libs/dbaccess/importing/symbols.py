"""Which symbol of an exchange a file's spelling means."""

from __future__ import annotations

from libs.dbaccess.errors import UnsafeName
from libs.dbaccess.layout import symbol_name

_PREFIXES = ("NSE:", "BSE:", "NFO:", "MCX:", "NSE_EQ|", "NSE_EQ:")
_SUFFIXES = (".NS", ".BO", ".NSE", ".BSE", "-EQ")
#: What SQL's `trim` takes off a text, too.
_SPACES = " \u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000"
BAD_SYMBOL = "the symbol is none an exchange would list"


def symbol_meant(spelling: str) -> str | None:
    """Give the symbol without what vendors put around it; None when it is none."""
    name = spelling.strip(_SPACES)
    for prefix in _PREFIXES:
        name = name.removeprefix(prefix)
    for suffix in _SUFFIXES:
        name = name.removesuffix(suffix)
    try:
        return symbol_name(name)
    except UnsafeName:
        return None
