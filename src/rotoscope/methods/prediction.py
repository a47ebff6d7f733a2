"""What a session answers for a frame."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rotoscope.layers.aggregation import aggregate, put_in
from rotoscope.methods import neighbours


class FrameLike(Protocol):
    """What an answer takes from its frame: a :class:`~rotoscope.video.frame.Frame`, or what is left of one."""

    @property
    def index(self) -> int:
        """Position in the video, from 0."""

    @property
    def name(self) -> str:
        """What masks written for the frame are called."""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""


@dataclass(frozen=True, eq=False)
class Prediction:
    """The masks of one frame.

    Attributes:
        index: the index of the frame in the video, from 0.
        object_ids: the caller's ids of the objects, in the order of the channels of ``probabilities``.
        probabilities: float32 ``[1 + N, H, W]`` in [0, 1] at the frame's own size. Channel 0 is the background; the
            channels sum to 1.
        labels: the id of the most probable object of each pixel, uint8 ``[H, W]`` (uint16 if an id exceeds 255); 0 is
            background.
        confidence: one number in [0, 1] for each object. It is the IoU that a network predicts for its mask, where it
            predicts one; else the mean probability over the pixels of the mask, and 0 if it has none.
        name: the name of the frame (see :class:`~rotoscope.video.frame.Frame`).
        prompted: whether masks were given on this frame.
    """

    index: int
    object_ids: tuple[int, ...]
    probabilities: Tensor
    labels: NDArray[np.uint8] | NDArray[np.uint16]
    confidence: tuple[float, ...]
    name: str = ""
    prompted: bool = False

    @classmethod
    def empty(cls, frame: FrameLike) -> Prediction:
        """The answer on a frame without any object: all of it is background."""
        width, height = frame.size
        return cls.from_probabilities(frame, (), torch.ones(1, height, width))

    @classmethod
    def from_probabilities(
        cls,
        frame: FrameLike,
        object_ids: Sequence[int],
        probabilities: Tensor,
        prompted: bool = False,
        confidence: Sequence[float] | None = None,
    ) -> Prediction:
        """Derive labels from ``probabilities`` ``[1 + N, H, W]``, and confidence where a network does not tell it."""
        ids = tuple(object_ids)
        labels, found = _read(ids, probabilities, confidence)
        return cls(frame.index, ids, probabilities, labels, found, frame.name, prompted)

    @staticmethod
    def to_come(
        frame: FrameLike,
        object_ids: Sequence[int],
        restore: Callable[[], Tensor],
        prompted: bool = False,
        confidence: Sequence[float] | None = None,
    ) -> Prediction:
        """The same of what ``restore`` will give, which is asked once, by the thread that first wants to see it."""
        made = object.__new__(_ToCome)
        told = {"index": frame.index, "object_ids": tuple(object_ids), "name": frame.name, "prompted": prompted}
        made.__dict__.update(told, _restore=restore, _confidence=confidence)
        return made

    @property
    def masks(self) -> NDArray[np.bool_]:
        """Each object's own pixels, bool ``[N, H, W]`` in the order of ``object_ids``."""
        return neighbours.masks_of(self)

    def to_numpy(self) -> dict[int, NDArray[np.float32]]:
        """Each object's probability by id, float32 ``[H, W]`` in [0, 1], on the CPU."""
        soft = self.probabilities[1:].detach().cpu().float().numpy()
        return dict(zip(self.object_ids, soft, strict=True))

    def to_coco(
        self, image_id: int | None = None, categories: Mapping[int, int] | None = None
    ) -> list[dict[str, object]]:
        """Annotations in COCO's form (run lengths) of the objects that show on the frame.

        Args:
            image_id: the image's id; the frame's index unless given.
            categories: the category of each object; an object's own id where it is missing.
        """
        return neighbours.to_coco(self, self.index if image_id is None else image_id, categories or {})

    def to_supervision(self) -> Any:
        """``supervision.Detections`` of the objects that show on the frame: boxes, masks, confidence, ``tracker_id``.

        Raises:
            InputError: the package ``supervision`` is not installed.
        """
        return neighbours.to_supervision(self)

    def _repr_html_(self) -> str:
        """What a notebook shows: the masks, and a line per object."""
        return neighbours.to_html(self)

    def with_prompts(self, frame: FrameLike, prompts: Mapping[int, Tensor]) -> Prediction:
        """The same answer with the masks given on its frame in place of what was predicted there.

        Args:
            frame: the frame that this is the answer of.
            prompts: masks in [0, 1], ``[H, W]`` each, by id, all of them ids of this answer; of two that overlap the
                later is in front where both are whole.
        """
        masks = torch.stack([mask.to(self.probabilities.device) for mask in prompts.values()])
        in_front = [
            mask.masked_fill(masks[number:].gt(0.5).any(dim=0), 0) if number < len(masks) else mask
            for number, mask in enumerate(masks, 1)
        ]
        slots = [self.object_ids.index(object_id) for object_id in prompts]
        own = put_in(self.probabilities[1:], slots, torch.stack(in_front))
        confidence = [1.0 if i in prompts else c for i, c in zip(self.object_ids, self.confidence, strict=True)]
        return Prediction.from_probabilities(frame, self.object_ids, aggregate(own), self.prompted, confidence)


class _ToCome(Prediction):
    """A prediction whose probabilities, labels and, if need be, confidence are made when they are looked at."""

    def __new__(cls, *fields: Any, **named: Any) -> Any:
        """What is made of one with other fields, as by :func:`dataclasses.replace`, is a plain one."""
        return Prediction(*fields, **named)

    def __reduce__(self) -> tuple[Any, ...]:
        """Copies, and what is sent to other processes, are plain ones."""
        return Prediction, tuple(getattr(self, field.name) for field in dataclasses.fields(Prediction))

    @cached_property
    def _read(self) -> tuple[Tensor, NDArray[np.uint8] | NDArray[np.uint16], tuple[float, ...]]:
        with torch.inference_mode():
            probabilities = self.__dict__.pop("_restore")()
            return probabilities, *_read(self.object_ids, probabilities, self.__dict__["_confidence"])

    @property
    def probabilities(self) -> Tensor:
        """See :class:`Prediction`."""
        return self._read[0]

    @property
    def labels(self) -> NDArray[np.uint8] | NDArray[np.uint16]:
        """See :class:`Prediction`."""
        return self._read[1]

    @property
    def confidence(self) -> tuple[float, ...]:
        """See :class:`Prediction`."""
        known = self.__dict__["_confidence"]
        return self._read[2] if known is None else tuple(known)


def _read(
    ids: tuple[int, ...], probabilities: Tensor, confidence: Sequence[float] | None
) -> tuple[NDArray[np.uint8] | NDArray[np.uint16], tuple[float, ...]]:
    """Labels and confidence; see :meth:`Prediction.from_probabilities`."""
    best, slots = most_probable(probabilities)
    if confidence is None:
        flat = slots.flatten()
        count = torch.bincount(flat, minlength=len(ids) + 1)
        total = torch.bincount(flat, best.flatten().double(), minlength=len(ids) + 1)
        confidence = (total / count.clamp(min=1))[1:].tolist()
    table = np.array((0, *ids), dtype=np.uint16 if max(ids, default=0) > 255 else np.uint8)
    return table[slots.cpu().numpy()], tuple(confidence)


FEW = 12
"""Objects up to which comparing them one after another is quicker than PyTorch's maximum with its places."""


def most_probable(probabilities: Tensor) -> tuple[Tensor, Tensor]:
    """The largest of ``[1 + N, H, W]`` and its channel, the first of equal ones, ``[H, W]`` each."""
    if len(probabilities) > 1 + FEW or probabilities.device.type != "cpu":
        best, slots = probabilities.max(dim=0)  # many times faster than argmax on a CPU
        return best, slots
    planes = probabilities.detach().numpy()  # whose operations take one thread, that of whoever asks
    most, whose = planes[0].copy(), np.zeros(planes.shape[1:], np.uint8)
    for channel, plane in enumerate(planes[1:], 1):
        np.putmask(whose, plane > most, channel)
        np.maximum(most, plane, out=most)
    return torch.from_numpy(most), torch.from_numpy(whose)
