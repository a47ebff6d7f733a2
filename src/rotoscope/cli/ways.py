"""Tables of ways of computing, side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

if TYPE_CHECKING:
    from rotoscope.experiments.compare import Comparison


def ways_table(comparison: Comparison, threads: int) -> Table:
    """Ways of computing a method: seconds a frame in all and by part, and how many times as fast as the first."""
    table = Table(title=f"{comparison.method}, 854x480, {threads} threads, seconds per frame", box=None)
    parts = list(dict.fromkeys(part for _, _, measured in comparison.rows for part in measured.parts))
    for title in ("way", "objects", "frames", "frames/s", "in all", "times as fast", *parts):
        table.add_column(title, justify="right")
    for row in comparison.rows:
        name, objects, measured = row
        cells = [f"{measured.parts_per_frame[part]:.4f}" if part in measured.parts else "-" for part in parts]
        whole = (f"{measured.rate:.2f}", f"{measured.per_frame:.4f}", f"{comparison.ratio(row):.2f}")
        table.add_row(name, str(objects), str(measured.frames), *whole, *cells)
    return table


def floor_table(comparison: Comparison) -> Table:
    """What each part would take at the processor's peak, and how many times as long it took."""
    peaks = ", ".join(f"{2e-9 * rate:.0f} GFLOP/s {name}" for name, rate in comparison.peak.items())
    title = f"{comparison.method}: multiply-adds a frame over the peak of a product here ({peaks})"
    table = Table(title=title, box=None)
    names = list(dict.fromkeys(name for name, _, _ in comparison.rows))
    for heading in ("part", "objects", "10^9", *(f"floor, {name} (s)" for name in names), *(f"x, {n}" for n in names)):
        table.add_column(heading, justify="right")
    for objects, products in comparison.products.items():
        measured = {name: one.parts_per_frame for name, count, one in comparison.rows if count == objects}
        for part in (*products, "all of these"):
            parts = list(products) if part == "all of these" else [part]
            floors = {name: sum(comparison.floor(name, objects, one) for one in parts) for name in names}
            took = {name: sum(measured[name].get(one, 0.0) for one in parts) for name in names}
            cells = [f"{floors[name]:.4f}" for name in names] + [f"{took[name] / floors[name]:.1f}" for name in names]
            table.add_row(part, str(objects), f"{1e-9 * sum(products[one] for one in parts):.2f}", *cells)
    return table
