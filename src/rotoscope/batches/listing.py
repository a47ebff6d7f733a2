"""Which videos a batch is of: a list, a folder, a glob, or a data set."""

from __future__ import annotations

import csv
import glob
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from rotoscope.batches.jobs import BatchJob
from rotoscope.datasets.spec import VIDEO_SETS, is_spec, open_dataset
from rotoscope.errors import InputError, shown, suggestion
from rotoscope.files import text_of
from rotoscope.methods.settings import parse_value
from rotoscope.video.images import SUFFIXES as IMAGES

LISTS = (".csv", ".json", ".jsonl", ".yaml", ".yml")
VIDEOS = frozenset(
    [
        ".mp4",
        ".m4v",
        ".mov",
        ".mkv",
        ".webm",
        ".avi",
        ".mpg",
        ".mpeg",
        ".ts",
        ".m2ts",
        ".mts",
        ".wmv",
        ".flv",
        ".ogv",
        ".3gp",
        ".gif",
        ".mxf",
        ".y4m",
    ]
)
"""Files of a folder that are taken for videos."""
MASKS = (".png", ".npz", ".npy", ".json", ".tif", ".tiff", ".bmp", ".gif")
"""Files that may hold a video's masks, in the order in which they are looked for."""
FIELDS = {f.name for f in fields(BatchJob)} - {"options"} | {"mask"}


def read_jobs(source: str, masks: Path | None = None, common: Mapping[str, Any] | None = None) -> list[BatchJob]:
    """List the jobs of a batch.

    Args:
        source: a list (CSV with a header, JSON, JSON lines or YAML; paths in it start at its folder); a folder whose
            videos have masks of the same name beside them; a glob; or a data set such as ``davis17:PATH``.
        masks: folder of the masks, a file or folder for each video, of its name.
        common: fields of all jobs, where a list does not say otherwise.

    Raises:
        InputError: nothing is found, a field is not known, or two jobs have one name.
    """
    common = dict(common or {})
    path = Path(source)
    if is_spec(source) and source.partition(":")[0] in VIDEO_SETS:
        jobs = [
            BatchJob(**{**common, "name": sequence.name, "dataset": source, "sequence": sequence.name})
            for sequence in open_dataset(source)
        ]
    elif path.suffix.lower() in LISTS and not path.is_dir():
        jobs = [_of_row(row, path, common, number) for number, row in enumerate(_rows(path), 1)]
    elif path.is_dir():
        jobs = _of_videos(_videos(path), path, masks, common)
    elif glob.has_magic(source):
        jobs = _of_videos(sorted(map(Path, glob.glob(source, recursive=True))), None, masks, common)
    else:
        raise InputError(f"{source}: is no list, folder, glob or data set of videos. Look at its name.")
    if not jobs:
        raise InputError(f"{source}: no video is in it. Give others, or write a list.")
    return checked_names(jobs)


def checked_names(jobs: Sequence[BatchJob]) -> list[BatchJob]:
    """See that no two jobs would write to one folder, or one into the other's.

    Raises:
        InputError: two would.
    """
    names: set[str] = set()
    for job in jobs:
        if job.name.casefold() in names:
            raise InputError(f"two jobs are called {job.name}. Give them names in a list (column 'name').")
        names.add(job.name.casefold())
    for name in names:
        parts = name.split("/")
        if any("/".join(parts[:i]) in names for i in range(1, len(parts))):
            raise InputError(
                f"the results of job {name} would lie within those of another. Name one of them otherwise."
            )
    return list(jobs)


def _rows(path: Path) -> Iterable[Mapping[str, Any]]:
    text = text_of(path, 2**30)
    if text is None:
        raise InputError(f"{path}: no such list.")
    text = text.removeprefix("\ufeff")
    kind = path.suffix.lower()
    try:
        if kind == ".csv":
            rows: Any = list(csv.DictReader(io.StringIO(text), strict=True))
        elif kind == ".jsonl":
            rows = [json.loads(line) for line in text.splitlines() if line.strip()]
        elif kind == ".json":
            rows = json.loads(text)
        else:
            rows = _yaml(text, path)
    except (ValueError, csv.Error, RecursionError) as error:
        raise InputError(f"{path}: is damaged ({shown(error, 120)}).") from None
    if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
        raise InputError(f"{path}: must hold a list of jobs, each with the field 'video'.")
    return rows


def _yaml(text: str, path: Path) -> Any:
    try:
        import yaml
    except ImportError:
        raise InputError(f'{path}: YAML needs PyYAML. Install it (pip install -e ".[batch]"), or write JSON.') from None
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InputError(f"{path}: is no YAML ({shown(error, 120)}).") from None


def _of_row(row: Mapping[str, Any], path: Path, common: Mapping[str, Any], number: int) -> BatchJob:
    where = f"{path}, job {number}"
    given = {str(name): value for name, value in row.items() if value not in (None, "")}
    options = dict(common.get("options", {}))
    inner = given.pop("options", {})
    if not isinstance(inner, Mapping):
        raise InputError(f"{where}: 'options' must be fields with values.")
    options |= {str(name): value for name, value in inner.items()}
    for name in [name for name in given if name.startswith("option.")]:
        options[name.removeprefix("option.")] = parse_value(str(given.pop(name)))
    for name in given:
        if name not in FIELDS:
            raise InputError(f"{where}: field {shown(name, 40)!r} is not known{suggestion(name, FIELDS)}.")
    if "video" in given:
        video = path.parent / str(given["video"])
        given["video"] = str(video)
        given.setdefault("name", Path(str(row["video"])).stem)
    elif "sequence" in given:
        given.setdefault("name", given["sequence"])
    else:
        raise InputError(f"{where}: has no 'video'.")
    masks = _masks_of_row(given, where)
    start = _number(given.pop("start", common.get("start", 0)), where, "start")
    given["masks"] = {(start if frame is None else frame): str(path.parent / file) for frame, file in masks.items()}
    if "end" in given:
        given["end"] = _number(given["end"], where, "end")
    if "formats" in given:
        formats = given["formats"]
        given["formats"] = tuple(formats.replace(",", " ").split() if isinstance(formats, str) else map(str, formats))
    if "resize_masks" in given:
        given["resize_masks"] = str(given["resize_masks"]).lower() in ("true", "1", "yes")
    given["name"] = str(given["name"])
    return BatchJob(**{**common, **given, "start": start, "options": options})


def _masks_of_row(given: dict[str, Any], where: str) -> dict[int | None, str]:
    """Masks by frame from ``mask`` (a file, or several as ``FILE@FRAME``, apart by ``;``) or ``masks`` (a mapping)."""
    masks = given.pop("masks", None)
    single = given.pop("mask", None)
    if isinstance(masks, Mapping):
        return {_number(frame, where, "frame of a mask"): str(file) for frame, file in masks.items()}
    found: dict[int | None, str] = {}
    for text in (part.strip() for given_text in (masks, single) if given_text for part in str(given_text).split(";")):
        file, at, frame = text.rpartition("@")
        key, name = (int(frame), file) if at and frame.isdecimal() else (None, text)
        if key in found:
            raise InputError(f"{where}: two masks for one frame. Write FILE@FRAME.")
        found[key] = name
    return found


def _number(value: Any, where: str, what: str) -> int:
    try:
        number = int(str(value))
    except ValueError:
        raise InputError(f"{where}: {what} {shown(value, 40)!r} is no whole number.") from None
    if number < 0:
        raise InputError(f"{where}: {what} is {number}; give 0 or more.")
    return number


def _videos(folder: Path) -> list[Path]:
    """Videos and folders of images below a folder."""
    found = []
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if path.is_dir():
            inner = sorted(path.iterdir())
            if any(p.suffix.lower() in IMAGES for p in inner):
                found.append(path)
            else:
                found += _videos(path)
        elif path.suffix.lower() in VIDEOS:
            found.append(path)
    return found


def _of_videos(
    paths: Sequence[Path], root: Path | None, masks: Path | None, common: Mapping[str, Any]
) -> list[BatchJob]:
    if masks is not None and not masks.is_dir():
        raise InputError(f"{masks}: is no folder of masks.")
    jobs = []
    for path in paths:
        if not path.is_dir() and path.suffix.lower() not in VIDEOS:
            continue
        place = path.relative_to(root) if root is not None else Path(path.name)
        name = (place if path.is_dir() else place.with_suffix("")).as_posix()
        if masks is not None:
            mask = _mask_of(masks / place if path.is_dir() else masks / place.with_suffix(""))
        else:
            mask = _mask_of(path if path.is_dir() else path.with_suffix(""))
        start = int(common.get("start", 0))
        given = {start: str(mask)} if mask is not None else {}
        jobs.append(replace(BatchJob(**{**common, "name": name, "video": str(path)}), masks=given))
    # A folder of masks may lie beside the clips: it is no clip of its own.
    used = {Path(mask) for job in jobs for mask in job.masks.values()}
    return [job for job in jobs if Path(job.video) not in used]


def _mask_of(stem: Path) -> Path | None:
    """The file of a name with one of the endings of masks; with ``masks`` given also a folder of that name."""
    for suffix in MASKS:
        file = stem.with_name(stem.name + suffix)
        if file.is_file():
            return file
    folder = stem.with_name(stem.name + "_masks")
    return folder if folder.is_dir() else None
