"""The training loop: any method's clip loss, on one device or many, resumable at any step."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from rotoscope.errors import InputError, RotoscopeError
from rotoscope.layers.normalise import normalise
from rotoscope.methods import method_module
from rotoscope.methods.recipe import Recipe, Stage
from rotoscope.training.checkpoint import load_run, save_run
from rotoscope.training.clips import Batch, StepBatches, step_loader
from rotoscope.training.data import TrainingData
from rotoscope.training.log import TrainingLog
from rotoscope.training.validation import synthetic_j
from rotoscope.weights.files import upgraded

CHECKPOINT = "checkpoint.safetensors"
SCORES = ("validation_j", "dataset_j")


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
"""``(network, images [B, T, 3, H, W], labels [B, T, H, W], objects, hardest, places, …) -> Lesson``."""


class Teacher(nn.Module):
    """A network with its clip loss as one forward pass, which is what Fabric wraps for several processes."""

    def __init__(self, network: nn.Module, clip_loss: ClipLossFunction) -> None:
        super().__init__()
        self.network = network
        self.clip_loss = clip_loss

    def forward(self, *arguments: Any, **options: Any) -> dict[str, Any]:
        """The loss and its parts."""
        lesson = self.clip_loss(self.network, *arguments, **options)
        return {"loss": lesson.loss, **lesson.parts}


@dataclass(frozen=True)
class Progress:
    """One line of the log; the scores are None on steps without validation."""

    step: int
    loss: float
    parts: dict[str, float]
    rate: float
    seconds: float
    validation_j: float | None
    dataset_j: float | None = None


class Trainer:
    """One run of a recipe in a folder.

    Args:
        recipe: what to do.
        network: what is trained, already initialised from the recipe's seed.
        clip_loss: the method's loss.
        data: what it is trained on.
        folder: holds the checkpoint, ``log.csv`` and TensorBoard events.
        fabric: devices, processes and precision; launched already. One CPU process without it.
        workers: processes that make clips, beside each training process.
        judge: gives a score of the averaged weights on a data set of one's own, beside the synthetic clips.
    """

    def __init__(
        self,
        recipe: Recipe,
        network: nn.Module,
        clip_loss: ClipLossFunction,
        data: TrainingData,
        folder: Path,
        *,
        fabric: Fabric | None = None,
        workers: int = 1,
        judge: Callable[[Mapping[str, Tensor]], float] | None = None,
    ) -> None:
        self.recipe = recipe
        self.folder = folder
        self.workers = workers
        self.judge = judge
        self.clip_loss = clip_loss
        self.fabric = fabric or Fabric(accelerator="cpu", devices=1)
        self.data, self.validation_part = data.split()
        self.network = network
        freeze(network, recipe.frozen)
        optimiser = _optimiser(network, recipe)
        self.teacher, self.optimizer = self.fabric.setup(Teacher(network, clip_loss), optimiser)
        self.device = self.fabric.device
        self.average = {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}
        self.step = 0
        self.best = float("-inf")
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def checkpoint(self) -> Path:
        """Where the run's state is."""
        return self.folder / CHECKPOINT

    @property
    def first(self) -> bool:
        """Whether this process is the one that writes."""
        return bool(self.fabric.is_global_zero)

    def resume(self) -> bool:
        """Go on from the folder's checkpoint, if there is one; return whether there was.

        Raises:
            InputError: the checkpoint belongs to another recipe.
        """
        if not self.checkpoint.exists():
            return False
        facts = load_run(self.checkpoint, self.network, self.average, self.optimizer)
        ours = _plain(self.recipe)
        theirs = _with_defaults(facts["recipe"])
        differing = sorted(key for key in ours if key != "inference" and theirs.get(key) != ours[key])
        if differing:
            raise InputError(
                f"{self.checkpoint}: was made with other settings ({', '.join(differing)}). "
                "Use the same, or another output folder."
            )
        if facts.get("processes", 1) != self.fabric.world_size:
            raise InputError(
                f"{self.checkpoint}: was made by {facts.get('processes', 1)} process(es), now there are "
                f"{self.fabric.world_size}. Use as many, or another output folder."
            )
        self.step = int(facts["step"])
        self.best = float("-inf") if facts.get("best") is None else float(facts["best"])
        return True

    def save(self) -> None:
        """Write the checkpoint."""
        if self.first:
            facts = {
                "step": self.step,
                "recipe": _plain(self.recipe),
                "processes": self.fabric.world_size,
                "best": self.best if self.best > float("-inf") else None,
            }
            save_run(self.checkpoint, self.network, self.average, self.optimizer, facts)
        self.fabric.barrier()

    def run(
        self,
        *,
        save_every: int = 100,
        log_every: int = 10,
        on_best: Callable[[], None] | None = None,
    ) -> Iterator[Progress]:
        """Train to the end of the recipe, yielding a line now and then; the caller may stop at any yield.

        The checkpoint is written every ``save_every`` steps and at the end; ``on_best`` is called when a validation
        beats all before it.
        """
        batches = StepBatches(self.recipe, self.data, self.fabric.global_rank, self.fabric.world_size)
        totals: dict[str, float] = {}
        counted, since = 0, time.perf_counter()
        with TrainingLog(self.folder, self.step, self.first) as log:
            for batch in step_loader(batches, self.step, self.workers):
                for name, value in self.learn(batch).items():
                    totals[name] = totals.get(name, 0.0) + value
                counted += 1
                self.step += 1
                last = self.step == self.recipe.steps
                due = last or self.step % self.recipe.validate_every == 0
                judged = self.validate() if due else {}
                if judged or self.step % log_every == 0:
                    means = {name: value / counted for name, value in totals.items()}
                    seconds = (time.perf_counter() - since) / counted
                    rate = self.recipe.rate(self.step - 1)
                    line = Progress(self.step, means.pop("loss"), means, rate, seconds, *map(judged.get, SCORES))
                    log.write(line)
                    totals, counted, since = {}, 0, time.perf_counter()
                score = next((judged[name] for name in reversed(SCORES) if name in judged), None)
                if score is not None and score > self.best:
                    self.best = score
                    if on_best is not None and self.first:
                        on_best()
                if last or self.step % save_every == 0:
                    self.save()
                if judged or self.step % log_every == 0:
                    yield line

    def learn(self, batch: Batch) -> dict[str, float]:
        """Take one optimiser step; return the loss and its parts, averaged over processes."""
        recipe, fabric = self.recipe, self.fabric
        stage = recipe.stage(self.step)
        for group in self.optimizer.param_groups:
            group["lr"] = recipe.rate(self.step) * group["share"] * stage.factor(group["part"])
            if group["weight_decay"]:
                group["weight_decay"] = recipe.decay(self.step)
        torch.manual_seed((recipe.seed * 1_000_003 + self.step) * fabric.world_size + fabric.global_rank)
        self.network.train()
        hold_norms(self.network, recipe)
        self.optimizer.zero_grad(set_to_none=True)
        parts = batch.parts(recipe.accumulate)
        values: dict[str, float] = {}
        try:
            for number, part in enumerate(parts, 1):
                share = len(part.frames) / len(batch.frames)
                with fabric.no_backward_sync(self.teacher, enabled=number < len(parts)):
                    found = self._lesson(part)
                    fabric.backward(found["loss"] * share)
                for name, value in (found | {"loss": found["loss"].item()}).items():
                    values[name] = values.get(name, 0.0) + value * share
        except RuntimeError as error:
            if isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error):
                raise RotoscopeError(
                    f"step {self.step}: out of memory with {stage.batch} clips of {stage.frames} frames at "
                    f"{stage.size} pixels. Halve the batch, or double --set accumulate (now {recipe.accumulate})."
                ) from None
            raise
        norm = fabric.clip_gradients(
            self.teacher, self.optimizer, max_norm=recipe.clip_norm or float("inf"), error_if_nonfinite=False
        )
        if norm is not None and not torch.isfinite(norm) and fabric.strategy.precision.precision != "16-mixed":
            raise InputError(
                f"step {self.step}: the loss is {values['loss']}. Lower the learning rate: --set learning_rate=…"
            )
        self.optimizer.step()
        self._follow_average()
        if fabric.world_size > 1:
            values = {name: _mean(fabric, value) for name, value in values.items()}
        return values

    def _lesson(self, part: Batch) -> dict[str, Any]:
        recipe = self.recipe
        found: dict[str, Any] = self.teacher(
            normalise(part.frames.to(self.device)),
            part.labels.to(self.device),
            part.objects,
            hardest=recipe.hardest(self.step),
            places=part.places.to(self.device),
            correspondence=recipe.correspondence,
            **recipe.loss_options(self.step),
        )
        return found

    def _follow_average(self) -> None:
        decay = min(self.recipe.average, (self.step + 1) / (self.step + 10))
        with torch.no_grad():
            for name, tensor in self.network.state_dict().items():
                if tensor.is_floating_point():
                    self.average[name].lerp_(tensor, 1 - decay)
                else:
                    self.average[name].copy_(tensor)

    @torch.inference_mode()
    def validate(self) -> dict[str, float]:
        """Scores of the averaged weights: on synthetic clips of photographs kept apart, and the judge's."""
        found: dict[str, float] = {}
        if self.validation_part is not None:
            kept = {name: tensor.clone() for name, tensor in self.network.state_dict().items()}
            self.network.load_state_dict(self.average)
            self.network.eval()
            found["validation_j"] = synthetic_j(
                self.network, self.clip_loss, self.recipe, self.validation_part, self.device
            )
            self.network.load_state_dict(kept)
        if self.judge is not None:
            found["dataset_j"] = self.judge(self.average)
        return found


def _mean(fabric: Fabric, value: float) -> float:
    """A value averaged over processes."""
    total: Any = fabric.all_reduce(torch.tensor(value, device=fabric.device), reduce_op="mean")
    return float(total)


def freeze(network: nn.Module, frozen: tuple[str, ...]) -> None:
    """Leave parameters whose names begin so out of training.

    Raises:
        InputError: no parameter's name begins so.
    """
    for beginning in frozen:
        found = [parameter for name, parameter in network.named_parameters() if name.startswith(beginning)]
        if not found:
            raise InputError(f"frozen {beginning!r}: the network has no such part.")
        for parameter in found:
            parameter.requires_grad_(False)


def hold_norms(network: nn.Module, recipe: Recipe) -> None:
    """Put the recipe's frozen batch norms into evaluation: they neither use nor change the batch's statistics."""
    for name, module in network.named_modules():
        held = recipe.frozen_norms or f"{name}.".startswith(recipe.frozen)
        if held and isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.eval()


def _optimiser(network: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """The recipe's optimiser; each group of parameters carries the share of the rate that it gets."""
    trunk: str = method_module(recipe.method, "training").TRUNK
    beginnings = sorted({name for stage in recipe.kinds() for name in stage.rates}, key=len, reverse=True)
    groups: dict[tuple[str, float, float], list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        if not parameter.requires_grad:
            continue
        share = recipe.trunk_rate if name.startswith(trunk) else 1.0
        part = next((beginning for beginning in beginnings if name.startswith(beginning)), "")
        decayed = recipe.optimiser != "adamw" or parameter.ndim > 1
        groups.setdefault((part, share, recipe.weight_decay if decayed else 0.0), []).append(parameter)
    listed: list[dict[str, Any]] = [
        {"params": parameters, "weight_decay": decay, "share": share, "part": part}
        for (part, share, decay), parameters in groups.items()
    ]
    if recipe.optimiser == "sgd":
        return torch.optim.SGD(listed, lr=recipe.learning_rate, momentum=recipe.betas[0])
    kind = torch.optim.Adam if recipe.optimiser == "adam" else torch.optim.AdamW
    return kind(listed, lr=recipe.learning_rate, betas=recipe.betas, eps=recipe.epsilon)


def _with_defaults(saved: dict[str, Any]) -> dict[str, Any]:
    """A checkpoint's recipe, with what it does not name, because it is older, as that was then: the defaults."""
    whole = {**_defaults(Recipe), **saved, "config": upgraded(saved["config"])}
    whole["stages"] = [{**_defaults(Stage), **stage} for stage in whole["stages"]]
    return whole


def _defaults(kind: type[Recipe] | type[Stage]) -> dict[str, Any]:
    given = {f.name: f.default for f in dataclasses.fields(kind) if f.default is not dataclasses.MISSING}
    made = {f.name: f.default_factory() for f in dataclasses.fields(kind) if callable(f.default_factory)}
    return {name: _listed(value) for name, value in (given | made).items()}


def _plain(recipe: Recipe) -> dict[str, Any]:
    """The recipe as JSON would give it back."""
    plain: dict[str, Any] = _listed(dataclasses.asdict(recipe))
    return plain


def _listed(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _listed(item) for key, item in value.items()}
    return [_listed(item) for item in value] if isinstance(value, (list, tuple)) else value
