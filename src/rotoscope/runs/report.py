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
        objects: the ids of the objects that were followed or found.
        size: width and height of the frames in pixels.
        folder: where the masks are.
        problems: damage met in the video, also before an interruption, one line each.
        confidence: mean confidence of each object in [0, 1], over the frames of the whole run where it has pixels.
        present: on how many frames of the whole run each object has pixels.
        look: indices of the frames to look at, by object and reason; the reasons are
            :data:`~rotoscope.runs.watch.REASONS`.
        absent: indices of the frames on which an object has no pixel, by object.
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
    present: dict[int, int] = field(default_factory=dict)
    look: dict[int, dict[str, list[int]]] = field(default_factory=dict)
    absent: dict[int, list[int]] = field(default_factory=dict)
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
            "present": dict(self.present),
            "look": {i: {reason: list(frames) for reason, frames in by.items()} for i, by in self.look.items()},
            "absent": {object_id: list(frames) for object_id, frames in self.absent.items()},
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
                present={int(object_id): int(number) for object_id, number in data.get("present", {}).items()},
                look={
                    int(i): {str(reason): [int(t) for t in frames] for reason, frames in by.items()}
                    for i, by in data["look"].items()
                },
                absent={int(object_id): [int(t) for t in frames] for object_id, frames in data["absent"].items()},
                notes=[str(line) for line in data["notes"]],
                warnings=[str(line) for line in data.get("warnings", [])],
            )
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise InputError(
                f"run.json holds a damaged report ({shown(repr(error), 80)}). Pass --overwrite to start again."
            ) from None
