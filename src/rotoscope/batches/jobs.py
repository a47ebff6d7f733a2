"""One video of a batch as a small value that any process can carry out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from rotoscope.errors import InputError, shown
from rotoscope.files import is_plain_name
from rotoscope.provenance import package_version

SUMMARY, PAGE = "batch.json", "index.html"
"""Files that a batch writes beside the results of its jobs."""
LONGEST = 255
"""Bytes of a name that file systems take."""


@dataclass(frozen=True)
class BatchJob:
    """One video to segment, and how. Only texts and numbers, so that it travels between processes and into a journal.

    Attributes:
        name: of its folder of results below the batch's; may be a folder in folders, ``a/b``.
        video: path of a video file, of an image, or of a folder of images; empty where ``dataset`` is given.
        masks: files with masks by index of the frame they belong to; none for methods that find objects by themselves.
        dataset: spec of a data set whose sequence ``sequence`` is the video, given the masks that its task gives.
        sequence: see ``dataset``.
        method: a name that ``rotoscope methods`` lists, or a weights file.
        direction: see :func:`rotoscope.segment`.
        formats: names of output formats.
        start: index of the first frame to answer.
        end: index of the frame after the last to answer; None for the video's end.
        resize_masks: bring masks to the video's size.
        options: of the method's session.
        cuts: frames at which the video is cut into pieces; see :mod:`rotoscope.batches.split`.
        piece: which of these pieces this is, from 0; None for the whole video, which joins its pieces if it has cuts.
    """

    name: str
    video: str = ""
    masks: Mapping[int, str] = field(default_factory=dict)
    dataset: str = ""
    sequence: str = ""
    method: str = "stcn-small"
    direction: str = "forward"
    formats: tuple[str, ...] = ("palette",)
    start: int = 0
    end: int | None = None
    resize_masks: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)
    cuts: tuple[int, ...] = ()
    piece: int | None = None

    def __post_init__(self) -> None:
        if problem := _problem_of(self.name):
            raise InputError(f"job {shown(repr(self.name), 80)}: {problem}. Name it otherwise.")
        if bool(self.video) == bool(self.dataset):
            raise InputError(f"job {self.name}: give either a video or a sequence of a data set.")

    def as_text(self) -> str:
        """As JSON."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_text(cls, text: str) -> BatchJob:
        """What :meth:`as_text` wrote.

        Raises:
            InputError: it is not that.
        """
        try:
            facts = json.loads(text)
            known = {f.name for f in fields(cls)}
            facts = {name: value for name, value in facts.items() if name in known}
            facts["masks"] = {int(frame): path for frame, path in facts["masks"].items()}
            facts["formats"], facts["cuts"] = tuple(facts["formats"]), tuple(map(int, facts["cuts"]))
            return cls(**facts)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(f"the journal holds a damaged job ({shown(repr(error), 80)}).") from None

    def identity(self, weights: str, files: Sequence[Path] = ()) -> str:
        """What the masks depend on, as a hash: inputs, options, weights and version.

        Of videos the size and time of change count, of masks also the content; of a folder those of each file in it.

        Args:
            weights: hash of the weights' file.
            files: images and masks of the sequence, where the video is one of a data set; of these size and time count.

        Raises:
            InputError: a file is not there or may not be read.
        """
        inputs: list[Any] = [facts_of(Path(self.video))] if self.video else [self.dataset, self.sequence]
        inputs += [facts_of(path) for path in files]
        inputs += [[frame, facts_of(Path(path), content=True)] for frame, path in sorted(self.masks.items())]
        asked = {k: v for k, v in asdict(self).items() if k not in ("video", "masks", "dataset", "sequence", "name")}
        text = json.dumps([inputs, asked, weights, package_version("rotoscope")], sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()


def _problem_of(name: object) -> str:
    """Why something is no name of a job, for a message; empty if it is one."""
    parts = name.split("/") if isinstance(name, str) else []
    if not parts or not all(is_plain_name(part) and not part.startswith(".") for part in parts):
        return "is no name for a folder of results"
    try:
        longest = max(len(part.encode()) for part in parts)
    except UnicodeEncodeError:  # neither the journal nor the page can hold it
        return "holds what is no character of Unicode"
    if longest > LONGEST:
        return f"has {longest} bytes in UTF-8, and the name of a folder {LONGEST} at most"
    if parts[0].casefold() in (SUMMARY, PAGE):  # on some disks A is a
        return f"{parts[0].casefold()} is a file that the batch itself writes there"
    return ""


def facts_of(path: Path, content: bool = False) -> list[Any]:
    """What tells one state of a file or folder from another: sizes and times of change, and contents if asked for.

    Raises:
        InputError: it is not there or may not be read.
    """
    try:
        if path.is_dir():
            return [path.name, [facts_of(inner, content) for inner in sorted(path.iterdir()) if inner.is_file()]]
        status = path.stat()
        code = hashlib.sha256(path.read_bytes()).hexdigest() if content else status.st_mtime_ns
        return [path.name, status.st_size, code]
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}).") from None
