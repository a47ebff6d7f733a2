"""Which videos a batch is of: lists, folders, files, globs, or a data set."""

from __future__ import annotations

import glob
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rotoscope.batches.jobs import BatchJob
from rotoscope.batches.lists import SUFFIXES as LISTS
from rotoscope.batches.lists import read_list
from rotoscope.batches.places import OWN
from rotoscope.datasets.spec import VIDEO_SETS, is_spec, open_dataset
from rotoscope.errors import InputError
from rotoscope.runs.earlier import REPORT
from rotoscope.video.images import SUFFIXES as IMAGES

# fmt: off
VIDEOS = frozenset((
    ".3gp", ".avi", ".flv", ".gif", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".mxf", ".ogv",
    ".ts", ".webm", ".wmv", ".y4m",
))
# fmt: on
"""Files of a folder that are taken for videos."""
MASKS = (".png", ".npz", ".npy", ".json", ".xml", ".tif", ".tiff", ".bmp", ".gif")
"""Files that may hold a video's masks, in the order in which they are looked for."""


def read_jobs(
    source: str | Sequence[str],
    masks: Path | None = None,
    common: Mapping[str, Any] | None = None,
    takes_masks: Callable[[str], bool] = lambda _: True,
) -> list[BatchJob]:
    """List the jobs of a batch.

    Args:
        source: a list (CSV with a header, JSON, JSON lines or YAML; paths in it start at its folder); a folder whose
            videos have masks of the same name beside them; a glob; a video; or a data set such as ``davis17:PATH``; or
            several of these.
        masks: folder of the masks, a file or folder for each video, of its name.
        common: fields of all jobs, where a list does not say otherwise.
        takes_masks: whether a method wants masks; for one that does not, those that lie beside videos are left.

    Raises:
        InputError: nothing is found, a field is not known, or two jobs have one name.
    """
    sources = [source] if isinstance(source, str) else list(source)
    common = dict(common or {})
    if masks is not None and not masks.is_dir():
        raise InputError(f"{masks}: is no folder of masks.")
    seek = masks is not None or takes_masks(str(common.get("method", BatchJob.method)))
    jobs: list[BatchJob] = []
    loose: list[Path] = []
    for one in sources:
        path = Path(one)
        if is_spec(one) and one.partition(":")[0] in VIDEO_SETS:
            jobs += (
                BatchJob(**{**common, "name": sequence.name, "dataset": one, "sequence": sequence.name})
                for sequence in open_dataset(one)
            )
        elif path.suffix.lower() in LISTS and not path.is_dir() and (len(sources) == 1 or path.suffix != ".json"):
            jobs += read_list(path, common)
        elif path.is_dir() and not _is_clip(path):
            jobs += _of_videos(_videos(path), path, masks, common, seek)
        elif path.exists():
            loose.append(path)  # as a shell gives them that has taken a glob apart: clips, and masks beside them
        elif glob.has_magic(one):
            loose += sorted(map(Path, glob.glob(one, recursive=True)))
        else:
            raise InputError(f"{one}: is no list, folder, glob, video or data set. Look at its name.")
    jobs += _of_videos(loose, None, masks, common, seek)
    if not jobs:
        raise InputError(f"{', '.join(sources[:3])}: no video is in it. Give others, or write a list.")
    return checked_names(jobs)


def checked_names(jobs: Sequence[BatchJob]) -> list[BatchJob]:
    """See that no two jobs would write to one folder, or one into the other's.

    Raises:
        InputError: two would.
    """
    names: dict[str, BatchJob] = {}
    for job in jobs:
        other = names.setdefault(job.name.casefold(), job)
        if other is not job:
            what = [one.video or one.sequence for one in (other, job)]
            raise InputError(
                f"two jobs are called {job.name} ({what[0]}, {what[1]}). Give them names in a list (column 'name')."
            )
    for name in names:
        parts = name.split("/")
        if any("/".join(parts[:i]) in names for i in range(1, len(parts))):
            raise InputError(
                f"the results of job {name} would lie within those of another. Name one of them otherwise."
            )
    return list(jobs)


def _is_clip(folder: Path) -> bool:
    """Whether a folder holds the frames of one clip: images, and neither videos nor clips that the images mask."""
    inner = list(folder.iterdir())
    images = {path.stem for path in inner if path.suffix.lower() in IMAGES and path.is_file()}
    if not images or any(path.suffix.lower() in VIDEOS and path.suffix.lower() not in IMAGES for path in inner):
        return False
    return not any(path.is_dir() and path.name in images for path in inner)


def _videos(folder: Path) -> list[Path]:
    """Videos and folders of images below a folder; results of ours are none."""
    videos = []
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if path.is_dir():
            if (path / OWN).exists() or (path / REPORT).exists():
                continue
            videos += [path] if _is_clip(path) else _videos(path)
        elif path.suffix.lower() in VIDEOS:
            videos.append(path)
    return videos


def _of_videos(
    paths: Iterable[Path], root: Path | None, masks: Path | None, common: Mapping[str, Any], seek: bool
) -> list[BatchJob]:
    jobs = []
    for path in paths:
        if not (_is_clip(path) if path.is_dir() else path.suffix.lower() in VIDEOS):
            continue
        place = path.relative_to(root) if root is not None else Path(path.resolve().name)
        name = (place if path.is_dir() else place.with_suffix("")).as_posix()
        mask = None
        if seek and masks is not None:
            mask = _mask_of(masks / place if path.is_dir() else masks / place.with_suffix(""), True)
        elif seek:
            mask = _mask_of(path if path.is_dir() else path.with_suffix(""), False)
        start = int(common.get("start", 0))
        prompts = {start: str(mask)} if mask is not None else {}
        jobs.append(replace(BatchJob(**{**common, "name": name, "video": str(path)}), masks=prompts))
    # A folder of masks may lie beside the clips: it is no clip of its own.
    used = {Path(mask) for job in jobs for mask in job.masks.values()}
    return [job for job in jobs if Path(job.video) not in used]


def _mask_of(stem: Path, apart: bool) -> Path | None:
    """The file of a name with one of the endings of masks, or a folder of them: ``NAME_masks``, and ``NAME`` apart."""
    for suffix in MASKS:
        file = stem.with_name(stem.name + suffix)
        if file.is_file():
            return file
    for folder in (stem.with_name(f"{stem.name}_masks"), *([stem] if apart else [])):
        if folder.is_dir():
            return folder
    return None
