"""The zoom branch: where in the frame the object will be during the clip (CapsuleVOS, section 3.4)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rotoscope.methods.capsulevos.config import CapsuleVOSConfig
from rotoscope.methods.capsulevos.convolution import ConvLSTMCell, LSTMState, SameConv2d, begin

LAYERS = ((1, 1), (2, 2), (4, 2), (4, 2), (8, 2), (8, 2), (16, 2))
"""Of each convolution: channels as a multiple of the width, stride."""
HIDDEN = 4
"""Channels of the ConvLSTM, as a multiple of the width."""
LEAST_SIDE = 0.125
"""Smallest side that is predicted, as a share of the frame's."""
MARGIN = 0.05
"""What every box is widened by on each side."""
LEEWAY = 0.2
"""What a hand-crafted box has beyond the mask's extent: the mean of what true boxes have in training."""


class ZoomBranch(nn.Module):
    """First frame and mask at full size to a square's corner and side, in units of the frame's sides.

    The paper predicts height and width; the released network a corner and one side, the same share of both axes.
    """

    def __init__(self, config: CapsuleVOSConfig) -> None:
        super().__init__()
        layers, before = [], 4
        for channels, stride in LAYERS:
            layers += [SameConv2d(before, channels * config.width, 3, stride), nn.ReLU()]
            before = channels * config.width
        self.convs = nn.Sequential(*layers)
        rest = (-(-config.size[0] // 64), -(-config.size[1] // 64))
        hidden = HIDDEN * config.width
        self.collect = nn.Conv2d(before, hidden, rest)
        begin(self.collect.weight, self.collect.bias, before * rest[0] * rest[1], False)
        self.lstm = ConvLSTMCell(hidden, 1)
        self.region = SameConv2d(hidden, 3, 1, linear=True)

    def forward(self, frame: Tensor, mask: Tensor, state: LSTMState | None) -> tuple[Tensor, LSTMState]:
        """One frame.

        Args:
            frame: RGB in [0, 1], ``[B, 3, H, W]`` of the config's size.
            mask: in [0, 1], ``[B, 1, H, W]``.
            state: the state of the clip before; zeros if None.
        Returns: y1, x1 and side, ``[B, 3]`` in [0, 1], float32; and the state.
        """
        features = F.relu(self.collect(self.convs(torch.cat([frame, mask], dim=1))))
        state = self.lstm(features, state)
        box = torch.sigmoid(self.region(state.hidden.to(features.dtype)).float())[:, :, 0, 0]
        return torch.cat([box[:, :2], (1 - LEAST_SIDE) * box[:, 2:] + LEAST_SIDE], dim=1), state


def widened(corner: Tensor, side: Tensor) -> Tensor:
    """The box of a corner ``[B, 2]`` and a side ``[B]`` with a margin, cut at the frame: y1, x1, y2, x2, ``[B, 4]``."""
    near = corner - MARGIN
    return torch.cat([near, near + (side + 2 * MARGIN)[:, None]], dim=1).clamp(0, 1)


def box_around(centre: Tensor, side: Tensor) -> Tensor:
    """The box used in testing: around the last mask's centre ``[B, 2]``, as large as predicted, ``[B]``."""
    return widened((centre - side[:, None] / 2).clamp(0, 1), side)


def whole(count: int, device: torch.device) -> Tensor:
    """Boxes of whole frames, ``[count, 4]``."""
    return torch.tensor([0.0, 0.0, 1.0, 1.0], device=device).expand(count, -1)


def bounds(masks: Tensor) -> tuple[Tensor, Tensor]:
    """First and last row and column of masks, as shares of the frame.

    Args:
        masks: bool, ``[B, H, W]``.
    Returns: y1, x1, y2, x2, ``[B, 4]`` (0 for an empty mask); and which are not empty, ``[B]``.
    """
    edges = []
    for dim in (2, 1):
        line = masks.any(dim=dim).float()
        count = line.shape[1]
        first, last = line.argmax(dim=1), count - 1 - line.flip(1).argmax(dim=1)
        edges.append((first / count, last / count))
    there = masks.flatten(1).any(dim=1)
    box = torch.stack([edges[0][0], edges[1][0], edges[0][1], edges[1][1]], dim=1)
    return box * there[:, None], there


def centre_of(edges: Tensor) -> Tensor:
    """Middle of bounds ``[B, 4]``: ``[B, 2]``."""
    return (edges[:, :2] + edges[:, 2:]) / 2


def crafted_side(edges: Tensor, there: Tensor) -> Tensor:
    """Side of a hand-crafted box, ``[B]``: the mask's longer extent and a leeway; everything if it is empty."""
    longer = (edges[:, 2:] - edges[:, :2]).amax(dim=1)
    return torch.where(there, (longer + LEEWAY).clamp(LEAST_SIDE, 1), 1.0)
