"""What a run did, for a person and for ``run.json``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rotoscope.errors import InputError, shown
from rotoscope.runs.measure import Measurement


@dataclass
class Report:
    """What a run did.

    Attributes:
        measured: what this call took; nothing if the run to resume had finished already.
        resumed_at: index of the frame it went on from, or None.
        objects: ids.
        size: width and height of the frames in pixels.
        folder: where the masks are.
        problems: damage met in the video, also before an interruption, one line each.
        confidence: mean confidence of each object in [0, 1], over the whole run.
        unsure: indices of the frames on which an object's confidence is below
            :data:`~rotoscope.runs.state.UNSURE` (it is 0 where the object has no pixel), by object, over the whole run.
        notes: what is worth knowing about how the masks were read and the method came to its answers, one line each.
        warnings: what the request is likely not to mean, one line each.
    """

    measured: Measurement = field(default_factory=Measurement)
    resumed_at: int | None = None
    objects: tuple[int, ...] = ()
    size: tuple[int, int] = (0, 0)
    folder: str = ""
    problems: list[str] = field(default_factory=list)
    confidence: dict[int, float] = field(default_factory=dict)
    unsure: dict[int, list[int]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @property
    def frames(self) -> int:
        """Frames answered by this call."""
        return self.measured.frames

    def as_record(self) -> dict[str, Any]:
        """As plain values: what ``run.json`` holds and ``--json`` prints."""
        return {
            "frames": self.measured.frames,
            "resumed_at": self.resumed_at,
            "objects": list(self.objects),
            "size": list(self.size),
            "seconds": dict(self.measured.parts),
            "wall": self.measured.wall,
            "peak_memory": self.measured.peak,
            "remembered": self.measured.remembered,
            "folder": self.folder,
            "problems": list(self.problems),
            "confidence": dict(self.confidence),
            "unsure": {object_id: list(frames) for object_id, frames in self.unsure.items()},
            "notes": list(self.notes),
            "warnings": list(self.warnings),
        }

    @classmethod
    def of_finished(cls, data: Mapping[str, Any]) -> Report:
        """The report that a finished run left, as this call's: no frame was answered and no time spent.

        Raises:
            InputError: it is damaged.
        """
        try:
            width, height = data["size"]
            return cls(
                objects=tuple(int(object_id) for object_id in data["objects"]),
                size=(int(width), int(height)),
                folder=str(data["folder"]),
                problems=[str(line) for line in data["problems"]],
                confidence={int(object_id): float(value) for object_id, value in data["confidence"].items()},
                unsure={int(object_id): [int(i) for i in frames] for object_id, frames in data["unsure"].items()},
                notes=[str(line) for line in data["notes"]],
                warnings=[str(line) for line in data.get("warnings", [])],
            )
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise InputError(
                f"run.json holds a damaged report ({shown(repr(error), 80)}). Pass --overwrite to start again."
            ) from None
