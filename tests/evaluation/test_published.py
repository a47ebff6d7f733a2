"""Published figures: the data, and that every cell shown is the data's."""

from __future__ import annotations

import io
import json
from collections import Counter
from importlib import resources
from typing import Any

import pytest
from rich.console import Console
from rich.table import Table

from rotoscope.cli.tables import breakdown_table, comparison_table, published_rows
from rotoscope.evaluation.evaluate import Evaluation
from rotoscope.evaluation.protocol import protocol
from rotoscope.evaluation.published import (
    COLUMNS,
    SOURCES,
    breakdowns,
    columns_of,
    comparison,
    figures,
    find_tables,
    published_tables,
)
from rotoscope.evaluation.scores import ObjectScores
from rotoscope.methods import ablations

RECORDS: list[dict[str, Any]] = json.loads(
    resources.files("rotoscope.evaluation").joinpath("published.json").read_text(encoding="utf-8")
)
PARTS = (("J&F", ("J mean", "F mean")), ("G", ("J seen", "J unseen", "F seen", "F unseen")))


def test_the_data_holds_what_its_sources_print() -> None:
    counted = Counter(record["source"] for record in RECORDS)
    own = {source: counted[source] for source in ("capsulevos", "cosnet", "agame", "giel", "rvos", "thesis")}
    assert own == {"capsulevos": 5, "cosnet": 9, "agame": 4, "giel": 5, "rvos": 7, "thesis": 16}
    documents = [record for record in RECORDS if record["source"] in own]
    assert sum(len(record["rows"]) for record in documents) == 435
    numbers = [value for record in documents for _, _, _, *values in record["rows"] for value in values]
    assert sum(value is not None for value in numbers) == 1535
    assert round(sum(value for value in numbers if value is not None), 3) == TOTAL


TOTAL = 69068.332
"""The sum of all numbers of the documents, which no slip of a digit leaves as it is."""


def test_values_have_names_and_ranges() -> None:
    for record in RECORDS:
        assert record["source"] in SOURCES
        assert all(len(row) == 3 + len(record["columns"]) for row in record["rows"]), record["id"]
        names = {row[0] for row in record["rows"]}
        assert all(row in names and column in record["columns"] for row, column, *_ in record["suspect"]), record["id"]
        most = {"share": 1.0, "percent": 100.0}.get(record["unit"], 200.0)
        percent = [c for c in record["columns"] if c in COLUMNS[:14] or record["level"] == "objects"]
        for _, _, _, *values in record["rows"]:
            given = dict(zip(record["columns"], values, strict=True))
            least = {c: -most if "decay" in c else 0.0 for c in percent}
            assert all(given[c] is None or least[c] <= given[c] <= most for c in percent), (record["id"], given)


def test_means_of_parts_agree_where_no_cell_is_marked() -> None:
    for table in published_tables():
        for row in table.rows:
            for whole, parts in PARTS:
                if {whole, *parts} <= set(row.values) and not row.suspect:
                    mean = sum(row.values[part] for part in parts) / len(parts)
                    assert row.values[whole] == pytest.approx(mean, abs=0.11), (table.id, row)


def test_cells_that_cannot_be_right_are_marked_with_what_their_parts_give() -> None:
    marked = {
        (table.id, row.variant, column): why
        for table in published_tables()
        if table.kind == "davis17"
        for row in table.rows
        for column, why in row.suspect.items()
    }
    assert marked["thesis:5", "STCN + dropout", "J&F"].endswith("by its parts 82.3")
    assert {("thesis:4", "Softmax storing", "J&F"), ("thesis:4", "Softmax storing", "F mean")} <= set(marked)
    assert ("giel:2", "SIMMASK", "J&F") in marked
    categories = find_tables("cosnet:5")[0].row("COSNet")
    assert categories is not None
    assert "mean" in categories.suspect


def rendered(table: Table) -> dict[str, list[str]]:
    """Cells of a table as they are drawn, by the column's heading."""
    console = Console(width=10_000, record=True, file=io.StringIO())
    console.print(table)
    assert "Traceback" not in console.export_text()
    return {str(column.header): [str(cell) for cell in column.cells] for column in table.columns}


def cells_of_data(kind: str, task: str, split: str, levels: tuple[str, ...]) -> Counter[tuple[str, str]]:
    """Column and value of every number in the data."""
    return Counter(
        (column, str(float(value)))
        for record in RECORDS
        if (record["dataset"], record["task"], record["split"]) == (kind, task, split) and record["level"] in levels
        for _, _, _, *values in record["rows"]
        for column, value in zip(record["columns"], values, strict=True)
        if value is not None
    )


def evaluated(kind: str, task: str, split: str, *objects: ObjectScores) -> Evaluation:
    scored = objects or (ObjectScores("a", 1, None, None, 1, None, ("0", "1"), (0.5, 0.7), (0.4, 0.6)),)
    return Evaluation(f"{kind}:somewhere", split, protocol(kind, task), "out", scored, (), ())


@pytest.mark.parametrize(
    ("kind", "task", "split"),
    [
        ("davis16", "semi", "val"),
        ("davis17", "semi", "val"),
        ("davis17", "semi", "test-dev"),
        ("davis17", "zero-shot", "test-dev"),
        ("davis16", "unsupervised", "val"),
        ("fbms", "unsupervised", "test"),
        ("youtubeobjects", "unsupervised", ""),
        ("youtubevos", "semi", "valid"),
        ("youtubevos", "zero-shot", "valid"),
    ],
)
def test_compare_shows_every_cell_of_the_data_as_printed(kind: str, task: str, split: str) -> None:
    compared = comparison(evaluated(kind, task, split), "mine", {"fps": 3.0})
    shown = rendered(comparison_table(compared))
    columns = columns_of(compared)
    found = Counter((column, cell.removesuffix("?")) for column in columns for cell in shown[column][1:] if cell)
    expected = cells_of_data(kind, task, split, ("overall",))
    in_milliseconds = {cell for cell in expected if cell[0] == "ms per frame"}
    for column, value in in_milliseconds:
        expected["seconds per frame", str(float(value) / 1000)] += expected.pop((column, value))
    assert found == Counter({cell: n for cell, n in expected.items() if cell[0] in COLUMNS})
    assert found
    assert shown["method"][0] == "mine"


def test_objects_categories_and_numbers_of_objects_stand_beside_those_of_the_papers() -> None:
    score = ObjectScores("blackswan", 1, None, None, 1, None, ("0",), (0.5,), (0.4,))
    (found,) = breakdowns(evaluated("davis17", "semi", "val", score))
    shown = rendered(breakdown_table(found))
    assert shown["object"] == ["blackswan 1"]
    record = next(r for r in RECORDS if r["id"] == "thesis:10")
    expected = next(values for name, _, _, *values in record["rows"] if name == "blackswan 1")
    assert [shown[f"thesis Table 10: {c}"][0] for c in record["columns"]] == [str(float(v)) for v in expected]
    assert shown["J here"] == ["50.0"]
    score = ObjectScores("aeroplane/1", 1, "aeroplane", None, 1, None, ("0",), (0.5,), (0.4,))
    (found,) = breakdowns(evaluated("youtubeobjects", "unsupervised", "", score))
    shown = rendered(breakdown_table(found))
    assert (shown["category"], shown["COSNet"]) == (["Airplane"], ["81.1"])
    scores = [ObjectScores("a", i, None, True, 2, None, ("0",), (0.5,), (0.4,)) for i in (1, 2)]
    (found,) = breakdowns(evaluated("youtubevos", "semi", "valid", *scores))
    shown = rendered(breakdown_table(found))
    assert (shown["objects"], shown["rvos Table 3: J mean"]) == (["2 objects"], ["62.8"])


@pytest.mark.parametrize("name", ablations())
def test_ablation_tables_show_the_cells_of_their_sources(name: str) -> None:
    table = ablations()[name]
    shown = iter(published_rows(table))
    printed: set[str] = set()
    for record in (r for identity in table.published for r in RECORDS if r["id"] == identity):
        cells = rendered(next(shown))
        rows = {label: values for label, _, _, *values in reversed(record["rows"])}
        marked = {(row, column) for row, column, *_ in record["suspect"]}
        of_rows = {row.name: next((n for n in row.published if n in rows), None) for row in table.rows}
        labels = {ours: label for ours, label in of_rows.items() if label is not None}
        assert labels, (name, record["id"])
        assert cells[""] == list(labels)
        printed |= set(labels.values())
        for number, label in enumerate(labels.values()):
            for column, value in zip(record["columns"], rows[label], strict=True):
                mark = "?" if (label, column) in marked else ""
                assert cells[column][number] == ("" if value is None else f"{float(value)}{mark}")
    assert not list(shown)
    assert {label for row in table.rows for label in row.published} == printed


def test_every_table_of_the_documents_that_varies_a_method_stands_beside_ours() -> None:
    shown = {identity for table in ablations().values() for identity in table.published}
    assert shown >= {"capsulevos:3", "cosnet:1", "cosnet:2", "agame:1", "giel:1", "rvos:1", "rvos:3", "rvos:5"}
    assert shown >= {f"thesis:{number}" for number in (1, 2, 3, 4, 5, 6, "figure 11")}


def test_figures_of_one_split_do_not_stand_beside_another() -> None:
    assert {figure.split for figure in comparison(evaluated("davis17", "semi", "val"))} == {"val"}
    assert {figure.split for figure in comparison(evaluated("davis17", "semi", "train"))[1:]} > {"val", "test-dev"}
    assert len(figures("davis17", "semi")) > len(figures("fbms"))
