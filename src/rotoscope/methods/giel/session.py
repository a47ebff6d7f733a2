"""One video's state under GIEL: support frames, and when frames enter them (GIEL, section 3.5)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from rotoscope.layers.aggregation import aggregate
from rotoscope.layers.canvas import Canvas
from rotoscope.memory import parse_policy
from rotoscope.methods.canvas_session import CanvasSession
from rotoscope.methods.giel.config import GIELConfig
from rotoscope.methods.giel.memory import SupportMemory
from rotoscope.methods.giel.network import FrameFeatures, GIELNetwork, label_tensors
from rotoscope.methods.prediction import Prediction
from rotoscope.methods.strays import Strays
from rotoscope.video.frame import Frame

COMMON = 0
"""In place of an object's id: the memory that all objects share, and in it the value without a label code."""


class GIELSession(CanvasSession):
    """Segments one video.

    Between frames it holds the support frames, and nothing else that grows. Masks given on a frame are answered as the
    aggregated given masks; where they cover, they replace what was predicted for other objects, and the frame enters
    memory for all objects. An object that is given later reads from its own frames on only.

    Args:
        network: the layers.
        config: network sizes and inference options.

    Raises:
        InputError: options that contradict each other, or the network's.
    """

    prepares = True
    network: GIELNetwork
    config: GIELConfig

    def __init__(self, network: GIELNetwork, config: GIELConfig) -> None:
        super().__init__(network, config)
        self.policy = parse_policy(config.memory, config.mem_every)
        self.memories: dict[int, SupportMemory] = {}
        self._since_write = 0
        self._strays = Strays(config.strays)

    @property
    def frames_remembered(self) -> float | None:
        """Features in memory over features of a frame; with a memory for each object, of the fullest."""
        return max((len(memory.bank) / memory.per_frame for memory in self.memories.values()), default=0.0)

    @property
    def separate(self) -> bool:
        """Whether each object has keys, and so a memory, of its own (STM)."""
        return not self.config.instance_embedding and self.config.keys == "support"

    def advance(self, frame: Frame, prompts: dict[int, Tensor]) -> list[Prediction]:
        """Answer the frame; remember it if it is due or masks were given on it."""
        self._since_write += 1
        if not self.objects and not prompts:
            return [Prediction.empty(frame)]
        canvas = self.canvas
        assert canvas is not None
        image, features = self.encoded(frame)
        probabilities, union = self._follow(features, canvas)
        if self.config.strays and self.objects:
            with self.timings.part("strays"):
                kept = self._strays.step(probabilities, self.objects.ids, features.key[0])
            union = torch.where(kept[0] == probabilities[0], union, 1 - kept[0])
            probabilities = kept
        if prompts:
            probabilities = self.with_prompts(probabilities, prompts)
            union = 1 - probabilities[0]
            self._strays.give(features.key[0], self.objects.channels(probabilities, prompts))
        elif self.config.binary_support:
            union = (union > 0.5).float()
        due = bool(prompts) or self.policy.enters(self._since_write)
        if due or self.config.include_last:
            with self.timings.part("remember"):
                pinned = bool(prompts) and self.config.protect_given
                self._remember(image, features, probabilities, union, pinned=pinned, temporary=not due)
        if due:
            self._since_write = 0
        return [self.restored(frame, probabilities, prompts)]

    def encode(self, frame: Frame) -> tuple[Tensor, FrameFeatures]:
        """The frame as the network takes it, and its features."""
        weight = self.network.query_key.weight
        image = self.fitted(frame.size).image(frame.image, weight.device).to(weight.dtype)
        return image, self.network.encode_query(image, fine=self.config.output == "full")

    def forget(self, object_id: int) -> None:
        """Drop the object's values; without any object left nothing is remembered."""
        self.memories.pop(object_id, None)
        self._strays.forget(object_id)
        common = self.memories.get(COMMON)
        if common is not None and object_id in common.bank.object_ids:
            common.bank.forget(object_id)
            if set(common.bank.object_ids) <= {COMMON}:
                self.memories.clear()

    def memory_state(self) -> dict[str, Any]:
        """The memories, and when a frame last entered them."""
        state: dict[str, Any] = {"memories": list(self.memories), "since_write": self._since_write}
        for owner, memory in self.memories.items():
            state |= {f"{owner}.{name}": value for name, value in memory.state().items()}
        return state | self._strays.state()

    def restore_memory(self, memory: Mapping[str, Any]) -> None:
        """Continue where :meth:`memory_state` was taken."""
        self._since_write = int(memory["since_write"])
        self._strays.restore(memory)
        self.memories = {}
        for owner in memory["memories"]:
            prefix = f"{owner}."
            own = self.memories[int(owner)] = self._new_memory()
            own.restore({k.removeprefix(prefix): v for k, v in memory.items() if k.startswith(prefix)})

    def _new_memory(self) -> SupportMemory:
        return SupportMemory(self.config, self.network.temporal)

    def _follow(self, features: FrameFeatures, canvas: Canvas) -> tuple[Tensor, Tensor]:
        """Aggregated probabilities ``[1 + N, H', W']`` of the objects known so far, and of any of them ``[H', W']``."""
        network, config = self.network, self.config
        width, height = canvas.padded
        if not self.objects:
            nothing = torch.zeros(height, width, device=features.key.device)
            return (1 - nothing)[None], nothing
        with self.timings.part("read memory"):
            readouts: dict[int, Tensor] = {}
            for owner, memory in self.memories.items():
                read = memory.read(features.key)
                readouts |= read if not self.separate else {owner: read[owner]}
            readout = torch.stack([readouts[object_id] for object_id in self.objects.ids]).to(features.key.dtype)
        common: Tensor | None = None
        with self.timings.part("decode"):
            parts = readout.split(config.slots)
            if not config.instance_embedding:
                masks = [torch.sigmoid(network.find_all(part, features).float()) for part in parts]
            else:
                if config.global_embedding:
                    plain = readouts[COMMON][None].to(readout.dtype)
                    common = torch.sigmoid(network.find_all(plain, features).float())
                if config.output == "fast":
                    masks = [network.find_fast(part, features, common) for part in parts]
                else:
                    factor = common if config.product else None
                    masks = [network.find_fine(part, features, factor) for part in parts]
            probabilities = aggregate(torch.cat(masks)[:, 0])
        return probabilities, 1 - probabilities[0] if common is None else common[0, 0]

    def _remember(
        self,
        image: Tensor,
        features: FrameFeatures,
        probabilities: Tensor,
        union: Tensor,
        *,
        pinned: bool,
        temporary: bool,
    ) -> None:
        """Store the frame with the masks that were given or found on it."""
        seen: Tensor | None = None
        if self.config.instance_embedding:
            key, value, values = self._embed(image, features, probabilities, union)
            seen = value if self.config.judged == "values" else None
        else:
            key, values = self._encode_each(image, features, probabilities)
        owners = self.objects.ids if self.separate else [COMMON]
        for row, owner in enumerate(owners):
            memory = self.memories.setdefault(owner, self._new_memory())
            own = {owner: values[owner]} if self.separate else values
            memory.store(key[row : row + 1], own, pinned=pinned, temporary=temporary, seen=seen)

    def _embed(
        self, image: Tensor, features: FrameFeatures, probabilities: Tensor, union: Tensor
    ) -> tuple[Tensor, Tensor, dict[int, Tensor]]:
        """One support encoding for all objects: key, plain value, and values that differ by label codes."""
        network = self.network
        key, value = network.encode_support(image, union[None, None].to(image.dtype), features.key)
        parts = label_tensors(probabilities.to(image.dtype)).split(self.config.slots)
        embedded = torch.cat([value * network.encode_labels(part) for part in parts])
        values = dict(zip(self.objects.ids, embedded, strict=True))
        return key, value, ({COMMON: value[0]} if self.config.global_embedding else {}) | values

    def _encode_each(
        self, image: Tensor, features: FrameFeatures, probabilities: Tensor
    ) -> tuple[Tensor, dict[int, Tensor]]:
        """A support encoding for each object; keys ``[N, Ck, h, w]``, or ``[1, …]`` where objects share them."""
        masks = probabilities[1:, None].to(image.dtype)
        if self.config.others:
            others = (masks.sum(dim=0, keepdim=True) - masks).clamp(0, 1)
            masks = torch.cat([masks, others], dim=1)
        keys, values = [], []
        for part in masks.split(self.config.slots):
            count = len(part)
            key, value = self.network.encode_support(
                image.expand(count, -1, -1, -1), part, features.key.expand(count, -1, -1, -1)
            )
            keys.append(key)
            values.append(value)
        key = torch.cat(keys) if self.separate else features.key
        return key, dict(zip(self.objects.ids, torch.cat(values), strict=True))
