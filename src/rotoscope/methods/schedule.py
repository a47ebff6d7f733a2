"""What a recipe asks for at each of its steps, and in words."""

from __future__ import annotations

import math

from rotoscope.methods.recipe import Recipe, Stage
from rotoscope.methods.sources import FILMED, ON_DEVICE


class Schedule:
    """A recipe over its steps, which are counted from 0.

    Args:
        recipe: what is trained, and how.
    """

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe

    def rate(self, step: int) -> float:
        """Learning rate of a step: linear warm-up, then half a cosine; or the stage's own falls, or a power."""
        recipe = self.recipe
        stage, within = recipe.place(step)
        peak = self.peak(stage)
        if stage.decay_at:
            return peak * 0.1 ** sum(within >= at for at in stage.decay_at)
        if stage.fall is not None:
            every, factor = stage.fall
            return peak * factor ** (within // every)
        if recipe.poly:
            return peak * (1 - step / recipe.steps) ** recipe.poly
        if step < recipe.warm_up:
            return peak * (step + 1) / recipe.warm_up
        progress = (step - recipe.warm_up) / max(recipe.steps - recipe.warm_up, 1)
        share = recipe.final_rate + (1 - recipe.final_rate) * 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))
        return peak * share

    def peak(self, stage: Stage) -> float:
        """The highest learning rate of a stage."""
        return self.recipe.learning_rate if stage.learning_rate is None else stage.learning_rate

    def weight_decay(self, step: int) -> float:
        """Weight decay of a step."""
        own = self.recipe.stage(step).weight_decay
        return self.recipe.weight_decay if own is None else own

    def loss_options(self, step: int) -> dict[str, float]:
        """Options of the clip loss at a step."""
        return {**self.recipe.loss, **self.recipe.stage(step).loss}

    def hardest(self, step: int) -> float:
        """Share of the pixels in the bootstrapped loss at a step, in (0, 1]."""
        stage, within = self.recipe.place(step)
        if stage.bootstrap is not None:
            return hardest_share(within, *stage.bootstrap)
        start, end = (int(share * self.recipe.steps) for share in self.recipe.bootstrap)
        return hardest_share(step, start, end)

    def describe(self) -> list[str]:
        """Lines that say what the recipe does."""
        recipe = self.recipe
        lines = [f"{recipe.name}: {recipe.method} {dict(recipe.config)}, {recipe.steps} steps"]
        lines += [f"  {self._stage_in_words(stage)}" for stage in recipe.kinds()]
        lines.append(f"  {self._steps_in_words()}")
        if recipe.frozen:
            lines.append(f"  not trained: {', '.join(recipe.frozen)}")
        if recipe.trunk or recipe.trunk_rate != 1:
            masks = f", mask encoder as {recipe.mask_trunk}" if recipe.mask_trunk else ""
            rate = f"rate {recipe.trunk_rate:g} of the rest's"
            begins = f"trunk begins as {recipe.trunk or 'random'}{masks}"
            if recipe.initial:
                begins = f"all begins as {recipe.initial}; trunk"
            lines.append(f"  {begins}, {rate}")
        if recipe.loss:
            lines.append("  loss: " + ", ".join(f"{name} {value:g}" for name, value in recipe.loss.items()))
        return lines

    def _stage_in_words(self, stage: Stage) -> str:
        """One kind of step: its clips, its rate, and what is special about it."""
        shares = stage.objects or self.recipe.objects
        objects = "1, 2, ... objects in " + ", ".join(f"{100 * share / sum(shares):.0f} %" for share in shares)
        if len(shares) > 1 and not any(shares[:-1]):
            objects = f"up to {len(shares)} objects"
        falls = ""
        if stage.fall is not None:
            falls = f", times {stage.fall[1]:g} every {stage.fall[0]} steps"
        elif stage.decay_at:
            steps = [str(at) for at in stage.decay_at if at < stage.steps]
            falls = f", a tenth of it from step {', '.join(steps)}" if steps else ", constant"
        if stage.weight_decay is not None:
            falls += f", weight decay {stage.weight_decay:g}"
        pace = stage.pace * self.recipe.pace
        gaps = stage.source in (*FILMED, *ON_DEVICE)
        special = [f"gaps up to {'-'.join(str(most) for _, most in stage.skips)}"] if gaps else []
        special += [f"pace {pace:g}"] if pace != 1 else []
        special += [f"{name} {value:g}" for name, value in stage.loss.items()]
        for factor in dict.fromkeys(stage.rates.values()):
            names = [name or "the rest" for name, value in stage.rates.items() if value == factor]
            special.append(f"rate of {', '.join(names)} x {factor:g}")
        clips = f"{stage.batch} clips of {stage.frames} frames at {stage.shape}"
        rate = f"rate {self.peak(stage):g}{falls}"
        main, *further = self.recipe.origins_of(stage)
        made = [f"{main.source}{main.sets.describe()}"]
        made += [f"{100 * one.share:.0f} % of clips {one.source}{one.sets.describe()}" for one in further]
        return "; ".join([f"{stage.steps} steps on {', '.join(made)}: {clips}", objects, rate, *special])

    def _steps_in_words(self) -> str:
        """What all steps have in common: optimiser, fall of the rate, gradients, average, batch norms."""
        recipe = self.recipe
        optimiser = str(recipe.optimiser)
        if recipe.betas != (0.9, 0.999) or recipe.epsilon != 1e-8:
            optimiser += f" (betas {recipe.betas[0]:g} and {recipe.betas[1]:g}, epsilon {recipe.epsilon:g})"
        falls = []
        if recipe.poly:
            falls = [f"rate falls with power {recipe.poly:g} of the steps left; "]
        elif not all(stage.decay_at or stage.fall for stage in recipe.stages):
            falls = [
                f"rate rises over {recipe.warm_up} steps, then falls by half a cosine to {recipe.final_rate:g} of it; "
            ]
        clipped = f"gradients clipped at {recipe.clip_norm:g}" if recipe.clip_norm else "gradients not clipped"
        averaged = f"weights averaged at {recipe.average:g}" if recipe.average else "weights not averaged"
        norms = "batch norms frozen" if recipe.frozen_norms else "batch norms trained"
        decay = f"weight decay {recipe.weight_decay:g}"
        return f"{optimiser}, {''.join(falls)}{decay}, {clipped}, {averaged}, {norms}"


def hardest_share(step: int, start: int, end: int, final: float = 0.15) -> float:
    """Share of pixels in the bootstrapped loss: 1 until ``start``, falling linearly to ``final`` at ``end``."""
    if step <= start:
        return 1.0
    return max(final, 1.0 - (1.0 - final) * (step - start) / max(end - start, 1))
