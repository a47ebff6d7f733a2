"""How far a run has come: what a later run needs to go on from there."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from rotoscope.errors import InputError, WriteError, shown
from rotoscope.files import atomic_write
from rotoscope.methods.prediction import Prediction
from rotoscope.runs.watch import Watch

VERSION = 9
"""Of what is saved of a run; a state of another version is refused."""
Phase = Literal["forward", "backward"]


@dataclass
class Tally:
    """What a run has found out so far; saved with the state, so that a resumed run reports on all of it.

    Attributes:
        confidence: sum and number of each object's confidences on frames where it has pixels, by object.
        watch: the frames to look at.
        problems: damage met in the video, one line each.
        warnings: what was met on the way that may not be meant, one line each.
    """

    confidence: dict[int, tuple[float, int]] = field(default_factory=dict)
    watch: Watch = field(default_factory=Watch)
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def count(
        self, prediction: Prediction, prompted: Collection[int] = (), agreement: Mapping[int, float] | None = None
    ) -> None:
        """Take one frame into account; see :meth:`~rotoscope.runs.watch.Watch.see`."""
        self.watch.see(prediction, prompted, agreement)
        for object_id, value in zip(prediction.object_ids, prediction.confidence, strict=True):
            total, number = self.confidence.get(object_id, (0.0, 0))
            there = object_id in self.watch.before
            self.confidence[object_id] = (total + value, number + 1) if there else (total, number)

    def note(self, problems: Sequence[str], warnings: Sequence[str]) -> None:
        """Add damage and warnings that are not known yet."""
        self.problems = list(dict.fromkeys([*self.problems, *problems]))
        self.warnings = list(dict.fromkeys([*self.warnings, *warnings]))

    @property
    def mean_confidence(self) -> dict[int, float]:
        """The mean of each object's confidences where it has pixels, by object; 0 if it has none on any frame."""
        return {object_id: total / max(number, 1) for object_id, (total, number) in self.confidence.items()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Tally:
        """Read what ``asdict`` and JSON made of a tally."""
        confidence = {int(i): (float(total), int(number)) for i, (total, number) in data["confidence"].items()}
        return cls(confidence, Watch.from_json(data["watch"]), list(data["problems"]), list(data["warnings"]))


@dataclass
class RunState:
    """A moment between two frames of a pass.

    Attributes:
        phase: the pass that was under way.
        position: index of the frame that the pass goes on with.
        session: what the session holds, as :meth:`~rotoscope.methods.base.Session.state` gives it.
        tally: what the run had found out.
    """

    phase: Phase
    position: int
    session: Mapping[str, Any]
    tally: Tally = field(default_factory=Tally)

    def write(self, path: Path, *, durable: bool = True) -> None:
        """Write the state to a file, whole or not at all.

        Args:
            path: of the file.
            durable: also wait until it is on the disk; without that, a power cut may leave a file that cannot be read.

        Raises:
            WriteError: it cannot be written.
        """
        given = {k: v.detach().cpu() for k, v in self.session.items() if isinstance(v, torch.Tensor)}
        # Products of matrices round by the layout of what they multiply: a run that goes on gets the one it had.
        layouts = {k: _layout(v) for k, v in given.items() if not v.is_contiguous()}
        # Cloned, as two of them may be views of one, and the file takes only what stands by itself.
        tensors = given | {
            k: given[k].permute(layout).clone(memory_format=torch.contiguous_format) for k, layout in layouts.items()
        }
        plain = {
            "version": VERSION,
            "layouts": layouts,
            "phase": self.phase,
            "position": self.position,
            "tally": asdict(self.tally),
            "session": {k: v for k, v in self.session.items() if not isinstance(v, torch.Tensor)},
        }
        try:
            with atomic_write(path, durable=durable) as temporary:
                save_file(tensors, temporary, {"plain": json.dumps(plain)})
        except SafetensorError as error:  # what it makes of a full disk
            raise WriteError(
                f"{path}: cannot be written ({shown(error)}). Make room or choose another place."
            ) from None

    @classmethod
    def read(cls, path: Path) -> RunState | None:
        """Read a state; None if there is none.

        Raises:
            InputError: the file is damaged, or of another version.
        """
        if not path.exists():
            return None
        try:
            with safe_open(path, "pt") as file:
                plain: dict[str, Any] = json.loads((file.metadata() or {})["plain"])
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
            check_version(plain, path)
            for name, layout in plain.get("layouts", {}).items():
                tensors[name] = tensors[name].permute([layout.index(dim) for dim in range(len(layout))])
            return cls(
                plain["phase"], int(plain["position"]), plain["session"] | tensors, Tally.from_json(plain["tally"])
            )
        except (SafetensorError, OSError, KeyError, ValueError, TypeError) as error:
            raise InputError(f"{path}: cannot be read ({shown(error)}). Pass --overwrite to start again.") from None


def _layout(tensor: torch.Tensor) -> list[int]:
    """A tensor's dimensions from the one that strides furthest to that whose entries lie beside each other."""
    return sorted(range(tensor.ndim), key=lambda dim: (-tensor.stride()[dim], dim))


def check_version(saved: Mapping[str, Any], path: Path) -> None:
    """Refuse what another version of Rotoscope saved.

    Raises:
        InputError: the versions differ.
    """
    version = saved.get("version", 1)
    if version != VERSION:
        raise InputError(
            f"{path}: was saved by another version of Rotoscope (form {version}; this one reads {VERSION}). "
            "Pass --overwrite to start again."
        )
