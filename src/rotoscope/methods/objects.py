"""Which objects a session follows: ids, slots, and the masks that wait for the next frame."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from torch import Tensor

from rotoscope.errors import InputError


class Objects:
    """The one place in a session that knows about ids and slots.

    An object's *id* is the caller's own positive integer and comes back unchanged. Its *slot* is its position, from 0,
    in whatever tensor has a row for each object, such as memory or probabilities without their background. Objects
    stand in the order in which they were first given; when one is removed those behind it move up.

    Masks that were given wait in ``pending`` until their frame is pushed. They become objects only when the session
    calls :meth:`enter` for them, so that it can tell those it already follows from those that are new.

    Attributes:
        ids: ids of the objects that are followed; an id's place in the list is its slot.
        pending: masks for the next frame, float32 ``[H, W]`` in [0, 1], by id.
    """

    def __init__(self) -> None:
        self.ids: list[int] = []
        self.pending: dict[int, Tensor] = {}

    def __bool__(self) -> bool:
        return bool(self.ids)

    def __len__(self) -> int:
        return len(self.ids)

    def __contains__(self, object_id: int) -> bool:
        return object_id in self.ids

    def slot(self, object_id: int) -> int:
        """Slot of an object that is followed."""
        return self.ids.index(object_id)

    def slots(self, object_ids: Iterable[int]) -> list[int]:
        """Slots of some of the objects, in the order asked for."""
        return [self.slot(object_id) for object_id in object_ids]

    def channels(self, probabilities: Tensor, object_ids: Iterable[int]) -> dict[int, Tensor]:
        """Of probabilities ``[1 + N, H, W]`` of background and objects, those of some of the objects, by id."""
        return {object_id: probabilities[1 + self.slot(object_id)] for object_id in object_ids}

    def enter(self, object_ids: Iterable[int]) -> list[int]:
        """Follow objects from now on: those that are new get slots behind the others; returns the new ones."""
        new = [object_id for object_id in object_ids if object_id not in self.ids]
        self.ids += new
        return new

    def replace(self, object_ids: Sequence[int]) -> None:
        """Follow these objects and no others, for a method that finds them by itself."""
        self.ids = list(object_ids)

    def leave(self, object_id: int) -> None:
        """Follow an object no more; its slot is closed."""
        self.ids.remove(object_id)

    def wait(self, masks: Mapping[int, Tensor]) -> None:
        """Keep masks for the next frame; an object given twice has its later mask."""
        self.pending.update(masks)

    def take(self, size: tuple[int, int], index: int) -> dict[int, Tensor]:
        """The masks that wait, which now belong to a frame.

        Args:
            size: width and height of the frame.
            index: the index of the frame, for messages.

        Raises:
            InputError: a mask of another size than the frame. Masks of that size are let go, so that others can be
                given in their place; the rest go on waiting.
        """
        wrong = {i: mask for i, mask in self.pending.items() if (mask.shape[1], mask.shape[0]) != size}
        if wrong:
            self.pending = {i: mask for i, mask in self.pending.items() if i not in wrong}
            object_id, mask = next(iter(wrong.items()))
            raise InputError(
                f"mask of object {object_id} is {mask.shape[1]}x{mask.shape[0]} but frame {index} is "
                f"{size[0]}x{size[1]}. Resize the mask."
            )
        prompts, self.pending = self.pending, {}
        return prompts

    def state(self) -> dict[str, Any]:
        """Ids and masks as tensors and plain values."""
        return {"ids": list(self.ids)} | {f"pending.{object_id}": mask for object_id, mask in self.pending.items()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue where :meth:`state` was taken."""
        self.ids = [int(object_id) for object_id in state["ids"]]
        self.pending = {int(k.removeprefix("pending.")): v for k, v in state.items() if k.startswith("pending.")}
