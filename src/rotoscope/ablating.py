"""Run the rows of a paper's table: train where rows are trained, segment, score, and set the paper's figures beside."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.table import Table

from rotoscope.dataset_run import segment_dataset
from rotoscope.datasets.sequences import VideoDataset, object_ids
from rotoscope.errors import InputError
from rotoscope.evaluation.evaluate import evaluate
from rotoscope.evaluation.protocol import protocol
from rotoscope.methods import look_up, method_module, of_all_methods
from rotoscope.methods.ablation import Ablation, Row
from rotoscope.methods.base import Method
from rotoscope.methods.recipe import Recipe
from rotoscope.weights import find, load


@dataclass
class RowResult:
    """What a row gave.

    Attributes:
        row: which.
        scores: J&F, J and F in percent, by data set and measure.
        fps: frames per second over all data sets, with reading and writing.
        read: seconds a frame in the memory read.
        remembered: most frames' worth of features held.
        peak: bytes of the process so far.
        weights: file of a trained row.
    """

    row: Row
    scores: dict[str, dict[str, float]] = field(default_factory=dict)
    fps: float = 0.0
    read: float = 0.0
    remembered: float | None = None
    peak: int = 0
    weights: str | None = None


def ablations() -> dict[str, Ablation]:
    """All tables by name."""
    return of_all_methods("ablations", "ABLATIONS")


def find_ablation(name: str) -> Ablation:
    """Return a table.

    Raises:
        InputError: no such table.
    """
    found: Ablation = look_up("table", name, ablations())
    return found


def run_ablation(
    table: Ablation,
    datasets: Sequence[tuple[str, VideoDataset]],
    folder: Path,
    *,
    train: Callable[[Recipe, Path], Path] | None = None,
    scale: float = 1.0,
    settings: Sequence[str] = (),
    device: str = "auto",
    precision: str = "fast",
    jobs: int | None = None,
    weights: str | Path | None = None,
    **options: Any,
) -> Iterator[RowResult]:
    """Run every row; yields each as it is done.

    Args:
        table: which.
        datasets: names and data sets to score on.
        folder: for masks and weights of the rows; must not hold any.
        train: trains a recipe in a folder and returns its weights; needed by tables that train.
        scale: share of the recipe's steps that each row is trained for.
        settings: of the recipe, for all rows, as ``--set`` takes them; a row's own go before them.
        device, precision: see :func:`rotoscope.load`.
        jobs: processes that score.
        weights: evaluated by rows that are not trained, instead of the table's own.
        options: of the session, for all rows; a row's own go before them.

    Raises:
        InputError: a table that trains without a way to train.
    """
    model = load(weights or table.weights, device=device, precision=precision) if table.recipe is None else None
    for number, row in enumerate(table.rows):
        place = folder / f"row-{number}"
        result = RowResult(row)
        if table.recipe is not None:
            if train is None:
                raise InputError(f"table {table.name} trains its rows: give --data.")
            recipe = scaled(find_recipe_of(table), scale).changed([*settings, *row.settings])
            trained = train(recipe, place / "training")
            result.weights = str(trained)
            model = load(trained, device=device, precision=precision)
        assert model is not None
        chosen = [(name, with_objects(dataset, row.objects)) for name, dataset in datasets]
        _score(
            result,
            model,
            [pair for pair in chosen if len(pair[1])],
            place,
            jobs,
            table.task,
            {**options, **row.options},
        )
        yield result


def _score(
    result: RowResult,
    model: Method,
    datasets: Sequence[tuple[str, VideoDataset]],
    folder: Path,
    jobs: int | None,
    task: str | None,
    options: dict[str, Any],
) -> None:
    if not datasets:
        return
    frames, wall, read = 0, 0.0, 0.0
    for name, dataset in datasets:
        run = segment_dataset(dataset, protocol(dataset.kind, task), model, folder / name, **options)
        scores = evaluate(folder / name, dataset, task, stability=False, jobs=jobs).overall()
        result.scores[name] = {key: 100 * scores[key] for key in ("J&F", "J mean", "F mean")}
        frames, wall, read = frames + run.frames, wall + run.wall, read + run.parts.get("read memory", 0.0)
        result.peak = run.peak_memory
        if run.remembered is not None:
            result.remembered = max(result.remembered or 0.0, run.remembered)
    result.fps, result.read = frames / wall, read / frames


def with_objects(dataset: VideoDataset, count: int) -> VideoDataset:
    """The sequences of a data set that show so many objects in their first annotated frame; all for 0."""
    if not count:
        return dataset
    kept = tuple(s for s in dataset if len(object_ids(s.first_labels())) == count)
    return dataclasses.replace(dataset, sequences=kept)


def find_recipe_of(table: Ablation) -> Recipe:
    """The recipe that a table trains."""
    assert table.recipe is not None
    recipes: dict[str, Recipe] = method_module(find(table.weights).method, "training").RECIPES
    return recipes[table.recipe]


def scaled(recipe: Recipe, scale: float) -> Recipe:
    """A recipe with a share of its steps, at least one a stage."""
    stages = tuple(dataclasses.replace(s, steps=max(round(s.steps * scale), 1)) for s in recipe.stages)
    return dataclasses.replace(
        recipe,
        stages=stages,
        warm_up=max(round(recipe.warm_up * scale), 1),
        validate_every=max(sum(s.steps for s in stages), 1),
    )


def as_table(table: Ablation, results: Sequence[RowResult]) -> Table:
    """Results beside what the paper prints."""
    made = Table(title=table.title, title_justify="left", box=None)
    made.add_column("")
    names = list(dict.fromkeys(name for result in results for name in result.scores))
    for name in names:
        for measure in ("J&F", "J", "F"):
            made.add_column(f"{name} {measure}", justify="right")
    for title in ("frames/s", "read ms", "frames kept"):
        made.add_column(title, justify="right")
    published = sorted({key for row in table.rows for key in row.published})
    for key in published:
        made.add_column(f"published {key}", justify="right")
    for result in results:
        cells = [
            f"{result.scores[name][key]:.1f}" if name in result.scores else "-"
            for name in names
            for key in ("J&F", "J mean", "F mean")
        ]
        kept = "-" if result.remembered is None else f"{result.remembered:.1f}"
        printed = [f"{result.row.published[key]:.1f}" if key in result.row.published else "" for key in published]
        made.add_row(result.row.name, *cells, f"{result.fps:.1f}", f"{1e3 * result.read:.1f}", kept, *printed)
    return made
