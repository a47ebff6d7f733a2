"""Which videos a batch is of: lists, folders, files, globs, or a data set."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rotoscope.batches.jobs import BatchJob
from rotoscope.batches.lists import SUFFIXES as LISTS
from rotoscope.batches.lists import read_list
from rotoscope.batches.scanning import (
    COMPANIONS,
    MASKS,
    is_batch,
    is_clip,
    mask_of,
    masks_beside,
    matching,
    stem_of,
    videos_in,
)
from rotoscope.datasets.spec import VIDEO_SETS, is_spec, open_dataset
from rotoscope.errors import InputError, shown


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
            several of these. A file that is named is a video whatever its ending, unless it is a mask of another one;
            or of a kind that lies beside videos, such as subtitles, and named with others.
        masks: folder of the masks, a file or folder for each video, of its name.
        common: fields of all jobs, where a list does not say otherwise.
        takes_masks: whether a method wants masks; for one that does not, those that lie beside videos are left.

    Raises:
        InputError: nothing is found in one of the sources, a field is not known, or two jobs have one name.
    """
    sources = [source] if isinstance(source, str) else list(source)
    common = dict(common or {})
    if masks is not None and not masks.is_dir():
        raise InputError(f"{masks}: is no folder of masks.")
    seek = masks is not None or takes_masks(str(common.get("method", BatchJob.method)))
    jobs: list[BatchJob] = []
    paths: list[Path] = []
    for one in sources:
        if is_spec(one) and one.partition(":")[0] in VIDEO_SETS:
            jobs += _some(_of_dataset(one, common), one)
        else:
            paths += _paths_of(one)
    left = masks_beside([path for path in paths if path.suffix.lower() not in LISTS or path.suffix.lower() in MASKS])
    videos: list[Path] = []
    for path in (path for path in paths if path not in left):
        if path.is_dir() and not is_clip(path):
            found = _of_videos(videos_in(path), path, masks, common, seek)
            jobs += found if is_batch(path) else _some(found, str(path))
        elif path.suffix.lower() in LISTS and not path.is_dir():
            jobs += _some(read_list(path, common), str(path))
        elif len(paths) == 1 or path.suffix.lower() not in COMPANIONS:
            videos.append(path)
    jobs += _of_videos(videos, None, masks, common, seek)
    return checked_names(_some(jobs, ", ".join(sources[:3])))


def _some(jobs: Iterable[BatchJob], source: str) -> list[BatchJob]:
    """The jobs of a source, which nobody has named in order that it be left out.

    Raises:
        InputError: it has none.
    """
    found = list(jobs)
    if not found:
        raise InputError(f"{source}: no video is in it. Give others, or write a list.")
    return found


def _paths_of(one: str) -> list[Path]:
    """The file or folder that a source names, or those that it matches.

    Raises:
        InputError: there is none.
    """
    path = Path(one)
    if not one.strip():
        raise InputError("a source is an empty text. Name a list, folder, glob, video or data set.")
    if os.path.exists(path):  # which, unlike Path.exists, says no to what cannot be a path
        # As the folder where one stands, ``.`` and what ends in ``..`` have a name only where they really are.
        return [path.resolve() if path.name in ("", "..") else path]
    if path.suffix.lower() in LISTS:
        raise InputError(f"{shown(one)}: no such list.")
    if glob.has_magic(one):
        return matching(one)
    raise InputError(f"{shown(one)}: is no list, folder, glob, video or data set. Look at its name.")


def _of_dataset(spec: str, common: Mapping[str, Any]) -> list[BatchJob]:
    return [
        BatchJob(**{**common, "name": sequence.name, "dataset": spec, "sequence": sequence.name})
        for sequence in open_dataset(spec)
    ]


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
                f"two jobs are called {job.name} ({what[0]}, {what[1]}). Leave one out, or give them names in a list "
                "(column 'name')."
            )
    for name in names:
        parts = name.split("/")
        if any("/".join(parts[:i]) in names for i in range(1, len(parts))):
            raise InputError(
                f"the results of job {name} would lie within those of another. Name one of them otherwise."
            )
    return list(jobs)


def _of_videos(
    paths: Iterable[Path], root: Path | None, masks: Path | None, common: Mapping[str, Any], seek: bool
) -> list[BatchJob]:
    jobs: list[BatchJob] = []
    used: set[Path | None] = set()
    start = int(common.get("start", 0))
    for path in paths:
        # A link is called by its own name: what it leads to may be one of many files called by their contents.
        place = path.relative_to(root) if root is not None else Path(path.name)
        name = stem_of(place, path.is_dir())
        stem = masks / name if masks is not None else stem_of(path, path.is_dir())
        mask = mask_of(stem, path, apart=masks is not None)
        prompts = {start: str(mask)} if mask is not None and seek else {}
        used.add(mask)
        jobs.append(replace(BatchJob(**{**common, "name": name.as_posix(), "video": str(path)}), masks=prompts))
    # Masks may lie beside the clips: they are no clips of their own.
    return [job for job in jobs if Path(job.video) not in used]
