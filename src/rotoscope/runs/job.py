"""What is asked of a run, checked whole before anything is touched."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch

from rotoscope.errors import InputError
from rotoscope.files import check_folder, inside
from rotoscope.masks.mattes import Delivery
from rotoscope.masks.points import Points
from rotoscope.masks.sequences import exr_library
from rotoscope.masks.writing import SEQUENCES, VIDEOS, WITH_IMAGE, formats
from rotoscope.methods.base import Method, Session
from rotoscope.methods.codes import code_of_weights
from rotoscope.runs.deliver import check_videos, losses
from rotoscope.runs.options import check_options
from rotoscope.runs.points import check_beginnings
from rotoscope.runs.prompts import MaskSource, Prompts, check_prompts, read_prompts, unanswered
from rotoscope.runs.state import VERSION
from rotoscope.video import Video
from rotoscope.video.codings import WITH_ALPHA
from rotoscope.video.files import VideoFile
from rotoscope.video.images import ImageSequence
from rotoscope.video.writer import h264_encoder

Direction = Literal["forward", "backward", "both"]
DIRECTIONS: tuple[Direction, ...] = get_args(Direction)


@dataclass(frozen=True)
class Outputs:
    """Where a run writes, and what.

    Attributes:
        folder: palette masks stand in it, other formats in folders of their names, an overlay as ``overlay.mp4``.
        formats: names of :data:`rotoscope.masks.FORMATS`; with ``overlay`` always ``palette`` too, from which it is
            made.
        state_every: frames between saved states.
        by_contents: whether a run to resume is known by the contents of the video's files, which are all read for it;
            else by their names, sizes and times.
        delivery: how objects are shown in formats for other programs, and their colours in an overlay.
    """

    folder: Path
    formats: tuple[str, ...] = ("palette",)
    state_every: int = 50
    by_contents: bool = False
    delivery: Delivery = field(default_factory=Delivery)

    @classmethod
    def of(
        cls,
        folder: str | Path,
        names: str | Sequence[str] = ("palette",),
        state_every: int = 50,
        by_contents: bool = False,
        delivery: Delivery | None = None,
    ) -> Outputs:
        """What a caller means by ``palette,overlay`` or a list of names.

        Raises:
            InputError: an unknown format, or states that are not a number of frames apart.
        """
        known = formats([names] if isinstance(names, str) else names)
        if not known:
            raise InputError("no output format is given. Give at least one, such as palette.")
        if "overlay" in known:
            known = list(dict.fromkeys(["palette", *known]))
        if not isinstance(state_every, int) or state_every < 1:
            raise InputError(f"a state every {state_every} frames is not possible; give at least 1.")
        return cls(Path(folder), tuple(known), state_every, by_contents, delivery or Delivery())

    @property
    def places(self) -> dict[str, Path]:
        """The folder of each format that is written frame by frame.

        Raises:
            InputError: one of them is a link that leads out of the folder.
        """
        at_the_end = ("overlay", *VIDEOS)
        return {
            n: self.folder if n == "palette" else inside(self.folder, n) for n in self.formats if n not in at_the_end
        }

    @property
    def needs_images(self) -> bool:
        """Whether frames' images are written, or looked at, beside their masks."""
        return any(n in WITH_IMAGE or (n == "exr" and self.delivery.refine) for n in self.formats)

    def looks(self) -> dict[str, Any]:
        """What of the delivery makes other files than another would, by name; nothing where no format heeds it."""
        delivery = asdict(self.delivery)
        colours = delivery.pop("colours")
        looks = {"delivery": delivery} if any(n in self.formats for n in (*SEQUENCES, *VIDEOS)) else {}
        return looks | ({"colours": dict(colours)} if colours and "overlay" in self.formats else {})

    def check_used(self, options: Mapping[str, Any]) -> None:
        """See that options of how objects are shown are given with a format that heeds them.

        Raises:
            InputError: with the first that is given for nothing.
        """
        others = (*SEQUENCES, *VIDEOS)
        heeding = {"--objects": others, "--alpha": ("png", *WITH_ALPHA), "--refine": others, "--name": ("exr",)}
        heeding["--color"] = ("overlay",)
        for option in (option for option, value in options.items() if value):
            there = heeding[option]
            if not set(there) & set(self.formats):
                raise InputError(
                    f"{option} has no effect on {', '.join(self.formats)}. Leave it out, or add "
                    f"{'the format' if len(there) == 1 else 'one of the formats'} {', '.join(there)}."
                )

    def check(self, video: Video) -> None:
        """See that all of it can be written, and that nothing could take the place of a frame or of the video itself.

        Raises:
            InputError: it cannot, or the folder is the one that the frames come from.
        """
        for place in self.places.values():
            check_folder(place)
        target = self.folder.resolve()
        if isinstance(video, ImageSequence):
            written = {target, *(target / name for name in self.formats)}
            if written & {path.parent.resolve() for path in video.paths}:
                raise InputError(
                    f"{self.folder}: the frames of {video.name} are in it. Choose another folder for the masks."
                )
        if "overlay" in self.formats:
            if not video.indexable:
                raise InputError(f"{video.name}: an overlay video reads the source twice. Save it as a file first.")
            if isinstance(video, VideoFile) and video.path.resolve() == target / "overlay.mp4":
                raise InputError(f"{video.path}: the overlay would be written over the video. Choose another folder.")
            h264_encoder()
        if "exr" in self.formats:
            exr_library()
        check_videos(video, self.formats, self.folder)


@dataclass(frozen=True, eq=False)
class Job:
    """One video to segment. To make one is to check it: a job that exists can be run.

    Attributes:
        video: an open video.
        prompts: masks by frame and object; empty for methods that find objects by themselves.
        model: a loaded method.
        direction: see :func:`rotoscope.segment`.
        options: options of the method's session, by name.
        outputs: where to write; None if nothing is written.
        notes: what was decided in reading the masks, one line each.

    Raises:
        InputError: anything that can be wrong with the request and be known before its first frame is answered.
    """

    video: Video
    prompts: Prompts
    model: Method
    direction: Direction = "forward"
    options: Mapping[str, Any] = field(default_factory=dict)
    outputs: Outputs | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_direction(self.direction)
        self._check_task()
        if self.outputs is not None:
            self.outputs.check(self.video)
            if self.prompts and any(name in self.outputs.formats for name in ("overlay", *SEQUENCES, *VIDEOS)):
                self.outputs.delivery.check_objects({i for masks in self.prompts.values() for i in masks})
        check_prompts(self.prompts, self.video)
        self._check_points()
        check_options(self.model, self.options)
        self.session()

    @classmethod
    def of(
        cls,
        video: Video,
        masks: MaskSource | Mapping[int, MaskSource] | None,
        model: Method,
        *,
        direction: Direction = "forward",
        resize_masks: bool = False,
        options: Mapping[str, Any] | None = None,
        outputs: Outputs | None = None,
    ) -> Job:
        """A job with masks of any kind; see :func:`~rotoscope.runs.prompts.read_prompts`."""
        check_direction(direction)
        notes: list[str] = []
        prompts = read_prompts(masks, video, resize_masks, notes)
        return cls(video, prompts, model, direction, dict(options or {}), outputs, tuple(notes))

    @property
    def warnings(self) -> list[str]:
        """What the request is likely not to mean, known before its first frame is answered; one line each."""
        lost = losses(self.video, self.outputs.formats) if self.outputs is not None else []
        return [*unanswered(self.prompts, self.video, self.direction), *lost]

    def session(self) -> Session:
        """A new session of the method for this video, with the job's options."""
        return self.model.session(self.video, **self.options)

    def identity(self) -> dict[str, Any]:
        """What makes this run this run and no other, as JSON gives it back.

        Two jobs of one identity write the same masks, so that one may go on where the other was interrupted.
        """
        by_contents = self.outputs is not None and self.outputs.by_contents
        facts = {
            "version": VERSION,
            "video": {
                "name": self.video.name,
                "size": self.video.size,
                "length": self.video.length,
                "range": [self.video.start, self.video.end],
                "files, by contents" if by_contents else "files, by time": self.video.fingerprint(by_contents),
                "first frame": _code_of_first_frame(self.video),
            },
            "masks": code_of_masks(self.prompts),
            "config": asdict(self.model.config),
            "weights": code_of_weights(self.model.state_dict().values()),
            "device": self.model.device.type,
            "precision": self.model.precision,
            "runtime": self.model.runtime,
            "formats": list(self.outputs.formats) if self.outputs is not None else [],
            "direction": self.direction,
            "options": dict(self.options),
        }
        if self.outputs is not None:
            facts |= self.outputs.looks()
        if self._has_points() and self.model.prompter is not None:
            facts["what answers points"] = self.model.prompter().code
        plain: dict[str, Any] = json.loads(json.dumps(facts, default=_plain))
        return plain

    def _has_points(self) -> bool:
        return any(isinstance(prompt, Points) for prompts in self.prompts.values() for prompt in prompts.values())

    def _check_points(self) -> None:
        if self._has_points():
            check_beginnings(self.prompts, self.direction)
            if self.model.prompter is None:
                raise InputError("nothing here makes masks of points: open the model with rotoscope.load.")
            self.model.prompter()  # what is wrong with its weights is said before anything is touched

    def _check_task(self) -> None:
        if self.prompts and self.model.task != "semi":
            raise InputError("masks are given, but this method finds objects by itself. Leave the masks out.")
        if self.direction != "forward":
            if not self.prompts:
                raise InputError("without masks there is no frame to go back from. Use direction forward.")
            if not self.video.indexable:
                raise InputError(f"{self.video.name}: cannot be read backwards. Save it as a file first.")
        if not self.prompts and self.model.task == "semi":
            raise InputError(
                "no mask is given, and this method needs the masks of at least one frame. Give one, point at the "
                "object with --point X,Y, or take a method that finds objects by itself: --method cosnet-small."
            )


def check_direction(direction: str) -> None:
    """Refuse a direction that there is not.

    Raises:
        InputError: with those that there are.
    """
    if direction not in DIRECTIONS:
        raise InputError(f"direction {direction!r} is not known; use {', '.join(DIRECTIONS)}.")


def _plain(value: Any) -> Any:
    """What JSON does not know: a NumPy number as a number of Python's, anything else as its text."""
    return value.item() if isinstance(value, np.generic) else str(value)


def code_of_masks(prompts: Prompts) -> str:
    """What tells given masks from others, as hexadecimal digits."""
    digest = hashlib.sha256()
    for index, masks in sorted(prompts.items()):
        for object_id, mask in sorted(masks.items()):
            if isinstance(mask, Points):
                digest.update(f"{index} {object_id} {mask}".encode())
                continue
            array = np.ascontiguousarray(mask.cpu().numpy() if isinstance(mask, torch.Tensor) else mask)
            digest.update(f"{index} {object_id} {array.shape} {array.dtype}".encode())
            digest.update(array.tobytes())
    return digest.hexdigest()


def _code_of_first_frame(video: Video) -> int | None:
    """Tells clips of one name, size and length apart; None for a stream, which cannot be read twice."""
    if not video.indexable:
        return None
    frame = next(iter(video.frames(start=video.start, stop=video.start + 1)), None)
    return zlib.crc32(np.ascontiguousarray(frame.image).tobytes()) if frame is not None else None
