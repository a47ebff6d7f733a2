"""The training loop: any method's clip loss, on one device or many, resumable at any step."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from rotoscope.errors import InputError, RotoscopeError
from rotoscope.files import inside, need_folder
from rotoscope.methods.clip_loss import ClipBatch, ClipLossFunction
from rotoscope.methods.recipe import Recipe
from rotoscope.methods.schedule import Schedule
from rotoscope.training.checkpoint import load_run, save_run
from rotoscope.training.clips import Batch, StepBatches, step_loader
from rotoscope.training.data import TrainingData
from rotoscope.training.layered.plan import StepPlan
from rotoscope.training.layered.render import Renderer
from rotoscope.training.log import Progress, TrainingLog
from rotoscope.training.optimiser import freeze, hold_norms, make_optimiser
from rotoscope.training.saved_recipe import as_saved, as_today
from rotoscope.training.validation import synthetic_j

CHECKPOINT = "checkpoint.safetensors"
SCORES = ("validation_j", "dataset_j")


class LossModule(nn.Module):
    """A network with its clip loss as one forward pass, which is what Fabric wraps for several processes."""

    def __init__(self, network: nn.Module, clip_loss: ClipLossFunction) -> None:
        super().__init__()
        self.network = network
        self.clip_loss = clip_loss

    def forward(self, clip: Mapping[str, Any], **options: float) -> dict[str, Any]:
        """The loss and its parts.

        Args:
            clip: fields of a :class:`~rotoscope.methods.clip_loss.ClipBatch`; Fabric moves and casts the tensors in
                a mapping, but not in a frozen dataclass.
            options: options of the clip loss.
        """
        result = self.clip_loss(self.network, ClipBatch(**clip), **options)
        return {"loss": result.loss, **result.parts}


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
        validator: gives J of the averaged weights on a data set of one's own, beside the synthetic clips.
        measure: scores the averaged weights on the photographs kept apart in place of the synthetic clips, see
            :class:`~rotoscope.methods.bundles.Training`.
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
        validator: Callable[[Mapping[str, Tensor]], float] | None = None,
        measure: Callable[..., float] | None = None,
    ) -> None:
        self.recipe = recipe
        self.schedule = Schedule(recipe)
        self.folder = folder
        self.workers = workers
        self.validator = validator
        self.measure = measure
        self.clip_loss = clip_loss
        self.fabric = fabric or Fabric(accelerator="cpu", devices=1)
        self.trained_on = data.fingerprint()
        self.data, self.validation_part = data.split()
        self.network = network
        freeze(network, recipe.frozen)
        optimiser = make_optimiser(network, recipe)
        self.loss_module, self.optimizer = self.fabric.setup(LossModule(network, clip_loss), optimiser)
        self.device = self.fabric.device
        self.average = {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}
        self.step = 0
        self.best = float("-inf")
        need_folder(folder)

    @property
    def checkpoint(self) -> Path:
        """Where the run's state is."""
        return inside(self.folder, CHECKPOINT)

    @property
    def first(self) -> bool:
        """Whether this process is the one that writes."""
        return bool(self.fabric.is_global_zero)

    @property
    def judged_by(self) -> str:
        """What the best weights are best at: the validator's data set, by its spec, or synthetic clips."""
        return "synthetic clips" if self.validator is None else str(getattr(self.validator, "spec", "a data set"))

    def resume(self) -> bool:
        """Go on from the folder's checkpoint, if there is one; return whether there was.

        Raises:
            InputError: the checkpoint belongs to another recipe, to other data, or to another number of processes.
        """
        if not self.checkpoint.exists():
            return False
        facts = load_run(self.checkpoint, self.network, self.average, self.optimizer)
        ours = as_saved(self.recipe)
        theirs = as_today(facts["recipe"])
        differing = sorted(key for key in ours if key != "inference" and theirs.get(key) != ours[key])
        if differing:
            raise InputError(
                f"{self.checkpoint}: was made with other settings ({', '.join(differing)}). "
                "Use the same, or another output folder."
            )
        data = facts.get("data", self.trained_on)  # older checkpoints do not say
        if data != self.trained_on:
            kinds = sorted(kind for kind in data | self.trained_on if data.get(kind) != self.trained_on.get(kind))
            raise InputError(
                f"{self.checkpoint}: was trained on other data ({', '.join(kinds)}). Give the same --data, "
                "or begin a run in another output folder with the weights of this one (--initial)."
            )
        if facts.get("processes", 1) != self.fabric.world_size:
            raise InputError(
                f"{self.checkpoint}: was made by {facts.get('processes', 1)} process(es), now there are "
                f"{self.fabric.world_size}. Use as many, or another output folder."
            )
        self.step = int(facts["step"])
        # Another score, of other clips, says nothing of this one's best.
        if facts.get("best") is not None and facts.get("best_of", self.judged_by) == self.judged_by:
            self.best = float(facts["best"])
        return True

    def save(self) -> None:
        """Write the checkpoint."""
        if self.first:
            facts = {
                "step": self.step,
                "recipe": as_saved(self.recipe),
                "data": self.trained_on,
                "processes": self.fabric.world_size,
                "best": self.best if self.best > float("-inf") else None,
                "best_of": self.judged_by,
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
            for batch in step_loader(batches, self.step, self.workers, self.device.type == "cuda"):
                for name, value in self.learn(batch).items():
                    totals[name] = totals.get(name, 0.0) + value
                counted += 1
                self.step += 1
                last = self.step == self.recipe.steps
                due = last or self.step % self.recipe.validate_every == 0
                scored = self.validate() if due else {}
                if scored or self.step % log_every == 0:
                    means = {name: value / counted for name, value in totals.items()}
                    seconds = (time.perf_counter() - since) / counted
                    rate = self.schedule.rate(self.step - 1)
                    line = Progress(self.step, means.pop("loss"), means, rate, seconds, *map(scored.get, SCORES))
                    log.write(line)
                    totals, counted, since = {}, 0, time.perf_counter()
                score = next((scored[name] for name in reversed(SCORES) if name in scored), None)
                if score is not None and score > self.best:
                    self.best = score
                    if on_best is not None and self.first:
                        on_best()
                if last or self.step % save_every == 0:
                    self.save()
                if scored or self.step % log_every == 0:
                    yield line

    @functools.cached_property
    def renderer(self) -> Renderer:
        """What makes clips on the device, with all pictures there."""
        return Renderer(self.data.layered.stock.to(self.device))

    def learn(self, work: Batch | StepPlan) -> dict[str, float]:
        """Take one optimiser step, with clips or with the plan of some; return the loss and its parts.

        They are averaged over processes.
        """
        recipe, fabric = self.recipe, self.fabric
        batch = self.renderer(work) if isinstance(work, StepPlan) else work
        stage = recipe.stage(self.step)
        for group in self.optimizer.param_groups:
            group["lr"] = self.schedule.rate(self.step) * group["share"] * stage.factor(group["part"])
            if group["weight_decay"]:
                group["weight_decay"] = self.schedule.weight_decay(self.step)
        torch.manual_seed((recipe.seed * 1_000_003 + self.step) * fabric.world_size + fabric.global_rank)
        self.network.train()
        hold_norms(self.network, recipe)
        self.optimizer.zero_grad(set_to_none=True)
        parts = batch.parts(recipe.accumulate)
        values: dict[str, float] = {}
        try:
            for number, part in enumerate(parts, 1):
                share = len(part.frames) / len(batch.frames)
                with fabric.no_backward_sync(self.loss_module, enabled=number < len(parts)):
                    terms = self._loss(part)
                    fabric.backward(terms["loss"] * share)
                for name, value in (terms | {"loss": terms["loss"].item()}).items():
                    values[name] = values.get(name, 0.0) + value * share
        except RuntimeError as error:
            if isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error):
                raise RotoscopeError(
                    f"step {self.step}: out of memory with {stage.batch} clips of {stage.frames} frames at "
                    f"{stage.size} pixels. Halve the batch, or double --set accumulate (now {recipe.accumulate})."
                ) from None
            raise
        norm = fabric.clip_gradients(
            self.loss_module, self.optimizer, max_norm=recipe.clip_norm or float("inf"), error_if_nonfinite=False
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

    def _loss(self, part: Batch) -> dict[str, Any]:
        """The loss of some of a step's clips, and its parts."""
        clip = vars(part.on(self.device, self.schedule.hardest(self.step)))
        result: dict[str, Any] = self.loss_module(clip, **self.schedule.loss_options(self.step))
        return result

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
        """Scores of the averaged weights: on synthetic clips of photographs kept apart, and the validator's."""
        scores: dict[str, float] = {}
        if self.validation_part is not None:
            kept = {name: tensor.clone() for name, tensor in self.network.state_dict().items()}
            self.network.load_state_dict(self.average)
            self.network.eval()
            if self.measure is not None:
                scores["validation_j"] = self.measure(self.network, self.recipe, self.validation_part, self.device)
            else:
                scores["validation_j"] = synthetic_j(
                    self.network, self.clip_loss, self.recipe, self.validation_part, self.device
                )
            self.network.load_state_dict(kept)
        if self.validator is not None:
            scores["dataset_j"] = self.validator(self.average)
        return scores


def _mean(fabric: Fabric, value: float) -> float:
    """A value averaged over processes."""
    total: Any = fabric.all_reduce(torch.tensor(value, device=fabric.device), reduce_op="mean")
    return float(total)
