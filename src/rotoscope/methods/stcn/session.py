"""One video's state under STCN: the memory bank and when frames enter it (``inference_core.py``; thesis, chapter 3)."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from rotoscope.errors import InputError
from rotoscope.layers.aggregation import aggregate, leaned
from rotoscope.memory import MemoryBank, ObjectBank, parse_policy
from rotoscope.memory.storage import LARGE
from rotoscope.methods.canvas_session import CanvasSession
from rotoscope.methods.crossings import Crossings
from rotoscope.methods.prediction import Prediction
from rotoscope.methods.sharing import shared_out
from rotoscope.methods.stcn.config import STCNConfig
from rotoscope.methods.stcn.network import FrameFeatures, STCNNetwork
from rotoscope.methods.stcn.scales import at_scales
from rotoscope.methods.strays import Strays
from rotoscope.video.frame import Frame

OBJECTS_AT_ONCE = 8
"""Objects encoded or decoded in one batch; more go in several, which bounds the memory of forty objects."""


PRESENT = 0.5
"""Presence score from which on an object counts as seen."""


def _at_once(masks: Tensor) -> int:
    """How many of some objects, ``[N, ...]``, go in one batch: on a CPU at most half, as two threads may share them."""
    most = -(-len(masks) // 2) if masks.device.type == "cpu" else len(masks)
    return min(most, OBJECTS_AT_ONCE)


class Before(NamedTuple):
    """What is kept of the frame before, where the decoder is told of it.

    Attributes:
        key: the key of each cell of the frame before, ``[Ck, h * w]``.
        masks: the soft masks of its objects at the working size, ``[N, H', W']`` in [0, 1].
    """

    key: Tensor
    masks: Tensor


class Answer(NamedTuple):
    """What the network finds on a frame.

    Attributes:
        probabilities: the probabilities of background and objects at the working size, ``[1 + N, H', W']``.
        scores: presence and predicted IoU of each object in [0, 1], ``[N, 2]``; None if the network has none.
    """

    probabilities: Tensor
    scores: Tensor | None


class STCNSession(CanvasSession):
    """Segments one video.

    Between frames it holds the memory bank (at most ``lfu:M`` frames' worth of keys and values), the last frame's key
    and masks where the decoder is told of them, and nothing else that grows. Masks given on a frame are answered as the
    aggregated given masks; where they cover, they replace what was predicted for other objects, and the frame enters
    memory for all objects.

    Args:
        network: the layers.
        config: network sizes and inference options.
        memory_budget: bytes that the memory bank may take; chooses M of ``lfu:M``. Not for other policies.
    """

    prepares = True
    first_part = "encode key"
    network: STCNNetwork
    config: STCNConfig

    def __init__(self, network: STCNNetwork, config: STCNConfig, memory_budget: int | None = None) -> None:
        super().__init__(network, config)
        self.policy = parse_policy(config.memory, config.mem_every)
        self.bank = (MemoryBank if config.counters == "shared" else ObjectBank)(self.policy, config.usage)
        self.memory_budget = memory_budget
        if memory_budget is not None and not config.memory.startswith("lfu"):
            raise InputError(f"a memory budget chooses M of lfu:M; the policy {config.memory} has no M.")
        self._since_write = 0
        self._before: Before | None = None
        self._crossings = Crossings() if config.crossings else None
        self._strays = Strays(config.strays)
        self._per_frame = 0

    def advance(self, frame: Frame, prompts: dict[int, Tensor]) -> list[Prediction]:
        """Answer the frame; remember it if it is due or masks were given on it."""
        self._since_write += 1
        if not self.objects and not prompts:
            return [Prediction.empty(frame)]
        canvas = self.canvas
        assert canvas is not None
        image, features = self.encoded(frame)
        answer = self._without_strays(self._told_apart(self._follow(features), frame), features)
        probabilities = self.with_prompts(answer.probabilities, prompts) if prompts else answer.probabilities
        if prompts and self._crossings is not None:
            self._crossings.look(frame.image, prompts)
            self._crossings.portray(
                probabilities, self.objects.ids, prompts, lambda: self.fitted(frame.size).seen(frame.image)
            )
        self._strays.give(features.key[0], self.objects.channels(probabilities, prompts))
        unclear = self._crossings is not None and self._crossings.merged
        if prompts or (self.policy.enters(self._since_write) and self._is_sure(answer) and not unclear):
            pinned = self._pins(probabilities, prompts) if prompts else None
            trust = self.config.trust if prompts else 0.0
            self._remember(image, features, probabilities, pinned=pinned, trust=trust)
            self._since_write = 0
        elif self.config.include_last:
            if self._is_sure(answer):
                self._remember(image, features, probabilities, temporary=True)
            else:
                self.bank.drop_temporary()
        if self.config.previous != "none":
            self._before = Before(features.key[0].flatten(1), probabilities[1:])
        return [self.restored(frame, probabilities, prompts, self._confidence(answer, prompts))]

    def encode(self, frame: Frame) -> tuple[Tensor, FrameFeatures]:
        """The frame as the network takes it, and its key and features."""
        weight = self.network.key_proj.weight
        image = self.fitted(frame.size).image(frame.image, weight.device).to(weight.dtype)
        features = self.network.encode_key(image)
        if self.config.value_encoder == "light":  # it sees no pictures, and two megabytes need not wait with the frame
            image = image.new_empty(1, 3, 0, 0)
        return image, features

    @property
    def frames_remembered(self) -> float | None:
        """Features in the bank over features of a frame."""
        return len(self.bank) / self._per_frame if self._per_frame else 0.0

    def forget(self, object_id: int) -> None:
        """Drop the object's values and its last mask."""
        if self._before is not None:
            kept = [slot for slot, other in enumerate(self.objects.ids) if other != object_id]
            self._before = Before(self._before.key, self._before.masks[kept])
        if self._crossings is not None:
            self._crossings.forget(object_id)
        self._strays.forget(object_id)
        if object_id in self.bank.object_ids:
            self.bank.forget(object_id)

    def memory_state(self) -> dict[str, Any]:
        """The bank, the frame before, and when a frame last entered."""
        bank = {f"bank.{name}": value for name, value in self.bank.state().items()}
        before = {} if self._before is None else {f"before.{k}": v for k, v in self._before._asdict().items()}
        met = {} if self._crossings is None else {f"crossings.{k}": v for k, v in self._crossings.state().items()}
        return bank | before | met | self._strays.state() | {"since_write": self._since_write}

    def restore_memory(self, memory: Mapping[str, Any]) -> None:
        """Continue where :meth:`memory_state` was taken."""
        self.bank.restore({k.removeprefix("bank."): v for k, v in memory.items() if k.startswith("bank.")})
        self._before = Before(memory["before.key"], memory["before.masks"]) if "before.key" in memory else None
        if self._crossings is not None:
            met = {k.removeprefix("crossings."): v for k, v in memory.items() if k.startswith("crossings.")}
            self._crossings.restore(met)
        self._strays.restore(memory)
        self._since_write = int(memory["since_write"])

    def _follow(self, features: FrameFeatures) -> Answer:
        """Read and decode the objects known so far."""
        height, width = features.skip4.shape[-2] * 4, features.skip4.shape[-1] * 4
        if not self.objects:
            return Answer(torch.ones(1, height, width, device=features.key.device), None)
        with self.timings.part("read memory"):
            readouts = self.bank.read(self._compared(features), self.config.top_k)
            readout = torch.stack([readouts[object_id] for object_id in self.objects.ids])
            readout = readout.unflatten(-1, tuple(features.key.shape[-2:])).to(features.thin.dtype)
        with self.timings.part("decode"):
            places = self._places(features)
            at_once = _at_once(readout)
            told = itertools.repeat(None) if places is None else places.split(at_once)
            parts = shared_out(
                self.helper,
                lambda part: self.network.decode(part[0], features, part[1]),
                list(zip(readout.split(at_once), told, strict=False)),
            )
            logits = torch.cat([part.logits for part in parts])[:, 0].float()
            own = torch.sigmoid(leaned(logits, self.config.lean))
        known = [part.scores for part in parts if part.scores is not None]
        scores = torch.sigmoid(torch.cat(known).float()) if known else None
        if scores is not None and self.config.least_presence:
            own = own * (scores[:, 0] >= self.config.least_presence)[:, None, None]
        return Answer(aggregate(own), scores)

    def _told_apart(self, answer: Answer, frame: Frame) -> Answer:
        """Look-alikes that have crossed, by their pictures or by how they moved before."""
        canvas = self.canvas
        if self._crossings is None or canvas is None:
            return answer
        seen = partial(canvas.seen, frame.image)
        probabilities, taken = self._crossings.step(answer.probabilities, self.objects.ids, seen)
        if taken:
            self.bank.exchange(taken)
        return answer._replace(probabilities=probabilities)

    def _without_strays(self, answer: Answer, features: FrameFeatures) -> Answer:
        """Masks without pieces that stay behind."""
        if not (self.config.strays and self.objects):
            return answer
        with self.timings.part("strays"):
            key = features.key[0]
            return answer._replace(probabilities=self._strays.step(answer.probabilities, self.objects.ids, key))

    def _places(self, features: FrameFeatures) -> Tensor | None:
        """What the decoder is told of the frame before."""
        if self._before is None:
            return None
        masks = self._before.masks[None].to(features.key.dtype)
        return self.network.places(masks, self._before.key[None], features)

    def _is_sure(self, answer: Answer) -> bool:
        """Whether a frame's masks are good enough to be remembered, where the config asks."""
        if answer.scores is None or not self.config.least_quality:
            return True
        there = answer.scores[:, 0] >= PRESENT
        return bool(there.any() and answer.scores[there, 1].mean() >= self.config.least_quality)

    def _confidence(self, answer: Answer, prompts: dict[int, Tensor]) -> list[float] | None:
        """Of each object the IoU that its mask is predicted to have; 1 for those given now; None without scores."""
        if answer.scores is None and self.config.scores:
            return [1.0] * len(self.objects.ids)
        if answer.scores is None:
            return None
        predicted = answer.scores[:, 1].tolist() + [1.0] * (len(self.objects.ids) - len(answer.scores))
        return [1.0 if object_id in prompts else q for object_id, q in zip(self.objects.ids, predicted, strict=True)]

    def _pins(self, probabilities: Tensor, prompts: dict[int, Tensor]) -> Tensor | None:
        """Features of this frame that show a given object, if they are to be protected."""
        if not self.config.protect_first:
            return None
        channels = [1 + slot for slot in self.objects.slots(prompts)]
        shown = probabilities[channels].amax(dim=0) > 0.5
        return F.max_pool2d(shown[None].float(), 16)[0].flatten() > 0

    def _remember(
        self,
        image: Tensor,
        features: FrameFeatures,
        probabilities: Tensor,
        *,
        pinned: Tensor | None = None,
        temporary: bool = False,
        trust: float = 0.0,
    ) -> None:
        with self.timings.part("encode value"):
            masks = probabilities[1:, None].to(image.dtype)
            others = masks.sum(dim=0, keepdim=True) - masks
            at_once = _at_once(masks)
            values = shared_out(
                self.helper,
                lambda part: self.network.encode_value(image, features, *part),
                list(zip(masks.split(at_once), others.split(at_once), strict=True)),
            )
            value = torch.cat(values).flatten(2).float()
        self._per_frame = features.key[0, 0].numel()
        with self.timings.part("store"):
            key, by_object = self._compared(features), dict(zip(self.objects.ids, value, strict=True))
            self._size_bank(key, value)
            if isinstance(self.bank, ObjectBank) and not temporary:
                self.bank.store_shown(key, by_object, self._shown(probabilities), pinned=pinned, trust=trust)
            else:
                self.bank.store(key, by_object, pinned=pinned, temporary=temporary, trust=trust)

    def _compared(self, features: FrameFeatures) -> Tensor:
        """A frame's keys as the memory compares them, ``[scales * Ck, h * w]``."""
        return at_scales(features.key.float(), self.config.scales)[0].flatten(1)

    def _shown(self, probabilities: Tensor) -> Tensor:
        """The object that each cell shows most of, 0 for the background, int64 ``[h * w]``."""
        slots = F.avg_pool2d(probabilities[None], 16)[0].flatten(1).argmax(dim=0)
        return torch.tensor([0, *self.objects.ids], device=slots.device)[slots]

    def _size_bank(self, key: Tensor, value: Tensor) -> None:
        """Choose the capacity from the byte budget; an object more leaves room for fewer features."""
        if self.memory_budget is None:
            return
        each = 4 * (key.shape[0] + value.shape[0] * value.shape[1]) + 32
        if self.memory_budget // each > LARGE:  # then keys take half
            each -= 2 * key.shape[0]
        frames = self.memory_budget // (each * key.shape[1])
        if frames < 1:
            least = each * key.shape[1] / 2**20
            raise InputError(
                f"memory budget of {self.memory_budget / 2**20:.0f} MiB holds not even one frame ({least:.1f} MiB for "
                f"{value.shape[0]} objects). Give more, or work at a smaller --size."
            )
        if self.bank.capacity != frames * key.shape[1]:
            self.bank.limit(int(frames) * key.shape[1])
