"""``rotoscope report``: what runs left on disk to one page."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from rotoscope.errors import InputError
from rotoscope.files import atomic_write, check_folder
from rotoscope.provenance import provenance
from rotoscope.reports import sections
from rotoscope.reports.figures import require
from rotoscope.reports.page import Section, page
from rotoscope.reports.pictures import Gallery
from rotoscope.reports.records import Record, Scored, Segmented, Tabled, open_records
from rotoscope.video import Video, open_video

SUFFIXES = (".html", ".htm")


@dataclass(frozen=True)
class Pictures:
    """Which frames a page shows, and where they come from.

    Attributes:
        dataset: the spec of the data set that was scored, in place of the one that the runs recorded.
        video: the frames of a video that was segmented, which a run does not record.
        clips: the number of sequences whose frames are shown, of each run.
        worst: the number of worst frames, of each run.
    """

    dataset: str | None = None
    video: str | None = None
    clips: int = 12
    worst: int = 12


def write_report(places: Sequence[Path], html: Path, pictures: Pictures | None = Pictures()) -> list[Record]:
    """Write one self-contained page of some runs.

    Args:
        places: folders of ``benchmark``, ``ablate`` or ``segment``, or files that ``evaluate --json`` wrote.
        html: the page; one that is there is replaced once the new one is whole.
        pictures: which frames are shown; None shows none.

    Returns: what the page is of.

    Raises:
        InputError: anything that is wrong with the request; nothing is written then.
    """
    require()
    _check_target(html)
    records = open_records(places)
    with ExitStack() as stack:
        made = _sections(records, pictures, stack)
    title = ", ".join(record.name for record in records)
    origin = provenance()
    told = f"{len(records)} run(s); this page was made on {origin['made']} by: {origin['command']}"
    whole = page(title, told, made)
    with atomic_write(html) as path:
        path.write_text(whole, encoding="utf-8")
    return records


def _check_target(html: Path) -> None:
    if html.suffix.lower() not in SUFFIXES:
        raise InputError(f"{html}: is no name of a page. Give one that ends in .html.")
    if html.is_dir():
        raise InputError(f"{html}: is a folder. Give the name of a file.")
    if not html.parent.is_dir():
        raise InputError(f"{html.parent}: no such folder. Make it, or write elsewhere.")
    check_folder(html.parent)


def _sections(records: Sequence[Record], pictures: Pictures | None, stack: ExitStack) -> list[Section]:
    """All parts of the page; data sets and videos are opened before anything is drawn."""
    scored = [record for record in records if isinstance(record, Scored)]
    videos = [record for record in records if isinstance(record, Segmented)]
    galleries: list[Gallery] = []
    video: Video | None = None
    if pictures is not None:
        _check_pictures(pictures, scored, videos)
        galleries = [Gallery(run, pictures.dataset) for run in scored]
        if pictures.video is not None:
            video = stack.enter_context(open_video(pictures.video))
            _check_video(video, videos[0], pictures.video)
    alike: dict[tuple[str, str, str], list[Scored]] = {}
    for run in scored:
        alike.setdefault((run.kind, run.evaluation.split, run.evaluation.protocol.name), []).append(run)
    made = [sections.of_scored(runs) for runs in alike.values()]
    if pictures is not None:
        made += [sections.pictures_of(gallery, pictures.clips, pictures.worst) for gallery in galleries]
    made += [sections.of_table(record) for record in records if isinstance(record, Tabled)]
    made += [sections.of_video(record, video) for record in videos]
    return made + [sections.of_origin(run) for run in scored]


def _check_pictures(pictures: Pictures, scored: Sequence[Scored], videos: Sequence[Segmented]) -> None:
    if pictures.clips < 0 or pictures.worst < 0:
        raise InputError("--clips and --worst are numbers of at least 0.")
    if pictures.dataset is not None and not scored:
        raise InputError("--dataset is of runs that were scored, and none is given. Leave it out.")
    if pictures.video is not None and len(videos) != 1:
        raise InputError(f"--video is of one run of segment, and {len(videos)} are given. Give one, or leave it out.")


def _check_video(video: Video, run: Segmented, name: str) -> None:
    """See that a video is the one that was segmented, as far as its size and length tell."""
    theirs = run.identity["video"]
    if not video.indexable:
        raise InputError(f"--video {name}: its frames come in order only. Save it as a file first.")
    if list(video.size) != list(theirs["size"]) or video.length != theirs["length"]:
        size = "x".join(map(str, theirs["size"]))
        raise InputError(
            f"--video {name}: has {video.length} frames of {video.size[0]}x{video.size[1]}, but {run.place} is of "
            f"{theirs['length']} of {size}. Give the video that was segmented."
        )
