"""Ways of computing one network side by side, by part, and how far each part is from what the processor can do."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.flop_counter import FlopCounterMode

from rotoscope.errors import InputError
from rotoscope.experiments.plain import PlainSTCN
from rotoscope.experiments.speed import SIZE, method_to_time, moving_frames, push_and_see, squares
from rotoscope.methods.stcn import STCN
from rotoscope.runs.measure import Measurement
from rotoscope.weights import find

COMPARED = ("stcn", "stcn-small")
"""Names of the networks that are compared unless others are named."""
OBJECTS = (1, 5)
"""Numbers of objects that are compared."""
MEMORY: dict[str, Any] = {"memory": "every:5", "mem_every": 5, "top_k": 20}
"""Every way remembers the same frames, those that the released code remembers."""
WARM = 6
"""Frames before those that are timed: the second of them that is remembered is among them."""
GEMM = 1024
"""Side of the matrices whose product shows the peak."""
PARTS = ("encode key", "read memory", "decode", "encode value")
"""Parts that are products, whose multiply-adds are counted."""


PATIENCE = 20.0
"""Seconds after which the first way of a row is timed on fewer frames than were asked for; all others on as many."""
TELLING = 5.0
"""Seconds between two lines that tell how far a row is."""

Tell = Callable[[str], None]


def _silent(line: str) -> None:
    """Tell nobody."""


@dataclass
class Opened:
    """A clip that is being followed, one way or another.

    Attributes:
        seconds: by part of the work so far; may be emptied.
        push: answers the next frame.
    """

    seconds: dict[str, float]
    push: Callable[[NDArray[np.uint8]], object]


@dataclass(frozen=True, eq=False)
class Way:
    """A way of computing.

    Attributes:
        name: what the table calls it.
        precision: of the weights: ``exact`` or ``fast``.
        opens: makes a clip of a model and the masks of its first frame.
        takes: whether it can compute a model.
    """

    name: str
    precision: str
    opens: Callable[[STCN, Mapping[int, NDArray[Any]]], Opened]
    takes: Callable[[STCN], bool] = lambda model: True


def _plainly(model: STCN, masks: Mapping[int, NDArray[Any]]) -> Opened:
    clip = PlainSTCN(model, MEMORY["mem_every"], MEMORY["top_k"])
    prompts: list[list[NDArray[Any]]] = [list(masks.values())]
    return Opened(clip.timings.seconds, lambda image: clip.push(image, prompts.pop() if prompts else None))


def _by_session(model: STCN, masks: Mapping[int, NDArray[Any]]) -> Opened:
    session = model.session(**MEMORY)
    session.add(dict(masks))
    return Opened(session.timings.seconds, lambda image: push_and_see(session, image))


def is_released(model: STCN) -> bool:
    """Whether a network has the released layout, which is all that the plain formulation computes."""
    config = model.config
    return config.decoder == "released" and config.value_encoder == "resnet18" and config.short_side is None


WAYS: list[Way] = [
    Way("plain", "exact", _plainly, is_released),
    Way("exact", "exact", _by_session),
    Way("fast", "fast", _by_session),
]
"""All ways; another runtime is a line more."""


@dataclass
class Comparison:
    """What the ways of computing a method took.

    Attributes:
        method: its name.
        rows: the name of the way, the number of objects, and what was measured.
        products: multiply-adds of each part for a frame, by number of objects; what happens on every fifth frame only
            counts a fifth.
        peak: multiply-adds a second of a product of matrices, by precision, in this very run.
    """

    method: str
    rows: list[tuple[str, int, Measurement]] = field(default_factory=list)
    products: dict[int, dict[str, float]] = field(default_factory=dict)
    peak: dict[str, float] = field(default_factory=dict)

    def floor(self, way: str, objects: int, part: str) -> float:
        """Seconds a frame that a part would take if all its multiply-adds ran at the peak."""
        precision = next(known.precision for known in WAYS if known.name == way)
        return self.products[objects][part] / self.peak[precision]

    def ratio(self, row: tuple[str, int, Measurement]) -> float:
        """How many times as fast a row is as the first way with as many objects."""
        first = next(measured for _, objects, measured in self.rows if objects == row[1])
        return first.per_frame / row[2].per_frame


def gemm_peak(dtype: torch.dtype, seconds: float = 2.0) -> float:
    """Multiply-adds a second of a product of square matrices, the best of those that fit into some ``seconds``."""
    a, b = (torch.randn(GEMM, GEMM).to(dtype) for _ in range(2))
    best, until = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < until or best == float("inf"):
        begun = time.perf_counter()
        torch.mm(a, b)
        best = min(best, time.perf_counter() - begun)
    return float(GEMM) ** 3 / best


def multiply_adds(model: STCN, objects: int, frames: int) -> dict[str, float]:
    """Count the products of each part of a frame, on the network as it is trained: the mean over the frames timed.

    Args:
        model: in float32, nothing folded or packed.
        objects: how many are followed.
        frames: how many are timed, behind :data:`WARM` others.
    """
    session = model.session(**MEMORY)
    session.add(squares(objects, SIZE))
    session.push(moving_frames(1, SIZE)[0])
    canvas, network, config = session.canvas, model.network, model.config
    assert canvas is not None
    width, height = canvas.padded
    image, masks = torch.zeros(1, 3, height, width), torch.zeros(objects, 1, height, width)
    timed = range(WARM, WARM + frames)
    counts: dict[str, float] = {}
    with torch.inference_mode():
        features = _counted(counts, "encode key", lambda: network.encode_key(image))
        cells = features.key[0, 0].numel()
        held = sum(1 + (number - 1) // MEMORY["mem_every"] for number in timed) / frames
        products = held * cells * config.key_dim + objects * MEMORY["top_k"] * config.value_dim
        counts["read memory"] = cells * products
        readout = torch.zeros(objects, config.value_dim, *features.key.shape[-2:])

        def decode() -> object:
            places = network.places(masks[None, :, 0], features.key.flatten(2), features)
            return network.decode(readout, features, places)

        _counted(counts, "decode", decode)
        _counted(counts, "encode value", lambda: network.encode_value(image, features, masks, masks))
    counts["encode value"] *= sum(number % MEMORY["mem_every"] == 0 for number in timed) / frames
    return counts


def _counted(counts: dict[str, float], part: str, compute: Callable[[], Any]) -> Any:
    with FlopCounterMode(display=False) as counter:
        result = compute()
    counts[part] = counter.get_total_flops() / 2
    return result


def time_way(
    way: Way, model: STCN, objects: int, frames: int, *, patience: float = float("inf"), tell: Tell = _silent
) -> Measurement:
    """Time ``frames`` frames one way, after :data:`WARM` others.

    Args:
        way: how it is computed.
        model: a network that the way takes.
        objects: how many are followed.
        frames: how many are timed, at most.
        patience: seconds, those of the frames before included, after which fewer frames must do: the next number of
            them that the distance between remembered frames divides, so that every frame's share of these is the same.
        tell: is told, between frames, how far it is.
    """
    clip = way.opens(model, squares(objects, SIZE))
    total, every, wall, told, begun = WARM + frames, MEMORY["mem_every"], 0.0, 0.0, time.perf_counter()
    for number, image in enumerate(moving_frames(total, SIZE)):
        if number == WARM:
            clip.seconds.clear()
        since = time.perf_counter()
        clip.push(image)
        now = time.perf_counter()
        timed = max(number + 1 - WARM, 0)
        wall += now - since if timed else 0.0
        if timed and timed % every == 0 and now - begun > patience:
            break
        if now - begun - told > TELLING:
            told = now - begun
            tell(f"  frame {number + 1} of {total}, {told / (number + 1):.1f} s each")
    return Measurement(timed, wall, dict(clip.seconds))


def compare(
    methods: Sequence[str], frames: int, ways: Sequence[Way] = WAYS, tell: Tell = _silent
) -> Iterator[Comparison]:
    """Time all ways of computing methods at 854x480, in one run.

    Args:
        methods: names of STCN networks; those without weights here get random ones, as speed does not depend on them.
        frames: how many are timed for each row. Where the first way, which is the slowest, has taken more than
            :data:`PATIENCE`, fewer: at least as many as lie between remembered frames, and for all ways the same.
        ways: ways of computing; the first that takes a method is what its others are compared with.
        tell: is told of each row when it begins, how far it is, and when it is measured.

    Yields: each method's comparison when it is done.

    Raises:
        InputError: a method that is no STCN, or too few frames.
    """
    if frames < MEMORY["mem_every"]:
        raise InputError(f"of {frames} frames none may be remembered; give at least {MEMORY['mem_every']} to compare.")
    for name in methods:
        if find(name).method != "stcn":
            raise InputError(f"{name}: is no STCN, whose plain formulation the others are compared with.")
    return (_compared(name, frames, ways, tell) for name in methods)


def _compared(name: str, frames: int, ways: Sequence[Way], tell: Tell) -> Comparison:
    models: dict[str, STCN] = {}
    for precision in dict.fromkeys(("exact", *(way.precision for way in ways))):
        model = method_to_time(name, None, precision)
        assert isinstance(model, STCN)
        models[precision] = model
    result = Comparison(name)
    for precision, model in models.items():
        result.peak[precision] = gemm_peak(model.network.key_proj.weight.dtype)
    for objects in OBJECTS:
        count, patience = frames, PATIENCE
        for way in (way for way in ways if way.takes(models[way.precision])):
            tell(f"{name}, {way.name}, {objects} object(s), {count} frames at {SIZE[0]}x{SIZE[1]} ...")
            measured = time_way(way, models[way.precision], objects, count, patience=patience, tell=tell)
            result.rows.append((way.name, objects, measured))
            tell(f"  {measured.rate:.2f} frames/s")
            if measured.frames < count:
                tell(f"  slow: {measured.frames} frames are timed instead of {count}, by every way")
            count, patience = measured.frames, float("inf")  # a memory that grows makes other frames others' times
        result.products[objects] = multiply_adds(models["exact"], objects, count)
    return result
