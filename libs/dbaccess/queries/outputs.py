"""The kinds of frame an answer can be given as."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, get_args

from libs.core.errors import Refused

if TYPE_CHECKING:
    import pyarrow as pa

Output = Literal["pandas", "arrow", "polars"]


def delivered(table: pa.Table, output: Output) -> Any:
    """Give the table as the kind of frame asked for."""
    if output == "pandas":
        return table.to_pandas()
    if output == "polars":
        import polars as pl

        return pl.from_arrow(table)
    return table


def check_output(output: str) -> None:
    """Refuse a kind of frame there is not, before anything is read."""
    if output not in get_args(Output):
        raise Refused(f"output {output!r}: expected one of {', '.join(get_args(Output))}")
