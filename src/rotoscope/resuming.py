"""What an output folder remembers of its run: state for ``--resume``, the names written, the report."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from rotoscope.errors import InputError
from rotoscope.files import atomic_write
from rotoscope.masks.writing import FORMATS, Segmented
from rotoscope.methods.base import Method, Prediction
from rotoscope.segmenting import Prompts
from rotoscope.video import Video
from rotoscope.video.files import VideoFile
from rotoscope.video.images import ImageSequence

WORK = ".rotoscope"
REPORT = "run.json"
_HALF_WRITTEN = re.compile(r"\..+(\.\w+)\.[a-z0-9_]{8}\1")
"""How :func:`~rotoscope.files.atomic_write` calls a file until it is whole."""
UNSURE = 0.7
"""Confidence below which a frame is worth a look; masks of an object that is really followed stay above it."""


@dataclass
class Tally:
    """What a run has found out so far; saved with the state, so that a resumed run reports on all of it.

    Attributes:
        confidence: sum and number of each object's confidences.
        unsure: frames on which an object's confidence is below :data:`UNSURE`, by object.
        problems: damage met in the video.
    """

    confidence: dict[int, tuple[float, int]] = field(default_factory=dict)
    unsure: dict[int, list[int]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def count(self, prediction: Prediction) -> None:
        """Take one frame into account."""
        for object_id, value in zip(prediction.object_ids, prediction.confidence, strict=True):
            total, number = self.confidence.get(object_id, (0.0, 0))
            self.confidence[object_id] = (total + value, number + 1)
            if value < UNSURE:
                self.unsure.setdefault(object_id, []).append(prediction.index)

    def note(self, problems: Sequence[str]) -> None:
        """Add damage that is not known yet."""
        self.problems = list(dict.fromkeys([*self.problems, *problems]))

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Tally:
        """Read what ``asdict`` and JSON made of a tally."""
        confidence = {int(i): (float(total), int(number)) for i, (total, number) in data["confidence"].items()}
        return cls(confidence, {int(i): list(v) for i, v in data["unsure"].items()}, list(data["problems"]))


def describe(
    video: Video,
    prompts: Prompts,
    model: Method,
    names: Sequence[str],
    direction: str,
    options: Mapping[str, Any],
) -> dict[str, Any]:
    """What makes a run this run and no other, as JSON gives it back."""
    digest = hashlib.sha256()
    for index, given in sorted(prompts.items()):
        for object_id, mask in sorted(given.items()):
            array = np.ascontiguousarray(mask.cpu().numpy() if isinstance(mask, torch.Tensor) else mask)
            digest.update(f"{index} {object_id} {array.shape} {array.dtype}".encode())
            digest.update(array.tobytes())
    code = 0
    for tensor in model.state_dict().values():
        raw = tensor.detach().cpu().contiguous()
        code = zlib.crc32(raw.flatten().view(torch.uint8).numpy() if raw.ndim else raw.numpy().tobytes(), code)
    facts = {
        "video": {
            "name": video.name,
            "size": video.size,
            "length": video.length,
            "range": [video.start, video.end],
            "first frame": _code_of_first_frame(video),
        },
        "masks": digest.hexdigest(),
        "config": asdict(model.config),
        "weights": code,
        "device": model.device.type,
        "precision": model.precision,
        "formats": list(names),
        "direction": direction,
        "options": dict(options),
    }
    plain: dict[str, Any] = json.loads(json.dumps(facts))
    return plain


def _code_of_first_frame(video: Video) -> int | None:
    """Tells clips of one name, size and length apart; None for a stream, which cannot be read twice."""
    if not video.indexable:
        return None
    frame = next(iter(video.frames(start=video.start, stop=video.start + 1)), None)
    return zlib.crc32(np.ascontiguousarray(frame.image).tobytes()) if frame is not None else None


def keep_source_safe(video: Video, folder: Path, names: Sequence[str]) -> None:
    """See that nothing written could take the place of a frame or of the video itself.

    Raises:
        InputError: the output folder is the one that the frames come from.
    """
    target = folder.resolve()
    if isinstance(video, ImageSequence):
        written = {target, *(target / name for name in names)}
        if written & {path.parent.resolve() for path in video.paths}:
            raise InputError(f"{folder}: the frames of {video.name} are in it. Choose another folder for the masks.")
    if isinstance(video, VideoFile) and "overlay" in names and video.path.resolve() == target / "overlay.mp4":
        raise InputError(f"{video.path}: the overlay would be written over the video. Choose another folder.")


class StateKeeper:
    """The state of an interrupted run, in ``FOLDER/.rotoscope``, and the report of a finished one."""

    def __init__(self, folder: Path, identity: dict[str, Any], every: int) -> None:
        if every < 1:
            raise InputError(f"a state every {every} frames is not possible; give at least 1.")
        self.folder = folder
        self.work = folder / WORK
        self.path = self.work / "state.safetensors"
        self.identity = identity
        self.every = every
        self.tally = Tally()
        self.before_save: Callable[[], None] = lambda: None
        self._report = folder / REPORT
        self._identity = self.work / "identity.json"
        self._written = self.work / "written.txt"
        self._earlier = self.work / "earlier.json"

    def prepare(self, *, resume: bool, overwrite: bool) -> dict[str, Any] | None:
        """Look at what the folder holds and decide whether this run may write to it.

        Returns: the report, if the run to resume has finished already; else None.

        Raises:
            InputError: it holds another run, or one that was not asked to go on.
        """
        begun, finished = _facts(self._identity), _facts(self._report)
        if resume or overwrite:
            self._sweep()
        if resume and begun is not None:
            self._compare(begun, "interrupted")
            return None
        if resume and finished is not None:
            self._compare(finished.get("run", {}), "finished")
            report: dict[str, Any] = finished["report"]
            return report
        used = begun is not None or finished is not None or any(self.folder.glob("*.png"))
        used = used or any((self.folder / name).exists() for name in (*FORMATS, "overlay.mp4"))
        if used and not overwrite:
            way = "--resume to go on, or --overwrite" if begun is not None else "--overwrite, or another folder"
            raise InputError(f"{self.folder}: holds the masks of another run. Pass {way}.")
        self._start_again(begun or {}, finished or {})
        return None

    def _compare(self, theirs: Mapping[str, Any], which: str) -> None:
        differing = [name for name in self.identity if theirs.get(name) != self.identity[name]]
        if differing:
            raise InputError(
                f"{self.folder}: the {which} run differs in its {', '.join(differing)}. "
                "Use the same, or pass --overwrite."
            )

    def _sweep(self) -> None:
        """Remove half-written files, which a killed run leaves beside the places that they were meant for."""
        for name in ("", *FORMATS):
            kept_by_object = name in ("objects", "soft")
            for path in (self.folder / name).glob("*/.*" if kept_by_object else ".*"):
                if _HALF_WRITTEN.fullmatch(path.name) and path.is_file():
                    path.unlink()

    def _start_again(self, begun: Mapping[str, Any], finished: Mapping[str, Any]) -> None:
        """Forget earlier runs. Palette masks wait to the end: a corrected one may be this run's prompt."""
        palette = set((_facts(self._earlier) or {}).get("palette", []))
        runs = ((begun, self._names()), (finished.get("run", {}), finished.get("masks", [])))
        for run, names in runs:
            formats = run.get("formats", [])
            if "palette" in formats:
                palette |= set(names)
            for name in names:
                for kind in formats:
                    _remove(self.folder, kind, name)
        (self.folder / "coco" / "annotations.json").unlink(missing_ok=True)
        (self.folder / "overlay.mp4").unlink(missing_ok=True)
        if self.work.exists():
            shutil.rmtree(self.work)
        self._report.unlink(missing_ok=True)
        self.work.mkdir(parents=True)
        with atomic_write(self._earlier) as path:
            path.write_text(json.dumps({"palette": sorted(palette)}), encoding="utf-8")
        with atomic_write(self._identity) as path:
            path.write_text(json.dumps(self.identity), encoding="utf-8")

    def load(self) -> Mapping[str, Any] | None:
        """The saved state, with the tally at that moment; None if there is none."""
        if not self.path.exists():
            return None
        try:
            with safe_open(self.path, "pt") as file:
                state: dict[str, Any] = json.loads((file.metadata() or {})["plain"])
                return state | {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
        except (SafetensorError, KeyError, ValueError) as error:
            raise InputError(f"{self.path}: cannot be read ({error}). Pass --overwrite to start again.") from None

    def save(self, state: Mapping[str, Any]) -> None:
        """Write a state, after all masks before it."""
        self.before_save()
        tensors = {k: v.detach().cpu().contiguous() for k, v in state.items() if isinstance(v, torch.Tensor)}
        plain = {k: v for k, v in state.items() if not isinstance(v, torch.Tensor)}
        with atomic_write(self.path) as path:
            save_file(tensors, path, {"plain": json.dumps(plain | {"tally": asdict(self.tally)})})

    def scratch(self) -> Path:
        """Folder of the backward pass's answers."""
        folder = self.work / "backward"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def write(self, item: Segmented, image: NDArray[np.uint8] | None) -> None:
        """Note the name of a frame whose masks are about to be written."""
        with self._written.open("a", encoding="utf-8") as file:
            file.write(json.dumps(item.name) + "\n")

    def close(self) -> None:
        """Remove the palette masks of an earlier run that this one did not write."""
        mine = set(self._names()) if "palette" in self.identity["formats"] else set()
        for name in (_facts(self._earlier) or {}).get("palette", []):
            if name not in mine:
                _remove(self.folder, "", name)

    def finish(self, report: dict[str, Any]) -> None:
        """Leave the report in place of the state."""
        with atomic_write(self._report) as path:
            facts = {"run": self.identity, "report": report, "masks": self._names()}
            path.write_text(json.dumps(facts, indent=1), encoding="utf-8")
        shutil.rmtree(self.work)

    def _names(self) -> list[str]:
        """Names of the frames whose masks are written; each once, also after a resume."""
        if not self._written.exists():
            return []
        lines = self._written.read_text(encoding="utf-8").splitlines(keepends=True)
        return list(dict.fromkeys(json.loads(line) for line in lines if line.endswith("\n")))  # the last may be cut


def _facts(path: Path) -> dict[str, Any] | None:
    """A JSON file of ours; None if it is not there, empty if it is not ours."""
    if not path.exists():
        return None
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        return {}
    return facts if isinstance(facts, dict) else {}


def _remove(folder: Path, kind: str, name: str) -> None:
    """Remove one frame's masks of a format (``""``: palette); of ``objects`` and ``soft``, those of every object."""
    if kind in ("objects", "soft"):
        for of_object in (folder / kind).glob("*/"):
            (of_object / f"{name}.png").unlink(missing_ok=True)
    elif kind == "npz":
        (folder / kind / f"{name}.npz").unlink(missing_ok=True)
    elif kind in ("cutout", ""):
        (folder / kind / f"{name}.png").unlink(missing_ok=True)
