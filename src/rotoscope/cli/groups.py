"""Help of commands with many options: these in groups, each under its heading."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from typer.core import TyperCommand

Groups = Mapping[str, tuple[str, ...]]
"""Headings, and the parameters that stand under each, by their names in Python."""

SEGMENT: Groups = {
    "What is followed": (
        "mask", "point", "not_point", "box", "prompter", "resize_masks", "direction", "start", "end",
    ),
    "Which method": ("method", "weights", "then", "size", "option", "then_option"),
    "What it remembers": ("memory", "memory_budget", "mem_every", "top_k", "include_last"),
    "What is written": ("output", "format", "color", "as_json"),
    "For other programs": ("objects", "alpha", "refine", "name"),
    "Going on": ("resume", "overwrite", "state_every", "by_contents"),
    "How it is computed": ("device", "precision", "runtime", "threads", "limit"),
}  # fmt: skip
TRAIN: Groups = {
    "What it learns from": ("data", "validate", "limit"),
    "What is learnt": ("set_", "initial", "plan"),
    "The run": ("output", "resume", "save_every"),
    "How it is computed": ("device", "devices", "nodes", "precision", "workers", "threads"),
}


def grouped(groups: Groups) -> type[TyperCommand]:
    """The class of a command whose help shows its options in groups; what is in none stands under ``Options``."""

    class Grouped(TyperCommand):
        """A command with groups of options."""

        def format_options(self, ctx: Any, formatter: Any) -> None:
            """Write arguments first, then each group, then the rest."""
            heading = {name: title for title, names in groups.items() for name in names}
            sections: dict[str, list[tuple[str, str]]] = {"Arguments": [], **{title: [] for title in groups}}
            for parameter in self.get_params(ctx):
                record = parameter.get_help_record(ctx)
                if record is not None:
                    other = "Arguments" if parameter.param_type_name == "argument" else "Options"
                    sections.setdefault(heading.get(str(parameter.name), other), []).append(record)
            for title, records in sections.items():
                if records:
                    with formatter.section(title):
                        formatter.write_dl(records)

    return Grouped
