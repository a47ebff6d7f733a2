"""Run the rows of a paper's table: train where rows are trained, segment, score, and keep the results."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rotoscope.datasets.long_clips import KINDS, write_long_clips
from rotoscope.datasets.photographs import Photographs, data_root
from rotoscope.datasets.sequences import VideoDataset, object_ids
from rotoscope.datasets.spec import open_dataset
from rotoscope.errors import InputError
from rotoscope.evaluation.evaluate import evaluate
from rotoscope.evaluation.protocol import protocol
from rotoscope.files import atomic_write, check_folder
from rotoscope.methods import ablations, look_up, training_of
from rotoscope.methods.ablation import Ablation, Row
from rotoscope.methods.base import Method
from rotoscope.methods.recipe import Recipe
from rotoscope.provenance import provenance
from rotoscope.runs.dataset import segment_dataset
from rotoscope.runs.measure import Measurement
from rotoscope.weights import find, load

RESULTS = "results.json"


@dataclass
class RowResult:
    """What a row gave.

    Attributes:
        row: the row of the table that was run.
        scores: J&F, J and F in percent, by name of the data set and of the measure.
        measured: frames, time and memory over all data sets.
        weights: the file of the trained weights; None for a row that is not trained.
    """

    row: Row
    scores: dict[str, dict[str, float]] = field(default_factory=dict)
    measured: Measurement = field(default_factory=Measurement)
    weights: str | None = None

    @property
    def read(self) -> float:
        """Seconds a frame in the memory read."""
        return self.measured.parts_per_frame.get("read memory", 0.0)

    def as_record(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "row": asdict(self.row),
            "scores": self.scores,
            "fps": self.measured.rate,
            "read": self.read,
            "remembered": self.measured.remembered,
            "peak": self.measured.peak,
            "weights": self.weights,
        }


@dataclass(frozen=True)
class LongClips:
    """Long synthetic clips to score on, made from the held-out part of the photographs.

    Attributes:
        count: the number of clips for each number of objects.
        frames: the number of frames of a clip.
        size: the side of the square frames in pixels.
        kinds: what the clips show, of :data:`rotoscope.datasets.long_clips.KINDS`.
    """

    count: int
    frames: int = 300
    size: int = 256
    kinds: tuple[str, ...] = ("wandering",)

    def write(self, folder: Path, photographs: Photographs, objects: Sequence[int]) -> list[tuple[str, VideoDataset]]:
        """Make the clips of each kind, with each of the numbers of objects; returns names and data sets."""
        kinds = [look_up("kind of long clips", given, {known: known for known in KINDS}) for given in self.kinds]
        made = []
        for kind in kinds:
            name = "long" if kind == "wandering" else kind
            for number in objects:
                write_long_clips(photographs, folder / name, self.count, self.frames, self.size, number, kind=kind)
            made.append((name, open_dataset(f"pairs:{folder / name}")))
        return made


@dataclass(frozen=True)
class AblationRun:
    """A table to run, and how.

    Attributes:
        table: the table to run.
        folder: the folder for masks, weights and results of the rows; it must not hold anything.
        datasets: specs of data sets to score on.
        long: long clips to score on as well.
        data: photographs and data sets, for long clips and for rows that are trained.
        scale: share of the recipe's steps that each row is trained for.
        settings: the settings of the recipe, for all rows, as ``--set`` takes them; a row's own go after them.
        initial: weights that trained rows begin with.
        weights: the weights of rows that are not trained, in place of those that the table names.
        device: see :func:`rotoscope.load`.
        precision: see :func:`rotoscope.load`.
        threads: how many threads of the processor training takes; None leaves PyTorch's choice.
        jobs: the number of processes that score.
        options: fields of the method's config for the session, for all rows; a row's own go before them.
        tell: called with a line now and then while a row is trained.
    """

    table: Ablation
    folder: Path
    datasets: Sequence[str] = ()
    long: LongClips | None = None
    data: Sequence[str] = ()
    scale: float = 1.0
    settings: Sequence[str] = ()
    initial: Path | None = None
    weights: str | Path | None = None
    device: str = "auto"
    precision: str = "fast"
    threads: int | None = None
    jobs: int | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    tell: Callable[[str], None] | None = None

    def rows(self) -> Iterator[RowResult]:
        """Run every row; each is yielded as it is done, and the results so far are in the folder.

        Raises:
            InputError: the folder holds something, there is nothing to score on, or no data to train with.
        """
        check_folder(self.folder)
        if self.folder.exists() and any(self.folder.iterdir()):
            raise InputError(f"{self.folder}: holds something already. Give another folder.")
        recipes = [self._recipe(row) for row in self.table.rows]
        model = None
        if self.table.recipe is None:
            model = load(self.weights or self.table.weights, device=self.device, precision=self.precision)
        datasets = self._datasets()
        done: list[RowResult] = []
        for number, (row, recipe) in enumerate(zip(self.table.rows, recipes, strict=True)):
            place = self.folder / f"row-{number}"
            result = RowResult(row)
            if recipe is not None:
                trained = self._train(recipe, place / "training")
                result.weights = str(trained)
                model = load(trained, device=self.device, precision=self.precision)
            assert model is not None
            self._score(result, model, datasets, place)
            done.append(result)
            self._keep(done)
            yield result

    def _datasets(self) -> list[tuple[str, VideoDataset]]:
        opened = [open_dataset(spec) for spec in self.datasets]
        found = [(dataset.kind, dataset) for dataset in opened]
        if self.long is not None:
            held_out = Photographs.open(data_root(self.data[0] if self.data else None)).split()[1]
            objects = list(dict.fromkeys(row.objects or 2 for row in self.table.rows))
            found += self.long.write(self.folder, held_out, objects)
        if not found:
            raise InputError("nothing to score on: give --dataset SPEC, or --long N with --data FOLDER.")
        return found

    def _recipe(self, row: Row) -> Recipe | None:
        """What a row is trained with; None where rows are not trained."""
        if self.table.recipe is None:
            return None
        return scaled(find_recipe_of(self.table), self.scale).changed([*self.settings, *row.settings])

    def _train(self, recipe: Recipe, place: Path) -> Path:
        from rotoscope.training.run import prepare, save_weights  # rows that are not trained do without that extra

        trainer = prepare(
            recipe, list(self.data), place, device=self.device, threads=self.threads, initial=self.initial
        )
        for line in trainer.run(save_every=recipe.steps, log_every=100):
            if self.tell is not None:
                self.tell(f"step {line.step}/{recipe.steps}: loss {line.loss:.3f}")
        return save_weights(trainer)

    def _score(
        self, result: RowResult, model: Method, datasets: Sequence[tuple[str, VideoDataset]], place: Path
    ) -> None:
        for name, whole in datasets:
            dataset = with_objects(whole, result.row.objects)
            if not len(dataset):
                continue
            how = protocol(dataset.kind, self.table.task)
            run = segment_dataset(dataset, how, model, place / name, **{**self.options, **result.row.options})
            scores = evaluate(place / name, dataset, self.table.task, stability=False, jobs=self.jobs).overall()
            result.scores[name] = {key: 100 * scores[key] for key in ("J&F", "J mean", "F mean")}
            result.measured.add(run.measured)

    def _keep(self, done: Sequence[RowResult]) -> None:
        record = {
            "table": self.table.name,
            "settings": list(self.settings),
            "scale": self.scale,
            "rows": [result.as_record() for result in done],
            "made_by": provenance(),
        }
        with atomic_write(self.folder / RESULTS) as path:
            path.write_text(json.dumps(record, indent=1), encoding="utf-8")


def find_ablation(name: str) -> Ablation:
    """Return a table.

    Raises:
        InputError: no such table.
    """
    found: Ablation = look_up("table", name, ablations())
    return found


def with_objects(dataset: VideoDataset, count: int) -> VideoDataset:
    """The sequences of a data set that show so many objects in their first annotated frame; all for 0."""
    if not count:
        return dataset
    kept = tuple(s for s in dataset if len(object_ids(s.first_labels())) == count)
    return dataclasses.replace(dataset, sequences=kept)


def find_recipe_of(table: Ablation) -> Recipe:
    """The recipe that a table trains."""
    assert table.recipe is not None
    return training_of(find(table.weights).method).recipes[table.recipe]


def scaled(recipe: Recipe, scale: float) -> Recipe:
    """A recipe with a share of its steps, at least one a stage."""
    stages = tuple(dataclasses.replace(s, steps=max(round(s.steps * scale), 1)) for s in recipe.stages)
    return dataclasses.replace(
        recipe,
        stages=stages,
        warm_up=max(round(recipe.warm_up * scale), 1),
        validate_every=max(sum(s.steps for s in stages), 1),
    )
