"""How complete the closed days are: a certificate a symbol and day, made from the day's file and kept beside it."""

from libs.dbaccess.coverage.certificates import (
    Counted,
    Minutes,
    certify_day,
    certify_tables,
    closed_symbols,
    count_imported,
)
from libs.dbaccess.coverage.compare import compare_with_broker
from libs.dbaccess.coverage.report import DayCoverage, coverage, require_coverage
from libs.dbaccess.coverage.stored import Certificate, stored_certificates

__all__ = [
    "Certificate",
    "Counted",
    "DayCoverage",
    "Minutes",
    "certify_day",
    "certify_tables",
    "closed_symbols",
    "compare_with_broker",
    "count_imported",
    "coverage",
    "require_coverage",
    "stored_certificates",
]
