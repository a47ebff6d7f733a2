"""Run the rows of a paper's table: train where rows are trained, segment, score, and keep the results."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rotoscope.datasets.photographs import Photographs, data_root
from rotoscope.datasets.sequences import VideoDataset, object_ids
from rotoscope.datasets.spec import open_dataset
from rotoscope.errors import InputError
from rotoscope.evaluation.evaluate import evaluate
from rotoscope.evaluation.protocol import protocol
from rotoscope.experiments.long_sets import LongClips
from rotoscope.files import atomic_write, check_folder, inside, make_folder
from rotoscope.methods import ablations, look_up, training_of
from rotoscope.methods.ablation import Ablation, Row
from rotoscope.methods.base import Method
from rotoscope.methods.recipe import Recipe
from rotoscope.provenance import provenance
from rotoscope.runs.dataset import segment_dataset
from rotoscope.runs.measure import Measurement
from rotoscope.weights import find, load
from rotoscope.weights.load import located
from rotoscope.weights.store import file_hash

RESULTS = "results.json"


@dataclass
class RowResult:
    """What a row gave.

    Attributes:
        row: the row of the table that was run.
        scores: J&F, J and F in percent, by name of the data set and of the measure.
        measured: frames, time and memory over all data sets.
        weights: the file of the trained weights; None for a row that is not trained.
        weights_sha256: the hash of the file of the weights that it was run with; None where it is not known.
        problems: damage met in the data, and data sets that none of it could be scored on; one line each.
    """

    row: Row
    scores: dict[str, dict[str, float]] = field(default_factory=dict)
    measured: Measurement = field(default_factory=Measurement)
    weights: str | None = None
    weights_sha256: str | None = None
    problems: list[str] = field(default_factory=list)

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
            "remembered_on_average": self.measured.remembered_on_average,
            "peak": self.measured.peak,
            "weights": self.weights,
            "weights_sha256": self.weights_sha256,
            "measured": asdict(self.measured),
            "problems": self.problems,
        }

    @classmethod
    def of_record(cls, row: Row, record: Mapping[str, Any]) -> RowResult:
        """What :meth:`as_record` made, of a row of the table."""
        measured = Measurement(**record["measured"])
        problems = list(record.get("problems", ()))
        return cls(row, record["scores"], measured, record["weights"], record.get("weights_sha256"), problems)


@dataclass(frozen=True)
class AblationRun:
    """A table to run, and how.

    Attributes:
        table: the table to run.
        folder: the folder for masks, weights and results of the rows; it must not hold anything, unless it is resumed.
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
        only: the rows to run, by their names or their numbers from 0 on; all rows if it is empty.
        resume: go on in the folder of a run that was stopped. Rows that are finished are taken from it, and a row that
            was being trained goes on from its checkpoint.
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
    only: Sequence[str] = ()
    resume: bool = False
    tell: Callable[[str], None] | None = None

    def rows(self) -> Iterator[RowResult]:
        """Run every row; each is yielded as it is done, and the results so far are in the folder.

        Rows that are trained alike, and differ in how they segment, share their weights.

        Raises:
            InputError: the folder holds something and is not resumed, or it is resumed and holds another table's run;
                a row is unknown; there is nothing to score on, or no data to train with.
        """
        chosen = self._chosen()
        recipes = {number: self._recipe(self.table.rows[number]) for number in chosen}
        done = self._done()
        model, file = None, None
        if self.table.recipe is None:
            weights = self.weights or self.table.weights
            model = load(weights, device=self.device, precision=self.precision)
            file = located(weights)[0]
        opened = self._opened()
        make_folder(self.folder)
        self._keep(done)  # before long clips are made: with it a run that is stopped meanwhile can go on
        datasets = opened + self._long_clips()
        for number in chosen:
            if number not in done:
                result = RowResult(self.table.rows[number])
                recipe = recipes[number]
                if recipe is not None:
                    first = min(other for other in chosen if recipes[other] == recipe)
                    file = self._train(recipe, self.folder / f"row-{first}" / "training")
                    result.weights = str(file)
                    model = load(file, device=self.device, precision=self.precision)
                assert model is not None
                result.weights_sha256 = file_hash(file) if file is not None and file.exists() else None
                self._score(result, model, datasets, self.folder / f"row-{number}")
                done[number] = result
                self._keep(done)
            yield done[number]

    def _chosen(self) -> list[int]:
        """Numbers of the rows to run, in the table's order."""
        numbers = {row.name: number for number, row in enumerate(self.table.rows)}
        known = {**{str(number): number for number in numbers.values()}, **numbers}
        asked = {look_up(f"row of {self.table.name}", name, known) for name in self.only}
        return sorted(asked or numbers.values())

    def _done(self) -> dict[int, RowResult]:
        """The finished rows of the run that is resumed; none for a new run."""
        check_folder(self.folder)
        if not self.folder.exists() or not any(self.folder.iterdir()):
            return {}
        results = inside(self.folder, RESULTS)
        if not self.resume:
            raise InputError(
                f"{self.folder}: holds something already. Give another folder, or --resume to go on with a run."
            )
        if not results.is_file():
            raise InputError(f"{self.folder}: holds no {RESULTS}, so no run to resume. Give another folder.")
        try:
            record = json.loads(results.read_text(encoding="utf-8"))
            rows = {int(row["number"]): row for row in record["rows"]}
        except (ValueError, KeyError, TypeError):
            raise InputError(f"{results}: is none of a table. Give another folder.") from None
        ours = json.loads(json.dumps(self._asked()))
        differing = sorted(key for key in ours if record.get(key) != ours[key])
        if differing:
            raise InputError(
                f"{results}: was made with other settings ({', '.join(differing)}). Use the same, or another folder."
            )
        return {number: RowResult.of_record(self.table.rows[number], row) for number, row in rows.items()}

    def _opened(self) -> list[tuple[str, VideoDataset]]:
        """The data sets, each with a name of its own, as masks and scores of one must not take another's place."""
        if not self.datasets and self.long is None:
            raise InputError("nothing to score on: give --dataset SPEC, or --long N with --data FOLDER.")
        named: dict[str, VideoDataset] = {}
        for dataset in map(open_dataset, dict.fromkeys(self.datasets)):
            same = sum(other.kind == dataset.kind for other in named.values())
            named[f"{dataset.kind}-{same + 1}" if same else dataset.kind] = dataset
        return list(named.items())

    def _long_clips(self) -> list[tuple[str, VideoDataset]]:
        if self.long is None:
            return []
        held_out = Photographs.open(data_root(self.data[0] if self.data else None)).split()[1]
        objects = list(dict.fromkeys(row.objects or 2 for row in self.table.rows))
        return self.long.write(self.folder, held_out, objects)

    def _recipe(self, row: Row) -> Recipe | None:
        """What a row is trained with; None where rows are not trained."""
        if self.table.recipe is None:
            return None
        return scaled(find_recipe_of(self.table), self.scale).changed([*self.settings, *row.settings])

    def _train(self, recipe: Recipe, place: Path) -> Path:
        # Rows that are not trained do without that extra.
        from rotoscope.training.loop import CHECKPOINT
        from rotoscope.training.run import prepare, save_weights

        begun = inside(place, CHECKPOINT).exists()
        trainer = prepare(
            recipe, list(self.data), place, device=self.device, threads=self.threads, initial=self.initial, resume=begun
        )
        for line in trainer.run(save_every=100, log_every=100):
            if self.tell is not None:
                self.tell(f"step {line.step}/{recipe.steps}: loss {line.loss:.3f}")
        return save_weights(trainer)

    def _score(
        self, result: RowResult, model: Method, datasets: Sequence[tuple[str, VideoDataset]], place: Path
    ) -> None:
        for name, whole in datasets:
            dataset = with_objects(whole, result.row.objects)
            if not len(dataset):
                result.problems.append(f"{name}: no sequence shows {result.row.objects} object(s); not scored")
                continue
            how = protocol(dataset.kind, self.table.task)
            if (place / name).exists():  # half a row of a run that was stopped
                shutil.rmtree(place / name)
            run = segment_dataset(dataset, how, model, place / name, **{**self.options, **result.row.options})
            scores = evaluate(place / name, dataset, self.table.task, stability=False, jobs=self.jobs).overall()
            result.scores[name] = {key: 100 * scores[key] for key in ("J&F", "J mean", "F mean")}
            result.measured.add(run.measured)
            result.problems += run.problems

    def _asked(self) -> dict[str, Any]:
        """What a run that is resumed must have in common with the one before."""
        return {
            "table": self.table.name,
            "settings": list(self.settings),
            "scale": self.scale,
            "datasets": list(self.datasets),
            "long": None if self.long is None else asdict(self.long),
            "data": [str(folder) for folder in self.data],
            "initial": None if self.initial is None else str(self.initial),
            "model": None if self.weights is None else str(self.weights),
            "precision": self.precision,
            "options": dict(self.options),
        }

    def _keep(self, done: Mapping[int, RowResult]) -> None:
        rows = [{"number": number, **done[number].as_record()} for number in sorted(done)]
        record = {**self._asked(), "rows": rows, "made_by": provenance()}
        with atomic_write(self.folder / RESULTS) as path:
            path.write_text(json.dumps(record, indent=1), encoding="utf-8")


def find_ablation(name: str) -> Ablation:
    """Return a table.

    Raises:
        InputError: no such table.
    """
    table: Ablation = look_up("table", name, ablations())
    return table


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
