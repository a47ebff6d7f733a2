"""The training loop: any method's clip loss, on synthetic clips, resumable at any step."""

from __future__ import annotations

import csv
import dataclasses
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from rotoscope.datasets.photographs import Photographs
from rotoscope.datasets.synthetic import SyntheticClips, SyntheticConfig
from rotoscope.errors import InputError
from rotoscope.layers.normalise import normalise
from rotoscope.methods.recipe import Recipe
from rotoscope.training.checkpoint import load_run, save_run
from rotoscope.training.clips import Batch, collate, step_loader

CHECKPOINT = "checkpoint.safetensors"
LOG = "log.csv"
PARTS = ("cross_entropy", "dice", "correspondence")
COLUMNS = ("step", "loss", *PARTS, "rate", "seconds", "validation_j")


class Lesson(Protocol):
    """What a method's clip loss returns (see ``methods/*/training.py``)."""

    @property
    def loss(self) -> Tensor:
        """Scalar to minimise."""

    @property
    def parts(self) -> dict[str, float]:
        """Named scalars for the log."""

    @property
    def probabilities(self) -> Tensor:
        """Answers of the frames after the first, ``[B, T - 1, 1 + N, H, W]``."""


ClipLossFunction = Callable[..., Lesson]
"""``(network, images [B, T, 3, H, W], labels [B, T, H, W], objects, hardest, places, correspondence) -> Lesson``."""


@dataclass(frozen=True)
class Progress:
    """One line of the log; ``validation_j`` is None on steps without validation."""

    step: int
    loss: float
    parts: dict[str, float]
    rate: float
    seconds: float
    validation_j: float | None


class Trainer:
    """One run of a recipe in a folder.

    Args:
        recipe: what to do.
        network: what is trained, already initialised from the recipe's seed.
        clip_loss: the method's loss.
        photographs: raw material of the clips.
        folder: holds the checkpoint, ``log.csv`` and TensorBoard events.
        device: where to train.
        workers: processes that make clips.
        mixed: use bfloat16 autocast; sensible where the processor has it natively.
    """

    def __init__(
        self,
        recipe: Recipe,
        network: nn.Module,
        clip_loss: ClipLossFunction,
        photographs: Photographs,
        folder: Path,
        *,
        device: torch.device | None = None,
        workers: int = 1,
        mixed: bool = False,
    ) -> None:
        self.recipe = recipe
        self.device = device or torch.device("cpu")
        self.network = network.to(self.device)
        self.clip_loss = clip_loss
        self.folder = folder
        self.workers = workers
        self.mixed = mixed
        self.training_part, self.validation_part = photographs.split()
        self.average = {name: tensor.detach().clone() for name, tensor in self.network.state_dict().items()}
        self.optimizer = torch.optim.AdamW(_groups(self.network, recipe.weight_decay), lr=recipe.learning_rate)
        self.step = 0
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def checkpoint(self) -> Path:
        """Where the run's state is."""
        return self.folder / CHECKPOINT

    def resume(self) -> bool:
        """Go on from the folder's checkpoint, if there is one; return whether there was.

        Raises:
            InputError: the checkpoint belongs to another recipe.
        """
        if not self.checkpoint.exists():
            return False
        facts = load_run(self.checkpoint, self.network, self.average, self.optimizer)
        ours = _plain(self.recipe)
        differing = sorted(key for key in ours if key != "inference" and facts["recipe"].get(key) != ours[key])
        if differing:
            raise InputError(
                f"{self.checkpoint}: was made with other settings ({', '.join(differing)}). "
                "Use the same, or another output folder."
            )
        self.step = int(facts["step"])
        _truncate_log(self.folder / LOG, self.step)
        return True

    def save(self) -> None:
        """Write the checkpoint."""
        save_run(
            self.checkpoint,
            self.network,
            self.average,
            self.optimizer,
            {"step": self.step, "recipe": _plain(self.recipe)},
        )

    def run(self, *, save_every: int = 100, log_every: int = 10) -> Iterator[Progress]:
        """Train to the end of the recipe, yielding a line now and then; the caller may stop at any yield.

        The checkpoint is written every ``save_every`` steps, after validations, and at the end.
        """
        from torch.utils.tensorboard import SummaryWriter

        board = SummaryWriter(str(self.folder / "events"), purge_step=self.step)
        totals: dict[str, float] = {}
        counted, since = 0, time.perf_counter()
        with board, (self.folder / LOG).open("a", newline="") as handle:
            log = csv.writer(handle)
            if handle.tell() == 0:
                log.writerow(COLUMNS)
            for batch in step_loader(self.recipe, self.training_part, self.step, self.workers):
                for name, value in self.learn(batch).items():
                    totals[name] = totals.get(name, 0.0) + value
                counted += 1
                self.step += 1
                last = self.step == self.recipe.steps
                judged = self.validate() if last or self.step % self.recipe.validate_every == 0 else None
                if judged is not None or self.step % log_every == 0:
                    means = {name: value / counted for name, value in totals.items()}
                    seconds = (time.perf_counter() - since) / counted
                    line = Progress(
                        self.step, means.pop("loss"), means, self.recipe.rate(self.step - 1), seconds, judged
                    )
                    log.writerow(
                        [
                            line.step,
                            f"{line.loss:.5f}",
                            *(f"{means.get(k, float('nan')):.5f}" for k in PARTS),
                            f"{line.rate:.3g}",
                            f"{seconds:.3f}",
                            "" if judged is None else f"{judged:.4f}",
                        ]
                    )
                    handle.flush()
                    _show(board, line)
                    totals, counted, since = {}, 0, time.perf_counter()
                if last or self.step % save_every == 0:
                    self.save()
                if judged is not None or self.step % log_every == 0:
                    yield line

    def learn(self, batch: Batch) -> dict[str, float]:
        """Take one optimiser step; return the loss and its parts."""
        recipe = self.recipe
        for group in self.optimizer.param_groups:
            group["lr"] = recipe.rate(self.step)
        self.network.train()
        hardest = recipe.hardest(self.step)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.mixed):
            lesson = self.clip_loss(
                self.network,
                normalise(batch.frames.to(self.device)),
                batch.labels.to(self.device),
                batch.objects,
                hardest=hardest,
                places=batch.places.to(self.device),
                correspondence=recipe.correspondence,
            )
        self.optimizer.zero_grad(set_to_none=True)
        lesson.loss.backward()
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), recipe.clip_norm)
        loss = lesson.loss.item()
        if not torch.isfinite(norm):
            raise InputError(f"step {self.step}: the loss is {loss}. Lower the learning rate: --set learning_rate=…")
        self.optimizer.step()
        self._follow_average()
        return {"loss": loss, **lesson.parts}

    def _follow_average(self) -> None:
        decay = min(self.recipe.average, (self.step + 1) / (self.step + 10))
        with torch.no_grad():
            for name, tensor in self.network.state_dict().items():
                if tensor.is_floating_point():
                    self.average[name].lerp_(tensor, 1 - decay)
                else:
                    self.average[name].copy_(tensor)

    @torch.inference_mode()
    def validate(self) -> float:
        """Mean J of the averaged weights over synthetic clips of photographs that training never sees."""
        kept = {name: tensor.clone() for name, tensor in self.network.state_dict().items()}
        self.network.load_state_dict(self.average)
        self.network.eval()
        last = self.recipe.stages[-1]
        scores: list[Tensor] = []
        for objects in (1, 2):
            config = SyntheticConfig(size=last.size, frames=4, objects=objects)
            clips = SyntheticClips(self.validation_part, config, seed=self.recipe.seed + 1)
            for start in range(0, self.recipe.validation_clips // 2, 4):
                stop = min(start + 4, self.recipe.validation_clips // 2)
                batch = collate(clips, range(start, stop), objects)
                labels = batch.labels.to(self.device)
                lesson = self.clip_loss(self.network, normalise(batch.frames.to(self.device)), labels, objects)
                scores.append(_region_similarity(lesson.probabilities.argmax(2), labels, objects))
        self.network.load_state_dict(kept)
        return torch.cat(scores).mean().item()


def _region_similarity(answers: Tensor, labels: Tensor, objects: int) -> Tensor:
    """J of each object of the first frames over frames 1 to T - 1; empty against empty counts 1."""
    scores = []
    for slot in range(1, objects + 1):
        there = (labels[:, 0] == slot).flatten(1).any(dim=1)
        ours, truth = answers[there] == slot, labels[there, 1:] == slot
        both, either = (ours & truth).sum(dim=(2, 3)), (ours | truth).sum(dim=(2, 3))
        scores.append(torch.where(either > 0, both / either.clamp(min=1), 1.0).flatten())
    return torch.cat(scores)


def _groups(network: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    decayed = [p for p in network.parameters() if p.ndim > 1]
    plain = [p for p in network.parameters() if p.ndim <= 1]
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": plain, "weight_decay": 0.0}]


def _plain(recipe: Recipe) -> dict[str, Any]:
    """The recipe as JSON would give it back."""

    def listed(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: listed(item) for key, item in value.items()}
        return [listed(item) for item in value] if isinstance(value, (list, tuple)) else value

    plain: dict[str, Any] = listed(dataclasses.asdict(recipe))
    return plain


def _truncate_log(path: Path, step: int) -> None:
    """Drop lines after ``step``, which the resumed run writes again."""
    if not path.exists():
        return
    with path.open(newline="") as handle:
        rows = list(csv.reader(handle))
    kept = [row for row in rows if row and (row[0] == "step" or int(row[0]) <= step)]
    with path.open("w", newline="") as handle:
        csv.writer(handle).writerows(kept)


def _show(board: Any, line: Progress) -> None:
    board.add_scalar("train/loss", line.loss, line.step)
    for name, value in line.parts.items():
        board.add_scalar(f"train/{name}", value, line.step)
    board.add_scalar("train/rate", line.rate, line.step)
    if line.validation_j is not None:
        board.add_scalar("validation/J", line.validation_j, line.step)
