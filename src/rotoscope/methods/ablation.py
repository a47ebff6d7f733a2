"""A table of a paper as data: rows of config changes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Row:
    """A row of a table.

    Attributes:
        name: what the table calls the row.
        options: fields of the method's config for the session.
        settings: the settings of the recipe, as ``--set`` takes them; a row with any, in a table that trains, is
            trained.
        objects: score only sequences with so many objects; all if 0.
        published: what the table's published tables call the row; several names where they differ.
    """

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)
    settings: tuple[str, ...] = ()
    objects: int = 0
    published: tuple[str, ...] = ()


@dataclass(frozen=True)
class Ablation:
    """A table.

    Attributes:
        name: on the command line.
        title: what it shows, and where it is published.
        weights: evaluated by rows that are not trained, and begun with by those that are.
        rows: in order.
        recipe: trained for every row; None where rows differ at inference only.
        task: that data sets are scored for; the first each has, if None.
        published: tables of :mod:`rotoscope.evaluation.published` that print it, such as ``thesis:1``.
    """

    name: str
    title: str
    weights: str
    rows: tuple[Row, ...]
    recipe: str | None = None
    task: str | None = None
    published: tuple[str, ...] = ()
