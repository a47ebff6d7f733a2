"""One video's state under STCN: the memory bank and when frames enter it (facts, sections 5 and 7)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from rotoscope.errors import InputError
from rotoscope.layers.aggregation import aggregate
from rotoscope.layers.canvas import Canvas
from rotoscope.memory import MemoryBank, parse_policy
from rotoscope.methods.base import Prediction, Session
from rotoscope.methods.stcn.config import STCNConfig
from rotoscope.methods.stcn.network import FrameFeatures, STCNNetwork
from rotoscope.video.frame import Frame

OBJECTS_AT_ONCE = 8
"""Objects encoded or decoded in one batch; more go in several, which bounds the memory of forty objects."""


class STCNSession(Session):
    """Segments one video.

    Between frames it holds the memory bank (at most ``lfu:M`` frames' worth of keys and values), and nothing else
    that grows. Masks given on a frame are answered as the aggregated given masks; where they cover, they replace
    what was predicted for other objects, and the frame enters memory for all objects.

    Args:
        network: the layers.
        config: network sizes and inference options.
        memory_budget: bytes that the memory bank may take; chooses M of ``lfu:M``. Not for other policies.
    """

    def __init__(self, network: STCNNetwork, config: STCNConfig, memory_budget: int | None = None) -> None:
        super().__init__()
        if config.top_k is not None and config.top_k < 1:
            raise InputError(f"top_k is {config.top_k}; give a whole number of at least 1, or none to read all.")
        self.network = network
        self.config = config
        self.policy = parse_policy(config.memory, config.mem_every)
        self.bank = MemoryBank(self.policy, config.usage)
        self.memory_budget = memory_budget
        if memory_budget is not None and not config.memory.startswith("lfu"):
            raise InputError(f"a memory budget chooses M of lfu:M; the policy {config.memory} has no M.")
        self.canvas: Canvas | None = None
        self._since_write = 0
        self._permanent = False
        self._per_frame = 0

    def keep_next(self) -> None:
        """Make the next frame pushed a permanent one: it enters memory, and none of its features ever leave.

        They count towards the capacity, and are pinned only while they leave room for one more frame.
        """
        self._require_open()
        self._permanent = True

    def advance(self, frame: Frame, given: dict[int, Tensor]) -> list[Prediction]:
        """Answer the frame; remember it if it is due or masks were given on it."""
        canvas = self.canvas = self.canvas or self._fit(frame.size)
        self._since_write += 1
        if not self._ids and not given:
            empty = torch.ones(1, frame.size[1], frame.size[0])
            return [Prediction.from_probabilities(frame, (), empty)]
        device = self.network.pred.weight.device
        with self.timings.part("encode key"):
            image = canvas.image(frame.image, device)
            image = image.to(self.network.pred.weight.dtype)
            features = self.network.encode_key(image)
        probabilities = self._follow(features)
        if given:
            probabilities = self._put_in(probabilities, given, canvas)
        permanent, self._permanent = self._permanent, False
        if given or permanent or self.policy.enters(self._since_write):
            pinned = self._pins(probabilities, given) if given else None
            if permanent:
                pinned = torch.ones(features.key[0, 0].numel(), dtype=torch.bool, device=features.key.device)
            self._remember(image, features, probabilities, pinned=pinned)
            self._since_write = 0
        elif self.config.include_last:
            self._remember(image, features, probabilities, temporary=True)
        with self.timings.part("restore"):
            restored = canvas.restore(probabilities.float())
            return [Prediction.from_probabilities(frame, self._ids, restored, bool(given))]

    @property
    def frames_remembered(self) -> float | None:
        """Features in the bank over features of a frame."""
        return len(self.bank) / self._per_frame if self._per_frame else 0.0

    def forget(self, object_id: int) -> None:
        """Drop the object's values."""
        if object_id in self.bank.object_ids:
            self.bank.forget(object_id)

    def state(self) -> dict[str, Any]:
        """The bank, the ids, and the counters."""
        bank = {f"bank.{name}": value for name, value in self.bank.state().items()}
        size = list(self._size) if self._size else None
        pending = {f"pending.{object_id}": mask for object_id, mask in self._pending.items()}
        return (
            bank
            | pending
            | {
                "ids": list(self._ids),
                "size": size,
                "next_index": self._next_index,
                "since_write": self._since_write,
                "permanent": self._permanent,
            }
        )

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue where :meth:`state` was taken."""
        device = self.network.pred.weight.device
        moved = {k: v.to(device) if isinstance(v, Tensor) else v for k, v in state.items()}
        self.bank.restore({k.removeprefix("bank."): v for k, v in moved.items() if k.startswith("bank.")})
        self._pending = {int(k.removeprefix("pending.")): v for k, v in state.items() if k.startswith("pending.")}
        self._ids = [int(object_id) for object_id in state["ids"]]
        self._size = tuple(state["size"]) if state["size"] else None
        self.canvas = self._fit(self._size) if self._size else None
        self._next_index = int(state["next_index"])
        self._since_write = int(state["since_write"])
        self._permanent = bool(state["permanent"])

    def _fit(self, size: tuple[int, int]) -> Canvas:
        config = self.config
        return Canvas.fit(
            size, short_side=config.short_side, max_short_side=config.max_short_side, resizing=config.resizing
        )

    def _follow(self, features: FrameFeatures) -> Tensor:
        """Aggregated probabilities ``[1 + N, H', W']`` of the objects known so far."""
        height, width = features.skip4.shape[-2] * 4, features.skip4.shape[-1] * 4
        if not self._ids:
            return torch.ones(1, height, width, device=features.key.device)
        with self.timings.part("read memory"):
            readouts = self.bank.read(features.key[0].flatten(1).float(), self.config.top_k)
            readout = torch.stack([readouts[object_id] for object_id in self._ids])
            readout = readout.unflatten(-1, tuple(features.key.shape[-2:])).to(features.thin.dtype)
        with self.timings.part("decode"):
            parts = [self.network.decode(part, features) for part in readout.split(OBJECTS_AT_ONCE)]
            logits = torch.cat(parts)[:, 0].float()
        return aggregate(torch.sigmoid(logits))

    def _put_in(self, probabilities: Tensor, given: dict[int, Tensor], canvas: Canvas) -> Tensor:
        """Given masks replace the prediction where they cover, and everything is aggregated again."""
        masks = canvas.masks(torch.stack(list(given.values())).to(probabilities.device))
        covered = (masks > 0.5).any(dim=0)
        objects = {i: p.masked_fill(covered, 0) for i, p in zip(self._ids, probabilities[1:], strict=True)}
        objects |= dict(zip(given, masks, strict=True))
        self._ids = list(objects)
        return aggregate(torch.stack(list(objects.values())))

    def _pins(self, probabilities: Tensor, given: dict[int, Tensor]) -> Tensor | None:
        """Features of this frame that show a given object, if they are to be protected."""
        if not self.config.protect_first:
            return None
        channels = [1 + self._ids.index(object_id) for object_id in given]
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
    ) -> None:
        with self.timings.part("encode value"):
            masks = probabilities[1:, None].to(image.dtype)
            others = masks.sum(dim=0, keepdim=True) - masks
            values = []
            for part, rest in zip(masks.split(OBJECTS_AT_ONCE), others.split(OBJECTS_AT_ONCE), strict=True):
                count = len(part)
                values.append(
                    self.network.encode_value(
                        image.expand(count, -1, -1, -1), features.f16.expand(count, -1, -1, -1), part, rest
                    )
                )
            value = torch.cat(values).flatten(2).float()
        self._per_frame = features.key[0, 0].numel()
        with self.timings.part("store"):
            self._size_bank(features.key[0].flatten(1), value)
            self.bank.store(
                features.key[0].flatten(1).float(),
                dict(zip(self._ids, value, strict=True)),
                pinned=pinned,
                temporary=temporary,
            )

    def _size_bank(self, key: Tensor, value: Tensor) -> None:
        """Choose the capacity from the byte budget; an object more leaves room for fewer features."""
        if self.memory_budget is None:
            return
        each = 4 * (key.shape[0] + value.shape[0] * value.shape[1]) + 32
        frames = self.memory_budget // (each * key.shape[1])
        if frames < 1:
            least = each * key.shape[1] / 2**20
            raise InputError(
                f"memory budget of {self.memory_budget / 2**20:.0f} MiB holds not even one frame ({least:.1f} MiB for "
                f"{value.shape[0]} objects). Give more, or work at a smaller --size."
            )
        if self.bank.capacity != frames * key.shape[1]:
            self.bank.limit(int(frames) * key.shape[1])
