"""A table of a paper as data: rows of config changes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Row:
    """A row of a table.

    Attributes:
        name: the name of the row in the table.
        options: fields of the method's config that the session is opened with.
        settings: the settings of the recipe, as ``--set`` takes them. In a table that trains, a row that has any is
            trained.
        objects: the number of objects of the sequences that are scored; 0 takes all sequences.
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
        name: the name of the table on the command line.
        title: what the table shows, and where it is published.
        weights: the weights that rows without training are run with, and that trained rows begin with.
        rows: the rows, from top to bottom.
        recipe: the recipe that every row is trained by; None where rows differ at inference only.
        task: the task that data sets are scored for; None takes each data set's own.
        published: tables of :mod:`rotoscope.evaluation.published` that print it, such as ``thesis:1``.
    """

    name: str
    title: str
    weights: str
    rows: tuple[Row, ...]
    recipe: str | None = None
    task: str | None = None
    published: tuple[str, ...] = ()
