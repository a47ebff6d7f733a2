"""The driver does not ask which kind of method it runs: clip by clip, or with a look at the whole video."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from rotoscope.errors import InputError
from rotoscope.methods.base import Method, Session, VideoLike
from rotoscope.methods.prediction import Prediction
from rotoscope.runs.segment import segment, segment_to_folder
from rotoscope.video import Frame, open_video


@dataclass(frozen=True)
class NoConfig:
    """Nothing to choose."""


class ClipSession(Session):
    """Answers three frames together, with the last mask given carried on; knows nothing else."""

    latency = 2

    def __init__(self) -> None:
        super().__init__(nn.Identity(), NoConfig())
        self.held: list[tuple[Frame, bool]] = []
        self.mask: Tensor | None = None

    def advance(self, frame: Frame, prompts: dict[int, Tensor]) -> list[Prediction]:
        if prompts:
            self.objects.replace(list(prompts)[:1])
            self.mask = next(iter(prompts.values()))
        self.held.append((frame, bool(prompts)))
        return self.flush() if len(self.held) == 3 else []

    def flush(self) -> list[Prediction]:
        assert self.mask is not None
        probabilities = torch.stack([1 - self.mask, self.mask])
        found = [
            Prediction.from_probabilities(f, self.objects.ids, probabilities, prompted) for f, prompted in self.held
        ]
        self.held = []
        return found

    def forget(self, object_id: int) -> None:
        self.mask = None

    def memory_state(self) -> dict[str, Any]:
        assert self.mask is not None
        images = {f"held.{frame.index}": torch.from_numpy(frame.image) for frame, _ in self.held}
        return images | {
            "mask": self.mask,
            "held": [[frame.index, frame.name, prompted] for frame, prompted in self.held],
        }

    def restore_memory(self, memory: Mapping[str, Any]) -> None:
        self.mask = memory["mask"]
        self.held = [
            (Frame(i, memory[f"held.{i}"].numpy(), name=name), prompted) for i, name, prompted in memory["held"]
        ]


class BrightSession(Session):
    """Needs the whole video: what is brighter than its mean is the object."""

    def __init__(self, video: VideoLike | None) -> None:
        super().__init__(nn.Identity(), NoConfig())
        if video is None:
            raise InputError("this method looks at the whole video. Give session(video=...).")
        self.mean = float(np.mean([video[i].image.mean() for i in range(len(video))]))
        self.objects.replace([1])

    def advance(self, frame: Frame, prompts: dict[int, Tensor]) -> list[Prediction]:
        bright = torch.from_numpy(frame.image.mean(axis=2) > self.mean).float()
        return [Prediction.from_probabilities(frame, (1,), torch.stack([1 - bright, bright]))]

    def forget(self, object_id: int) -> None:
        self.objects.replace([])

    def memory_state(self) -> dict[str, Any]:
        return {"mean": self.mean}

    def restore_memory(self, memory: Mapping[str, Any]) -> None:
        self.mean = memory["mean"]


class Fake(Method):
    config_class = NoConfig

    def __init__(self, whole: bool) -> None:
        super().__init__(NoConfig())
        self.whole = whole
        self.weight = nn.Parameter(torch.zeros(1))

    def session(self, video: VideoLike | None = None, **options: Any) -> Session:
        return BrightSession(video) if self.whole else ClipSession()


@pytest.mark.parametrize("count", [1, 2, 3, 7, 9])
def test_clip_by_clip_answers_every_frame_in_order(clip: np.ndarray, mask: np.ndarray, count: int) -> None:
    found = list(segment(clip[:count], {0: {5: mask}}, Fake(whole=False)))
    assert [p.index for p in found] == list(range(count))
    assert all(np.array_equal(p.labels == 5, mask) for p in found)


def test_clip_by_clip_in_both_directions(clip: np.ndarray, mask: np.ndarray) -> None:
    found = list(segment(clip, {4: {5: mask}}, Fake(whole=False), direction="both"))
    assert [p.index for p in found] == list(range(9))


def test_the_whole_video_is_there_for_who_asks(clip: np.ndarray, mask: np.ndarray) -> None:
    assert len(list(segment(clip, {0: {1: mask}}, Fake(whole=True)))) == 9
    with pytest.raises(InputError, match="Save it as a file first"):
        list(segment(iter(clip), {0: {1: mask}}, Fake(whole=True)))


def test_held_frames_survive_an_interruption(clip: np.ndarray, mask: np.ndarray, tmp_path: Path) -> None:
    """Stop after the fifth frame, two of which are held back; go on in a new process's place."""

    class StopError(Exception):
        pass

    model = Fake(whole=False)
    answered: list[int] = []

    def stop(prediction: Prediction) -> None:
        answered.append(prediction.index)
        if prediction.index == 5:
            raise StopError

    with open_video(clip) as video, pytest.raises(StopError):
        segment_to_folder(video, {0: {5: mask}}, model, tmp_path, state_every=1, on_frame=stop)
    with open_video(clip) as video:
        report = segment_to_folder(video, {0: {5: mask}}, model, tmp_path, state_every=1, resume=True)
    assert answered == [0, 1, 2, 3, 4, 5]
    assert report.resumed_at == 5
    assert report.frames == 6
    assert len(list(tmp_path.glob("*.png"))) == 9
