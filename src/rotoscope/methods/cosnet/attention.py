"""How frames look at each other (Lu et al., CVPR 2019, section 3.2; released code: facts).

Every kind is a product of something made of the query's features with something made of the reference's, so one
softmax-weighted sum serves them all, and a reference's part needs nothing of the query.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rotoscope.layers.tracing import is_traced
from rotoscope.methods.cosnet.config import COSNetConfig

REDUCTION = 16
"""Of the channel weights' hidden layer, as in squeeze-and-excitation networks."""
MOST_HELD = 1 << 24
"""Similarities, 64 MiB, that are held at once on a CPU. More of them go by parts, in half as much time again."""


class Found(NamedTuple):
    """What the cells of a frame find in each of N others.

    Attributes:
        summary: mean of the other's features, weighted by a softmax of the similarities, ``[N, C, h, w]``.
        likeness: greatest cosine, of what cells are compared by, with a cell of the other, ``[N, h, w]``, in [-1, 1].
        told: what was told about the other's cells, weighted in the same way, ``[N, h, w]``.
    """

    summary: Tensor
    likeness: Tensor
    told: Tensor


class CoAttention(nn.Module):
    """Similarity of cells of two frames.

    Similarities are float32, whatever the rest computes in: in the released network they are tens to hundreds, and the
    softmax sees every unit.
    """

    def __init__(self, config: COSNetConfig) -> None:
        super().__init__()
        self.kind = config.attention
        self.dim = config.dim
        self.apart = bool(config.look_dim)
        compared = config.look_dim or config.dim
        self.sharpness = config.sharpness
        self.scale = config.sharpness or (compared**-0.5 if config.scaled else 1.0)
        if self.kind == "vanilla":
            self.similarity = nn.Linear(compared, compared, bias=False)
        elif self.kind == "symmetric":
            self.project = nn.Linear(compared, compared, bias=False)
            self.diagonal = nn.Parameter(torch.ones(compared))
            nn.init.orthogonal_(self.project.weight)
        elif self.kind == "channel":
            hidden = max(compared // REDUCTION, 4)
            self.squeeze = nn.Linear(compared, hidden)
            self.excite = nn.Linear(hidden, compared)

    def queries(self, features: Tensor) -> Tensor:
        """Features ``[B, C, h, w]`` of frames that attend, to ``[B, h * w, C']``, float32."""
        x = self._looks(features)
        if self.kind == "vanilla":
            x = _linear(self.similarity, x)
        elif self.kind == "symmetric":
            x = _linear(self.project, x) * self.diagonal.float()
        else:
            x = self._weighted(x)
        return self._compared(x)

    def keys(self, features: Tensor) -> Tensor:
        """Features ``[B, C, h, w]`` of frames that are attended to, to ``[B, h * w, C']``, float32."""
        x = self._looks(features)
        if self.kind == "symmetric":
            x = _linear(self.project, x)
        elif self.kind != "vanilla":
            x = self._weighted(x)
        return self._compared(x)

    def _looks(self, features: Tensor) -> Tensor:
        """What cells are compared by."""
        return cells(features[:, self.dim :] if self.apart else features)

    def _compared(self, x: Tensor) -> Tensor:
        """Of length 1 where cells are compared by their cosine."""
        return F.normalize(x, dim=-1) if self.sharpness else x

    def forward(self, features: Tensor, reference: Tensor, back: bool = False) -> Tensor:
        """What each cell of one frame finds in another.

        Args:
            features: ``[B or 1, C, h, w]``, of frames that attend.
            reference: ``[B or 1, C, h', w']``, of frames that are attended to.
            back: ``features`` are a reference's and ``reference`` a query's: the same similarities the other way round.
        Returns: the summary, ``[B, C, h, w]``: for each cell the mean of the reference's features, weighted by a
            softmax of the similarities over the reference's cells. At most :data:`MOST_HELD` similarities are held.
        """
        with torch.autocast(features.device.type, enabled=False):
            asks, answers = (self.keys, self.queries) if back else (self.queries, self.keys)
            parts: tuple[Tensor, ...] = (asks(features), answers(reference), cells(reference))
            size = max(len(features), len(reference))
            if not is_traced():  # a trace would keep the number of references; its product takes one frame for all
                parts = tuple(x.expand(size, -1, -1) for x in parts)
            few = parts[0].shape[1] * parts[1].shape[1] <= MOST_HELD
            if few and features.device.type == "cpu" and not (torch.is_grad_enabled() or is_traced()):
                attended = torch.stack(
                    [torch.softmax(self.scale * q @ k.T, dim=1) @ v for q, k, v in zip(*parts, strict=True)]
                )
            else:
                q, k, v = (x[:, None] for x in parts)  # one head
                attended = F.scaled_dot_product_attention(q, k, v, scale=self.scale)[:, 0]
            summary = attended.transpose(1, 2).unflatten(2, tuple(features.shape[-2:]))
        return summary.to(features.dtype)

    def weights(self, features: Tensor, reference: Tensor, cell: int) -> Tensor:
        """How :meth:`forward` weighs a reference's cells for one cell of a frame.

        Args:
            features: of the frame, ``[1, C, h, w]``.
            reference: ``[N, C, h', w']``.
            cell: number of the cell, row by row.
        Returns: ``[N, h', w']``, of which each reference sums to 1.
        """
        with torch.autocast(features.device.type, enabled=False):
            scores = self.scale * self.keys(reference) @ self.queries(features)[0, cell]
            return torch.softmax(scores, dim=1).unflatten(1, tuple(reference.shape[-2:]))

    def shares(self, features: Tensor, reference: Tensor, part: Tensor, back: bool = False) -> Tensor:
        """How much of its weight each cell of a frame gives to a part of another.

        Unlike :meth:`forward` it holds all similarities.

        Args:
            features, reference, back: as of :meth:`forward`, of batch B both.
            part: which cells of the reference belong to it, or to what share, in [0, 1], ``[B, h' * w']``.
        Returns: ``[B, h * w]`` in [0, 1].
        """
        with torch.autocast(features.device.type, enabled=False):
            asks, answers = (self.keys, self.queries) if back else (self.queries, self.keys)
            scores = self.scale * asks(features) @ answers(reference).transpose(1, 2)
            return (torch.softmax(scores, dim=2) @ part.float()[..., None])[..., 0]

    def found(self, features: Tensor, reference: Tensor, told: Tensor) -> Found:
        """What each cell of a frame finds in others, how alike it is, and what is told about it.

        Args:
            features: of the frame, ``[1, C, h, w]``.
            reference: of N others, ``[N, C, h', w']``.
            told: a number for each of their cells, ``[N, 1, h', w']``.
        Returns: its summary is that of :meth:`forward`. On a CPU at most :data:`MOST_HELD` similarities are held, or
            those of one cell.
        """
        with torch.autocast(features.device.type, enabled=False):
            asks, answers = self.queries(features), self.keys(reference)
            carried = torch.cat([cells(reference), cells(told)], dim=2)
            if is_traced():  # a trace would keep the number of references
                best, attended = self._found(asks, answers, carried)
            else:
                rows = max(MOST_HELD // answers.shape[1], 1)
                each = [
                    self._found(part, keys, values)
                    for keys, values in zip(answers, carried, strict=True)
                    for part in asks[0].split(rows)
                ]
                count = len(reference)
                best = torch.cat([likeness for likeness, _ in each]).unflatten(0, (count, -1))
                attended = torch.cat([values for _, values in each]).unflatten(0, (count, -1))
        size = tuple(features.shape[-2:])
        maps = attended.transpose(1, 2).unflatten(2, size)
        return Found(maps[:, :-1].to(features.dtype), best.unflatten(1, size), maps[:, -1])

    def _found(self, asks: Tensor, answers: Tensor, carried: Tensor) -> tuple[Tensor, Tensor]:
        """Greatest cosines ``[..., Q]`` of cells that ask, and the means ``[..., Q, C]`` of what others carry."""
        similar = asks @ answers.transpose(-1, -2)
        cosines = similar
        if not self.sharpness:
            cosines = F.normalize(asks, dim=-1) @ F.normalize(answers, dim=-1).transpose(-1, -2)
        return cosines.amax(dim=-1), torch.softmax(self.scale * similar, dim=-1) @ carried

    def irregularity(self) -> Tensor:
        """How far the projection of ``symmetric`` is from orthogonal: the mean of ``|P P^T - I|``; 0 for the others."""
        if self.kind != "symmetric":
            return torch.zeros(())
        p = self.project.weight
        return (p @ p.T - torch.eye(len(p), device=p.device)).abs().mean()

    def _weighted(self, x: Tensor) -> Tensor:
        weights = _linear(self.excite, F.relu(_linear(self.squeeze, x.mean(dim=1))))
        return x * torch.sigmoid(weights)[:, None]


def cells(features: Tensor) -> Tensor:
    """``[B, C, h, w]`` to ``[B, h * w, C]``, float32."""
    return features.float().flatten(2).transpose(1, 2)


def _linear(layer: nn.Linear, x: Tensor) -> Tensor:
    """A layer in float32, whatever its weights are stored in."""
    bias: Tensor | None = layer.bias
    return F.linear(x, layer.weight.float(), None if bias is None else bias.float())
