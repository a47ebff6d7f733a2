"""The plain formulation of STCN's inference, for comparison: what one writes down first.

Memory is a concatenated tensor that is copied at every write, the affinity is whole, the top-k comes from a full
sort, the readout is a dense product with a mostly empty matrix, and the decoder's skip convolutions run per object.
Weights and results are those of the session; only the way of computing differs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rotoscope.layers.aggregation import aggregate
from rotoscope.layers.canvas import Canvas
from rotoscope.methods.stcn import STCN
from rotoscope.methods.timings import Timings


class PlainSTCN:
    """Segments one video with the policy every-K.

    Args:
        model: a network of the released layout, in float32.
        mem_every: the distance in frames of the frames that are remembered.
        top_k: features that a query reads from.

    Attributes:
        timings: seconds by part of the work, under the names that sessions use.
    """

    def __init__(self, model: STCN, mem_every: int = 5, top_k: int = 20) -> None:
        self.network = model.network
        self.mem_every = mem_every
        self.top_k = top_k
        self.keys: Tensor | None = None
        self.values: Tensor | None = None
        self.count = 0
        self.timings = Timings()

    @torch.inference_mode()
    def push(self, frame: NDArray[np.uint8], masks: Sequence[NDArray[Any]] | None = None) -> Tensor:
        """Answer one frame.

        Args:
            frame: RGB ``[H, W, 3]``.
            masks: of each object, bool ``[H, W]``; given on the first frame.
        Returns: probabilities ``[1 + N, H, W]``.
        """
        canvas = Canvas.fit((frame.shape[1], frame.shape[0]))
        with self.timings.part("encode key"):
            image = canvas.image(frame, torch.device("cpu"))
            f4, f8, f16 = self.network.key_encoder(image)
            key = self.network.key_proj(f16)
        if masks is not None:
            resized = canvas.masks(torch.from_numpy(np.stack(list(masks))).float())
            probabilities = aggregate(resized)
        else:
            with self.timings.part("read memory"):
                readout = self._read(key.flatten(2)).unflatten(-1, tuple(key.shape[-2:]))
            with self.timings.part("decode"):
                thin = self.network.key_comp(f16)
                logits = [self._decode(part[None], thin, f8, f4) for part in readout]
                probabilities = aggregate(torch.sigmoid(torch.cat(logits)[:, 0]))
        if self.count % self.mem_every == 0:
            with self.timings.part("encode value"):
                self._write(image, f16, key, probabilities[1:])
        self.count += 1
        with self.timings.part("restore"):
            return canvas.restore(probabilities)

    def _decode(self, readout: Tensor, thin: Tensor, f8: Tensor, f4: Tensor) -> Tensor:
        network = self.network
        x = network.compress(torch.cat([readout, thin], dim=1))
        x = network.up_16_8(x, network.up_16_8.project(f8))
        x = network.up_8_4(x, network.up_8_4.project(f4))
        x = network.pred(torch.relu(x))
        return torch.nn.functional.interpolate(x, scale_factor=4, mode="bilinear", align_corners=False)

    def _read(self, query: Tensor) -> Tensor:
        assert self.keys is not None
        assert self.values is not None
        product = self.keys.transpose(1, 2) @ query
        scores = (2 * product - self.keys.square().sum(dim=1)[:, :, None]) / self.keys.shape[1] ** 0.5
        ordered, places = scores.sort(dim=1, descending=True)
        weights = torch.softmax(ordered[:, : self.top_k], dim=1)
        dense = torch.zeros_like(scores).scatter_(1, places[:, : self.top_k], weights)
        return torch.bmm(self.values, dense.expand(len(self.values), -1, -1))

    def _write(self, image: Tensor, f16: Tensor, key: Tensor, masks: Tensor) -> None:
        values = []
        for number, mask in enumerate(masks):
            others = (masks.sum(dim=0) - masks[number])[None, None]
            seen = torch.cat([image, mask[None, None], others], dim=1)
            values.append(self.network.fuser(self.network.value_encoder(seen)[-1], f16))
        value = torch.cat(values).flatten(2)
        flat = key.flatten(2)
        self.keys = flat if self.keys is None else torch.cat([self.keys, flat], dim=2)
        self.values = value if self.values is None else torch.cat([self.values, value], dim=2)
