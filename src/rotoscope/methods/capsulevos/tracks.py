"""What a session of CapsuleVOS holds of a frame and of an object, and how objects are told apart."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch.nn.functional as F
from torch import Tensor

from rotoscope.methods.capsulevos.network import ClipState

MIDDLE = (0.5, 0.5)
"""Centre of the box of an object of which nothing was ever seen."""


@dataclass
class Held:
    """A frame of the clip that is not full yet.

    Attributes:
        position: how many frames were pushed before it.
        index, name, size: the index and the name of the frame, and its width and height in pixels.
        image: the frame at the working size, uint8 ``[3, H, W]``.
        ids: the ids of the objects that are followed on it.
        prompts: the masks that were given on it, ``[H, W]`` at the frame's own size, by id.
        answered: whether its answer has been returned; it is kept for the clips to come.
    """

    position: int
    index: int
    name: str
    size: tuple[int, int]
    image: Tensor
    ids: tuple[int, ...]
    prompts: dict[int, Tensor] = field(default_factory=dict)
    answered: bool = False


@dataclass
class Track:
    """An object, from where it was given to where it was removed.

    Attributes:
        object_id: the caller's id of the object.
        born: the position of the first frame with the object.
        until: the position of the first frame without it; None while it is followed.
        seed: its mask on the first held frame, ``[H, W]`` in [0, 1] at the working size; None before its first clip.
        centre: the centre of its last box, y and x as shares of the frame in [0, 1].
        state: the state of the network after its last clip; None before its first.
    """

    object_id: int
    born: int
    until: int | None = None
    seed: Tensor | None = None
    centre: tuple[float, float] = MIDDLE
    state: ClipState | None = None

    def there(self, position: int) -> bool:
        """Whether it is an object of the frame at a position."""
        return self.born <= position and (self.until is None or position < self.until)


def winners(objects: Tensor) -> Tensor:
    """Which object is most probable, from 1, ``[H, W]``; 0 where none of ``[N, H, W]`` is above one half."""
    return F.pad(objects, (0, 0, 0, 0, 1, 0), value=0.5).argmax(dim=0)


def shrunk(mask: Tensor, size: tuple[int, int]) -> Tensor:
    """A mask ``[H, W]`` by nearest neighbour; one that would vanish keeps every cell that it touches."""
    small = F.interpolate(mask[None, None], size=size, mode="nearest")[0, 0]
    if mask.gt(0.5).any() and not small.gt(0.5).any():
        return F.adaptive_max_pool2d(mask[None], size)[0]
    return small
