"""The frame of every report: one HTML page that stands alone, light or dark as the reader's screen is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

_STYLE = """
:root{color-scheme:light dark;--ink:#1c2430;--paper:#fff;--faint:#5b6675;--rule:#e4e8ee;--wick:#8a94a3;--box:#f5f7fa;
--line:#1f6feb;--gain:#2a9d6f;--loss:#d1495b;--minus:#b3263a}
@media (prefers-color-scheme:dark){:root{--ink:#dde3ec;--paper:#12161c;--faint:#93a0b2;--rule:#2a323d;--wick:#6b7686;
--box:#1b212a;--line:#5b9dff;--gain:#3fbf8c;--loss:#e8697a;--minus:#ff8896}}
body{font:14px/1.5 system-ui,sans-serif;max-width:960px;margin:2em auto;padding:0 1em;color:var(--ink);
background:var(--paper)}
h1{font-size:1.5em}h2{font-size:1.1em;margin-top:2em}table{border-collapse:collapse;margin:.5em 0}
td,th{padding:.2em .8em .2em 0;text-align:right;border-bottom:1px solid var(--rule)}
td:first-child,th:first-child,.words td,.words th{text-align:left}.words td{overflow-wrap:anywhere}
td{font-variant-numeric:tabular-nums}.wide{overflow-x:auto}
svg{width:100%;min-width:640px;height:auto;display:block}p{overflow-wrap:anywhere}summary{cursor:pointer}
svg text{font-size:11px;fill:var(--faint)}.grid{stroke:var(--rule)}.wick{stroke:var(--wick)}
.line{fill:none;stroke:var(--line);stroke-width:1.5}.area{fill:var(--loss);opacity:.35}
polygon.buy,polygon.sell{stroke:var(--ink);stroke-width:.7}
.up,.buy{fill:var(--gain)}.down,.sell{fill:var(--loss)}
.heat td,.heat th{padding:.3em .6em;text-align:center;border:1px solid var(--paper)}.heat td{min-width:3em}
.heat .gain{background:color-mix(in srgb,var(--gain) var(--strength),var(--box))}
.heat .loss{background:color-mix(in srgb,var(--loss) var(--strength),var(--box))}.none{color:var(--faint)}
pre{white-space:pre-wrap;background:var(--box);padding:.8em}.minus{color:var(--minus)}
"""


def page(title: str, body: Sequence[str]) -> str:
    """Put sections into a page; nothing in it is fetched."""
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width"><title>{escape(title)}</title>'
        f"<style>{_STYLE}</style></head><body>{''.join(body)}</body></html>\n"
    )


def section(title: str, inside: str) -> str:
    """Put HTML below a heading."""
    return f"<h2>{escape(title)}</h2>{inside}"


def table(headings: Sequence[str], rows: Iterable[Sequence[object]], *, is_html: bool = False, kind: str = "") -> str:
    """Tabulate; cells are text unless they are said to be HTML. `kind` "words" is for sentences, not figures."""

    def cell(value: object) -> str:
        return str(value) if is_html else escape(str(value))

    head = "".join(f"<th>{escape(each)}</th>" for each in headings)
    body = "".join(f"<tr>{''.join(f'<td>{cell(each)}</td>' for each in row)}</tr>" for row in rows)
    return f'<div class="wide {kind}"><table><tr>{head}</tr>{body}</table></div>'
