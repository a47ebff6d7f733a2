"""Lists of jobs: CSV, JSON, JSON lines and YAML files."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from rotoscope.batches.jobs import BatchJob
from rotoscope.errors import InputError, shown, suggestion
from rotoscope.methods.settings import parse_value

SUFFIXES = (".csv", ".json", ".jsonl", ".yaml", ".yml")
"""Files that are taken for lists."""
FIELDS = {f.name for f in fields(BatchJob)} - {"options", "cuts", "piece"} | {"mask"}
MOST = 2**30
"""Bytes of a list that are read."""
WORDS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def read_list(path: Path, common: Mapping[str, Any]) -> list[BatchJob]:
    """The jobs of a list; paths in it start at its folder.

    Args:
        path: of the file.
        common: fields of all jobs, where the list does not say otherwise.

    Raises:
        InputError: it is not there, no text in UTF-8, or damaged; or a field is not known, or has a wrong value.
    """
    return [_of_row(row, path, common, number) for number, row in enumerate(_rows(path), 1)]


def _text(path: Path) -> str:
    if not path.exists():
        raise InputError(f"{path}: no such list.")
    try:
        with path.open("rb") as file:
            data = file.read(MOST + 1)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}).") from None
    if len(data) > MOST:
        raise InputError(f"{path}: has more than {MOST} bytes. Split the list.")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InputError(f"{path}: line {line} is no text in UTF-8. Save the list as UTF-8.") from None


def _rows(path: Path) -> Iterable[Mapping[str, Any]]:
    text, kind = _text(path), path.suffix.lower()
    if not text.strip():
        return []
    try:
        if kind == ".csv":
            rows: Any = _csv(text, path)
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


def _csv(text: str, path: Path) -> list[dict[str, str]]:
    """Rows by the names in the header; apart by commas, semicolons or tabs, whichever the header has most of."""
    if "\0" in text:
        raise InputError(f"{path}: holds zero bytes. Save the list as text in UTF-8.")
    head = text.lstrip("\r\n").splitlines()[0]
    delimiter = max(",;\t", key=head.count)
    lines = [line for line in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True) if any(line)]
    names = [name.strip() for name in lines[0]] if lines else []
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"{path}: the header has {shown(name, 40)!r} twice.")
    rows = []
    for number, line in enumerate(lines[1:], 1):
        if len(line) > len(names):
            raise InputError(f"{path}, job {number}: has {len(line)} values, and the header names {len(names)}.")
        rows.append(dict(zip(names, (value.strip() for value in line), strict=False)))
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
    cells = {str(name): value for name, value in row.items() if value is not None and value != ""}
    options = _options(cells, dict(common.get("options", {})), where)
    for name in cells:
        if name not in FIELDS:
            raise InputError(f"{where}: field {shown(name, 40)!r} is not known{suggestion(name, FIELDS)}.")
    if "video" in cells:
        written = str(cells["video"])
        if "://" in written:
            raise InputError(f"{where}: {shown(written, 80)} is an address; a batch takes files. Fetch it first.")
        cells["video"] = str(path.parent / written)
        cells.setdefault("name", Path(written).stem)
    elif "sequence" in cells:
        cells.setdefault("name", cells["sequence"])
    else:
        raise InputError(f"{where}: has no 'video'.")
    masks = _masks(cells, where)
    start = _number(cells.pop("start", common.get("start", 0)), where, "start")
    cells["masks"] = {(start if frame is None else frame): str(path.parent / file) for frame, file in masks.items()}
    if "end" in cells:
        cells["end"] = _number(cells["end"], where, "end")
    if "formats" in cells:
        formats = cells["formats"]
        cells["formats"] = tuple(formats.replace(",", " ").split() if isinstance(formats, str) else map(str, formats))
    if "resize_masks" in cells:
        cells["resize_masks"] = _yes(cells["resize_masks"], where)
    for name in cells.keys() & {"name", "method", "direction", "dataset", "sequence"}:
        cells[name] = str(cells[name])
    return BatchJob(**{**common, **cells, "start": start, "options": options})


def _options(cells: dict[str, Any], options: dict[str, Any], where: str) -> dict[str, Any]:
    """Options of the method, from ``options`` and from fields ``option.NAME``, which are taken out."""
    inner = cells.pop("options", {})
    if not isinstance(inner, Mapping):
        raise InputError(f"{where}: 'options' must be fields with values.")
    options |= {str(name): value for name, value in inner.items()}
    for name in [name for name in cells if name.startswith("option.")]:
        options[name.removeprefix("option.")] = parse_value(str(cells.pop(name)))
    return options


def _masks(cells: dict[str, Any], where: str) -> dict[int | None, str]:
    """Masks by frame, from ``mask`` and ``masks``: a file, several as ``FILE@FRAME``, a list, or files by frame."""
    masks: dict[int | None, str] = {}
    for told in (cells.pop("masks", None), cells.pop("mask", None)):
        if isinstance(told, Mapping):
            pairs: list[tuple[int | None, str]] = [
                (_number(frame, where, "frame of a mask"), str(file)) for frame, file in told.items()
            ]
        else:
            texts = told if isinstance(told, list) else str(told).split(";") if told is not None else []
            pairs = [_at_frame(str(text).strip()) for text in texts]
        for frame, file in pairs:
            if frame in masks:
                raise InputError(f"{where}: two masks for one frame. Write FILE@FRAME.")
            masks[frame] = file
    return masks


def _at_frame(text: str) -> tuple[int | None, str]:
    file, at, frame = text.rpartition("@")
    return (int(frame), file) if at and frame.isdecimal() else (None, text)


def _yes(value: Any, where: str) -> bool:
    answer = WORDS.get(str(value).lower())
    if answer is None:
        raise InputError(f"{where}: resize_masks is {shown(value, 40)!r}; write true or false.")
    return answer


def _number(value: Any, where: str, what: str) -> int:
    try:
        number = int(str(value))
    except ValueError:
        raise InputError(f"{where}: {what} {shown(value, 40)!r} is no whole number.") from None
    if number < 0:
        raise InputError(f"{where}: {what} is {number}; give 0 or more.")
    return number
