"""Lists of jobs: CSV, JSON, JSON lines and YAML files."""

from __future__ import annotations

import csv
import datetime
import io
import json
import os
import re
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from rotoscope.batches.jobs import LONGEST, BatchJob
from rotoscope.errors import InputError, shown, suggestion
from rotoscope.methods.settings import parse_value

SUFFIXES = (".csv", ".json", ".jsonl", ".yaml", ".yml")
"""Files that are taken for lists."""
FIELDS = {f.name for f in fields(BatchJob)} - {"options", "cuts", "piece"} | {"mask"}
LONGEST_PATH = 4095
"""Bytes of a path that Linux takes; other systems take fewer."""
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
    return [_of_row(row, path, common, where) for where, row in _rows(path)]


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


def _rows(path: Path) -> list[tuple[str, Mapping[str, Any]]]:
    """What a list says of each job, and where it says so."""
    text, kind = _text(path), path.suffix.lower()
    if not text.strip():
        return []
    if kind == ".jsonl":
        return [
            (where, _line(line, where))
            for number, line in enumerate(text.split("\n"), 1)  # texts may hold what else ends lines elsewhere
            if line.strip() and (where := f"{path}, line {number}")
        ]
    try:
        if kind == ".csv":
            rows: Any = _csv(text, path)
        elif kind == ".json":
            rows = _json(text)
        else:
            rows = _yaml(text, path)
    except (ValueError, csv.Error, RecursionError) as error:
        raise InputError(f"{path}: is damaged ({shown(error, 120)}).") from None
    if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
        raise InputError(f"{path}: must hold a list of jobs, each with the field 'video'.")
    return [(f"{path}, job {number}", row) for number, row in enumerate(rows, 1)]


def _line(text: str, where: str) -> Mapping[str, Any]:
    """One line of JSON lines."""
    try:
        row = _json(text)
    except json.JSONDecodeError as error:
        raise InputError(f"{where}: is no JSON ({shown(error.msg, 80)} at sign {error.colno}). Correct it.") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where}: is no JSON ({shown(error, 120)}). Correct it.") from None
    if not isinstance(row, Mapping):
        raise InputError(f"{where}: is no job, which has fields such as 'video' in braces.")
    return row


def _json(text: str) -> Any:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        known: dict[str, Any] = {}
        for name, value in pairs:
            if name in known:  # of two masks for one frame the first would be lost
                raise ValueError(f"{shown(name, 40)!r} is there twice")
            known[name] = value
        return known

    return json.loads(text, object_pairs_hook=once)


def _csv(text: str, path: Path) -> list[dict[str, str]]:
    """Rows by the names in the header; apart by commas, semicolons or tabs, whichever the header has most of."""
    if "\0" in text:
        raise InputError(f"{path}: holds zero bytes. Save the list as text in UTF-8.")
    head = re.split(r"[\r\n]", text.lstrip(" \r\n"), maxsplit=1)[0]
    delimiter = max(",;\t", key=head.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    lines = [line for line in reader if any(cell.strip() for cell in line)]
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
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        if node is None:
            return []
        _check_once(node)
        return loader.construct_document(node)
    except yaml.YAMLError as error:
        raise InputError(f"{path}: is no YAML ({shown(error, 120)}).") from None


def _check_once(node: Any) -> None:
    """See that no field of a job in YAML is there twice, nor a frame among its masks; PyYAML would take the last.

    Raises:
        ValueError: one is.
    """
    seen, waiting = set(), [node]
    while waiting:
        one = waiting.pop()
        if id(one) in seen or one.id == "scalar":  # an alias is the node it stands for
            continue
        seen.add(id(one))
        if one.id == "mapping":
            names = [key.value for key, _ in one.value if key.id == "scalar"]
            if len(names) > len(set(names)):
                twice = next(name for name in names if names.count(name) > 1)
                raise ValueError(f"{shown(twice, 40)!r} is there twice, line {one.start_mark.line + 1}")
            waiting += [part for pair in one.value for part in pair]
        else:
            waiting += one.value


def _of_row(row: Mapping[str, Any], path: Path, common: Mapping[str, Any], where: str) -> BatchJob:
    cells = {str(name): value for name, value in row.items() if value is not None and value != ""}
    options = _options(cells, dict(common.get("options", {})), where)
    for name in cells:
        if name not in FIELDS:
            raise InputError(f"{where}: field {shown(name, 40)!r} is not known{suggestion(name, FIELDS)}.")
    for name in cells.keys() & {"video", "sequence", "name", "method", "direction", "dataset"}:
        cells[name] = _written(cells[name], where, name)
    if "video" in cells:
        written = cells["video"]
        if "://" in written:
            raise InputError(f"{where}: {shown(written, 80)} is an address; a batch takes files. Fetch it first.")
        cells["video"] = _path(path.parent, written, where, "video")
        cells.setdefault("name", Path(written).stem)
    elif "sequence" in cells:
        cells.setdefault("name", cells["sequence"])
    else:
        raise InputError(f"{where}: has no 'video'.")
    start = _number(cells.pop("start", common.get("start", 0)), where, "start")
    cells["masks"] = _masks(cells, path.parent, where, start)
    if "end" in cells:
        cells["end"] = _number(cells["end"], where, "end")
    if "formats" in cells:
        cells["formats"] = _formats(cells["formats"], where)
    if "resize_masks" in cells:
        cells["resize_masks"] = _yes(cells["resize_masks"], where)
    try:
        return BatchJob(**{**common, **cells, "start": start, "options": options})
    except InputError as error:
        raise InputError(f"{where}: {error}") from None


def _written(value: Any, where: str, what: str) -> str:
    """A value that must be a text; whole numbers and days are, as they can be written in one way only.

    Raises:
        InputError: it is none, or holds what no name of a file or folder can.
    """
    if type(value) not in (str, int, datetime.date):
        raise InputError(f"{where}: {what} is {shown(repr(value), 60)}, which is no text. Write one, in quotes.")
    text = str(value)
    try:
        if "\0" in text:
            raise ValueError
        os.fsencode(text)
    except ValueError:
        raise InputError(f"{where}: {what} {shown(repr(text), 60)} holds what no name can. Correct it.") from None
    return text


def _path(folder: Path, text: str, where: str, what: str) -> str:
    """The path of a file that a list names.

    Raises:
        InputError: no file system could have it.
    """
    path = folder / text
    longest = max((len(os.fsencode(part)) for part in path.parts), default=0)
    if longest > LONGEST or len(os.fsencode(path)) > LONGEST_PATH:
        raise InputError(f"{where}: {what} {shown(repr(text), 60)} is longer than a path can be. Correct it.")
    return str(path)


def _formats(value: Any, where: str) -> tuple[str, ...]:
    if isinstance(value, str):
        return tuple(name for name in re.split(r"[\s,;]+", value) if name)
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise InputError(f"{where}: formats is {shown(value, 40)!r}; write names such as 'palette,overlay'.")
    return tuple(value)


def _options(cells: dict[str, Any], options: dict[str, Any], where: str) -> dict[str, Any]:
    """Options of the method, from ``options`` and from fields ``option.NAME``, which are taken out."""
    inner = cells.pop("options", {})
    if not isinstance(inner, Mapping):
        raise InputError(f"{where}: 'options' must be fields with values.")
    options |= {str(name): value for name, value in inner.items()}
    for name in [name for name in cells if name.startswith("option.")]:
        options[name.removeprefix("option.")] = parse_value(str(cells.pop(name)))
    return options


def _masks(cells: dict[str, Any], folder: Path, where: str, start: int) -> dict[int, str]:
    """Masks by frame, from ``mask`` and ``masks``: a file, several as ``FILE@FRAME``, a list, or files by frame.

    A file without a frame is of the first one, ``start``. Between semicolons there may be nothing.
    """
    masks: dict[int, str] = {}
    for told in (cells.pop("masks", None), cells.pop("mask", None)):
        if isinstance(told, Mapping):
            pairs = [
                (_number(frame, where, "frame of a mask"), _written(file, where, "mask"))
                for frame, file in told.items()
            ]
        elif told is not None:
            listed = told if isinstance(told, list) else _written(told, where, "mask").split(";")
            texts = [_written(one, where, "mask").strip() for one in listed]
            pairs = [_at_frame(text, folder, where, start) for text in texts if text]
        else:
            continue
        for frame, file in pairs:
            if frame in masks:
                raise InputError(f"{where}: two masks for one frame. Write FILE@FRAME.")
            masks[frame] = _path(folder, file, where, "mask")
    return masks


def _at_frame(text: str, folder: Path, where: str, start: int) -> tuple[int, str]:
    """What ``FILE`` or ``FILE@FRAME`` means; a file that has all of the text as its name is one."""
    file, at, frame = text.rpartition("@")
    if not at or not frame.isdecimal() or os.path.exists(folder / text):
        return start, text
    if not file:
        raise InputError(f"{where}: mask {shown(repr(text), 40)} names no file. Write FILE@FRAME.")
    return _number(frame, where, "frame of a mask"), file


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
