"""A page of a batch's results: a picture of each video, and why those that failed did."""

from __future__ import annotations

import html
import json
import urllib.parse
from itertools import islice
from pathlib import Path

from rotoscope.batches.jobs import PAGE
from rotoscope.batches.journal import Journal
from rotoscope.batches.schema import Row
from rotoscope.batches.thumbnails import NAME
from rotoscope.errors import shown
from rotoscope.files import atomic_write, inside

MOST = 2000
"""Jobs that are shown; a browser bears no more. Failed ones come first."""
ORDER = ("failed", "claimed", "open", "waiting", "done")
STYLE = """
:root { color-scheme: light dark; font: 15px system-ui, sans-serif; } body { margin: 1.5rem; }
.jobs { display: grid; grid-template-columns: repeat(auto-fill, minmax(240px, 1fr)); gap: 1rem; }
figure { margin: 0; } figure img, .none { width: 100%; height: 150px; object-fit: contain; background: #8882; }
.none { display: grid; place-items: center; } .failed { color: #c33; } a { color: inherit; }
figcaption { overflow-wrap: anywhere; margin-top: .3rem; }
"""


def write_page(folder: Path, journal: Journal) -> None:
    """Write ``index.html``; pictures are linked, not held.

    Args:
        folder: of the batch.
        journal: its journal.
    """
    counts = journal.counts()
    to_do = counts["open"] + counts["claimed"]
    rows = (row for state in ORDER for row in journal.rows(state) if row.kind != "piece")
    chosen = list(islice(rows, MOST))
    head = f"{counts['done']} done, {counts['failed']} failed, {to_do} to do"
    count = counts["done"] + counts["failed"] + to_do
    left_out = f"<p>The first {MOST} of {count} are shown.</p>" if count > MOST else ""
    figures = "\n".join(_figure(folder, row) for row in chosen)
    page = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{head}</title><style>{STYLE}</style>'
        f'<h1>{html.escape(head)}</h1>{left_out}<div class="jobs">{figures}</div></html>\n'
    )
    with atomic_write(inside(folder, PAGE)) as path:
        path.write_text(page, encoding="utf-8")


def _figure(folder: Path, row: Row) -> str:
    name = html.escape(shown(row.name))
    if row.state != "done":
        state = {"claimed": "under way", "failed": "failed"}.get(row.state, "to do")
        told = f': <span class="failed">{html.escape(row.reason)}</span>' if row.reason else ""
        return f'<figure><div class="none">{state}</div><figcaption>{name}{told}</figcaption></figure>'
    results = urllib.parse.quote(f"{row.name}/")
    link = urllib.parse.quote(f"{row.name}/{NAME}")
    there = (folder / row.name / NAME).is_file()
    picture = f'<img loading="lazy" alt="{name}" src="{link}">' if there else '<div class="none">no picture</div>'
    report = json.loads(row.report or "{}")
    ids = report.get("objects", [])
    objects = f"object{'s' if len(ids) > 1 else ''} {', '.join(map(str, ids))}" if ids else "no object"
    facts = f"{report.get('frames', 0)} frames, {objects}"
    return (
        f'<figure><a href="{results}">{picture}</a><figcaption><a href="{results}">{name}</a>: {html.escape(facts)}'
        "</figcaption></figure>"
    )
