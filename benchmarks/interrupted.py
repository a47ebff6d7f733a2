"""Small runs to interrupt: a quick network whose answers depend on every frame before, a clip, and all ways to run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any, get_args
from unittest.mock import patch

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from faults import contents
from rotoscope.masks.writing import FORMATS
from rotoscope.methods.base import Method, Session, VideoLike
from rotoscope.methods.prediction import Prediction
from rotoscope.runs.job import Direction
from rotoscope.runs.report import Report
from rotoscope.runs.segment import segment_to_folder
from rotoscope.runs.state import RunState
from rotoscope.video import Frame, open_video
from rotoscope.video.codings import CODINGS
from rotoscope.video.writer import QUALITY

SIZE = (32, 24)
DIRECTIONS: tuple[Direction, ...] = get_args(Direction)
LOSSLESS = {"qp": "0", "preset": "ultrafast"}
WAYS = tuple((form, direction) for form in FORMATS for direction in DIRECTIONS)
"""Each output format with each direction."""


@dataclass(frozen=True)
class NoConfig:
    """Nothing to choose."""


class RecurrentSession(Session):
    """One convolution of the frame and of what was answered before; the past fades and is never quite forgotten.

    Args:
        layer: from four channels to one.
        held: frames that are held back before they are answered.
    """

    def __init__(self, layer: nn.Conv2d, held: int = 0) -> None:
        super().__init__(layer, NoConfig())
        self.latency = held
        self.hidden = torch.zeros(0)
        self.waiting: list[Prediction] = []

    def advance(self, frame: Frame, prompts: dict[int, Tensor]) -> list[Prediction]:
        """Answer a frame."""
        height, width = frame.image.shape[:2]
        new = self.objects.enter(prompts)
        blank = torch.zeros(len(new), height, width)
        self.hidden = torch.cat([self.hidden, blank]) if self.hidden.ndim == 3 else blank
        for object_id, mask in prompts.items():
            self.hidden[self.objects.slot(object_id)] = 4 * mask - 2
        if self.objects:
            image = torch.from_numpy(frame.image).permute(2, 0, 1).float().expand(len(self.objects), -1, -1, -1) / 255
            seen = self.network(torch.cat([image, self.hidden[:, None]], dim=1))[:, 0]
            self.hidden = 0.9 * self.hidden + 0.3 * seen
        soft = self.hidden.sigmoid() if self.objects else torch.zeros(0, height, width)
        whole = torch.cat([(1 - soft).prod(dim=0, keepdim=True), soft])
        prediction = Prediction.from_probabilities(frame, self.object_ids, whole / whole.sum(0), bool(prompts))
        self.waiting.append(prediction)
        return [self.waiting.pop(0)] if len(self.waiting) > self.latency else []

    def flush(self) -> list[Prediction]:
        """What is held back."""
        found, self.waiting = self.waiting, []
        return found

    def forget(self, object_id: int) -> None:
        """Drop a channel."""
        slot = self.objects.slot(object_id)
        self.hidden = torch.cat([self.hidden[:slot], self.hidden[slot + 1 :]])

    def memory_state(self) -> dict[str, Any]:
        """What is remembered, and the answers held back."""
        held = {f"held.{p.index}": p.probabilities for p in self.waiting}
        about = [[p.index, p.name, list(p.object_ids), p.prompted] for p in self.waiting]
        return {"hidden": self.hidden, "about": about, **held}

    def restore_memory(self, memory: Mapping[str, Any]) -> None:
        """The same back."""
        self.hidden = memory["hidden"]
        for index, name, ids, prompted in memory["about"]:
            frame = Frame(index, np.zeros((SIZE[1], SIZE[0], 3), np.uint8), name=name)
            probabilities = memory[f"held.{index}"]
            self.waiting.append(Prediction.from_probabilities(frame, tuple(ids), probabilities, prompted))


class Recurrent(Method):
    """A network that takes no time, with fixed random weights."""

    config_class = NoConfig

    def __init__(self, held: int = 0) -> None:
        super().__init__(NoConfig())
        self.held = held
        torch.manual_seed(5)
        self.network = nn.Conv2d(4, 1, 3, padding=1)
        self.requires_grad_(False)

    def session(self, video: VideoLike | None = None, **options: Any) -> Session:
        """A new session."""
        return RecurrentSession(self.network, self.held)


def clip(count: int) -> NDArray[np.uint8]:
    """Frames ``[T, H, W, 3]`` of noise that drifts."""
    noise = np.random.default_rng(0).integers(0, 256, (SIZE[1], SIZE[0] + count, 3), dtype=np.uint8)
    return np.stack([noise[:, t : t + SIZE[0]] for t in range(count)])


def prompts(count: int) -> dict[int, Any]:
    """Masks of two objects on two frames, neither of them the first or the last."""
    one, two = np.zeros((2, SIZE[1], SIZE[0]), bool)
    one[4:14, 3:15], two[10:20, 16:30] = True, True
    return {count // 4: {1: one, 7: two}, 3 * count // 4: {7: np.roll(two, -6, axis=1)}}


def run(
    folder: Path, form: str, direction: Direction, count: int = 40, every: int = 7, model: Method | None = None,
    **more: Any,
) -> Report:  # fmt: skip
    """Segment the clip into a folder; H.264 is without loss, so that it shows exactly what was drawn."""
    coded: Any = CODINGS["blur"].options
    with (
        patch.dict(QUALITY, LOSSLESS, clear=True),
        patch.dict(coded, LOSSLESS, clear=True),
        open_video(clip(count)) as video,
    ):
        return segment_to_folder(
            video,
            prompts(count),
            model or Recurrent(),
            folder,
            output_formats=form,
            direction=direction,
            state_every=every,
            **more,
        )


def unlike(one: Path, other: Path) -> list[str]:
    """In which frames two videos differ, by any pixel or by their time; nothing if they show the same."""
    found: list[str] = []
    with open_video(one) as a, open_video(other) as b:
        for x, y in zip_longest(a, b):
            if x is None or y is None:
                return [*found, "one has more frames"]
            apart = abs(x.image.astype(int) - y.image)
            if apart.any() or x.time != y.time:
                found.append(f"frame {x.index}: {x.time} s and {y.time} s, {(apart > 0).mean():.1%} of values differ, "
                             f"by up to {apart.max()}")  # fmt: skip
    return found


def differences(folder: Path, whole: Path) -> list[str]:
    """In what a resumed run's folder differs from that of an unbroken one; nothing if it is equal."""
    got, want = contents(folder), contents(whole)
    found = sorted(name for name in got.keys() | want.keys() if got.get(name) != want.get(name))
    for one in (path for path in whole.glob("*.mp4") if path.name in got):
        other = folder / one.name
        if one.read_bytes() != other.read_bytes():
            found += [f"{one.name}, {line}" for line in unlike(other, one)]
    return found


def untrue(folder: Path, whole: Path, direction: Direction) -> list[str]:
    """What is wrong in a folder at the moment of a kill: a file that is not as it will be, or masks behind the state.

    Every file under its own name is whole, and is that of an unbroken run; only the COCO file and the report of the
    run may still lack frames. The COCO file holds every frame that the state has behind it.
    """
    found = []
    want = contents(whole)
    for name, data in contents(folder).items():
        own = not any(part.startswith(".") for part in Path(name).parts)
        if own and name != "coco/annotations.json" and want.get(name) != data:
            found.append(name)
    annotations, state = folder / "coco" / "annotations.json", folder / ".rotoscope" / "state.safetensors"
    if (whole / "coco").exists() and state.exists():
        read = RunState.read(state)
        final = json.loads((whole / "coco" / "annotations.json").read_text())
        now = json.loads(annotations.read_text()) if annotations.exists() else {"images": [], "annotations": []}
        there = {image["id"] for image in now["images"]}
        assert read is not None
        hidden = direction == "both" and read.phase == "backward"
        for image in final["images"]:
            behind = image["id"] > read.position if direction == "backward" else image["id"] < read.position
            if behind and not hidden and image["id"] not in there:
                found.append(f"COCO lacks frame {image['id']}")
    return found
