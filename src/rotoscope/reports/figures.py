"""Plots as SVG pictures that hold their own colours for light and for dark pages; by matplotlib."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rotoscope.errors import InputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INK = "#1a2b3c"
"""Stands for the colour of text and lines; the page's own takes its place."""
COLOURS = ("#3b82c4", "#d9772b", "#4a9f5b", "#b45fb0", "#c2514e", "#8c7a3d", "#4aa3a8", "#7a7f87")
"""Of runs and of objects, one after another; each is seen on white and on black."""
THEME = "<style>:root{--ink:#26292e}@media(prefers-color-scheme:dark){:root{--ink:#d6d9de}}</style>"
STYLE: dict[Any, Any] = {
    "svg.hashsalt": "rotoscope",
    "svg.fonttype": "path",
    "font.size": 9,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "grid.color": INK,
    "grid.alpha": 0.15,
    "grid.linewidth": 0.7,
    "legend.frameon": False,
    "text.parse_math": False,
    "path.simplify": True,
}


def require() -> None:
    """See that matplotlib is there.

    Raises:
        InputError: it is not.
    """
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise InputError('plots need matplotlib: pip install -e ".[report]".') from None


class Plot:
    """A picture to draw in, until it is finished.

    Attributes:
        figure: of matplotlib.
    """

    def __init__(self, figure: Figure) -> None:
        self.figure = figure
        self.uri = ""

    def axes(self, rows: int = 1, columns: int = 1, **how: Any) -> list[Any]:
        """Axes side by side, row by row."""
        made = self.figure.subplots(rows, columns, squeeze=False, **how)
        return [axes for row in made for axes in row]


@contextmanager
def plot(width: float, height: float) -> Iterator[Plot]:
    """A plot of so many inches; when the block ends its ``uri`` is a data URI of the SVG.

    Nothing of matplotlib's global state is touched: no window, no current figure, no settings of the user's.
    """
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(rc={**matplotlib.rcParamsDefault, **STYLE, "backend": "agg"}):
        drawn = Plot(Figure(figsize=(width, height), layout="constrained"))
        yield drawn
        file = io.StringIO()
        drawn.figure.savefig(file, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    svg = file.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL).replace(INK, "var(--ink)")
    head, _, rest = svg.partition(">")
    coded = base64.b64encode(f"{head}>{THEME}{rest}".encode()).decode("ascii")
    drawn.uri = f"data:image/svg+xml;base64,{coded}"
