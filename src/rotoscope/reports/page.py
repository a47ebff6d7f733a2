"""A self-contained page: HTML with its style in it, pictures as data, no script; whatever is told is escaped."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rotoscope.errors import printable

STYLE = """
:root{color-scheme:light dark;--ink:#26292e;--soft:#666c75;--line:#0002;--card:#f6f7f8;--page:#fff;--link:#2468a8}
@media(prefers-color-scheme:dark){:root{--ink:#d6d9de;--soft:#9aa1ab;--line:#fff2;--card:#1d2025;--page:#15171a;--link:#7db4e6}}
*{box-sizing:border-box}body{margin:0;background:var(--page);color:var(--ink);font:15px/1.5 system-ui,sans-serif}
main{max-width:1200px;margin:0 auto;padding:1.5rem 1.25rem 4rem}h1{font-size:1.6rem;margin:.2rem 0 .4rem}
h2{font-size:1.25rem;margin:2.6rem 0 .6rem;padding-top:.8rem;border-top:1px solid var(--line)}
h3{font-size:1rem;margin:1.6rem 0 .5rem}p{margin:.4rem 0;max-width:75ch}.soft{color:var(--soft)}a{color:var(--link)}
nav{display:flex;flex-wrap:wrap;gap:.2rem 1.2rem;margin:.6rem 0}.wide{overflow-x:auto}
table{border-collapse:collapse;font-size:.88rem;font-variant-numeric:tabular-nums}
caption{text-align:left;color:var(--soft);padding:.3rem 0}
td,th{padding:.22rem .7rem;text-align:right;white-space:nowrap}
th{font-weight:600;border-bottom:1px solid var(--line)}td:first-child,th:first-child{text-align:left;padding-left:0}
td.long{white-space:normal;text-align:left;overflow-wrap:anywhere;min-width:17rem;max-width:40rem}
tr:hover td{background:var(--card)}
.plots{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,470px),1fr));gap:1rem;align-items:start}
.plots img,.plot img{max-width:100%;height:auto;display:block}figure{margin:0}
figcaption{font-size:.84rem;color:var(--soft);overflow-wrap:anywhere}
.strip{display:grid;grid-template-columns:repeat(6,1fr);gap:5px;margin:.2rem 0 1rem}
.shots{display:grid;grid-template-columns:repeat(auto-fill,minmax(250px,1fr));gap:.9rem}
.strip img,.shots img{width:100%;height:auto;border-radius:3px;display:block;background:var(--card)}
@media(max-width:700px){.strip{grid-template-columns:repeat(3,1fr)}}
"""


def text(value: object) -> str:
    """Anything as text of the page: one line, safe to show, escaped."""
    return html.escape(printable(str(value)))


def table(heads: Sequence[str], rows: Sequence[Sequence[object]], caption: str = "", long: Sequence[int] = ()) -> str:
    """A table; the first column is of names, those of the numbers in ``long`` of texts that may break."""
    top = "".join(f'<th scope="col">{text(head)}</th>' for head in heads)
    body = "".join(
        "<tr>" + "".join(f"<td{_long(number in long)}>{text(cell)}</td>" for number, cell in enumerate(row)) + "</tr>"
        for row in rows
    )
    told = f"<caption>{text(caption)}</caption>" if caption else ""
    return f'<div class="wide"><table>{told}<thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'


def _long(yes: bool) -> str:
    return ' class="long"' if yes else ""


def facts(pairs: Mapping[str, object]) -> str:
    """Names and what they are, a line each; those that are None or empty are left out."""
    rows = "".join(
        f'<tr><td>{text(name)}</td><td class="long">{text(value)}</td></tr>'
        for name, value in pairs.items()
        if value not in (None, "", {}, [])
    )
    return f'<div class="wide"><table><tbody>{rows}</tbody></table></div>'


def picture(uri: str, alt: str, caption: str = "", width: int | None = None) -> str:
    """A picture that the page holds, with words for who does not see it."""
    told = f"<figcaption>{text(caption)}</figcaption>" if caption else ""
    size = f' width="{width}"' if width is not None else ""
    return f'<figure class="plot"><img alt="{text(alt)}" src="{uri}"{size}>{told}</figure>'


def paragraph(line: str, soft: bool = False) -> str:
    """A paragraph of plain text."""
    return f"<p{' class=' + chr(34) + 'soft' + chr(34) if soft else ''}>{text(line)}</p>"


def group(kind: str, parts: Sequence[str]) -> str:
    """Parts side by side: ``plots``, ``strip`` or ``shots``; nothing of none."""
    return f'<div class="{kind}">{"".join(parts)}</div>' if parts else ""


@dataclass
class Section:
    """A part of a page under a heading.

    Attributes:
        title: the heading.
        parts: HTML, from top to bottom.
    """

    title: str
    parts: list[str] = field(default_factory=list)

    def add(self, *parts: str) -> None:
        """Put parts at the end, each under those before."""
        self.parts += [part for part in parts if part]

    def under(self, heading: str, *parts: str) -> None:
        """Put parts at the end, under a smaller heading; nothing where there are none."""
        shown = [part for part in parts if part]
        if shown:
            self.parts += [f"<h3>{text(heading)}</h3>", *shown]


def page(title: str, told: str, sections: Sequence[Section]) -> str:
    """The whole page.

    Its policy forbids it to fetch anything: what is shown is in it.
    """
    links = "".join(f'<a href="#s{number}">{text(section.title)}</a>' for number, section in enumerate(sections))
    body = "".join(
        f'<section id="s{number}"><h2>{text(section.title)}</h2>{"".join(section.parts)}</section>'
        for number, section in enumerate(sections)
    )
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        f"<title>{text(title)}</title><style>{STYLE}</style></head>"
        f'<body><main><h1>{text(title)}</h1><p class="soft">{text(told)}</p><nav>{links}</nav>{body}'
        "</main></body></html>\n"
    )


def percent(value: float | None, digits: int = 1) -> str:
    """A share as percent; a dash for what was not measured."""
    return "-" if value is None or value != value else f"{100 * value:.{digits}f}"


def number(value: Any, digits: int = 1) -> str:
    """A number; a dash for what was not measured."""
    return "-" if value is None or value != value else f"{float(value):.{digits}f}"
