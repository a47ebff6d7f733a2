"""The plain formulation of STCN's inference, for comparison: what one writes down first.

Memory is a concatenated tensor that is copied at every write, the affinity is whole, the top-k comes from a full
sort, the readout is a dense product with a mostly empty matrix, and the decoder's skip convolutions run per object.
Weights and results are those of the session; only the way of computing differs.
"""

from __future__ import annotations

import time

import numpy as np
import torch
from torch import Tensor

from rotoscope.layers.aggregation import aggregate
from rotoscope.layers.canvas import Canvas
from rotoscope.methods.stcn import STCN


class PlainSTCN:
    """Segments one video with the policy every-K."""

    def __init__(self, model: STCN, mem_every: int = 5, top_k: int = 20) -> None:
        self.network = model.network
        self.mem_every = mem_every
        self.top_k = top_k
        self.keys: Tensor | None = None
        self.values: Tensor | None = None
        self.count = 0
        self.read_seconds = 0.0

    @torch.inference_mode()
    def push(self, frame: np.ndarray, masks: list[np.ndarray] | None = None) -> Tensor:
        """One frame; masks are given on the first. Returns probabilities ``[1 + N, H, W]``."""
        canvas = Canvas.fit((frame.shape[1], frame.shape[0]))
        image = canvas.image(frame, torch.device("cpu"))
        f4, f8, f16 = self.network.key_encoder(image)
        key = self.network.key_proj(f16)
        if masks is not None:
            given = canvas.masks(torch.from_numpy(np.stack(masks)).float())
            probabilities = aggregate(given)
        else:
            readout = self._read(key.flatten(2)).unflatten(-1, tuple(key.shape[-2:]))
            thin = self.network.key_comp(f16)
            logits = [self._decode(part[None], thin, f8, f4) for part in readout]
            probabilities = aggregate(torch.sigmoid(torch.cat(logits)[:, 0]))
        if self.count % self.mem_every == 0:
            self._write(image, f16, key, probabilities[1:])
        self.count += 1
        return canvas.restore(probabilities)

    def _decode(self, readout: Tensor, thin: Tensor, f8: Tensor, f4: Tensor) -> Tensor:
        network = self.network
        x = network.compress(torch.cat([readout, thin], dim=1))
        x = network.up_16_8(x, network.up_16_8.project(f8))
        x = network.up_8_4(x, network.up_8_4.project(f4))
        x = network.pred(torch.relu(x))
        return torch.nn.functional.interpolate(x, scale_factor=4, mode="bilinear", align_corners=False)

    def _read(self, query: Tensor) -> Tensor:
        begun = time.perf_counter()
        assert self.keys is not None
        assert self.values is not None
        product = self.keys.transpose(1, 2) @ query
        scores = (2 * product - self.keys.square().sum(dim=1)[:, :, None]) / self.keys.shape[1] ** 0.5
        ordered, places = scores.sort(dim=1, descending=True)
        weights = torch.softmax(ordered[:, : self.top_k], dim=1)
        dense = torch.zeros_like(scores).scatter_(1, places[:, : self.top_k], weights)
        readout = torch.bmm(self.values, dense.expand(len(self.values), -1, -1))
        self.read_seconds += time.perf_counter() - begun
        return readout

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
