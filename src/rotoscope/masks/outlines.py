"""Outlines that other tools' files hold: CVAT, LabelMe, VIA, Label Studio and YOLO, by file or by folder."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from rotoscope.errors import InputError, shown
from rotoscope.limits import check_limit
from rotoscope.masks.cvat import sheets_of_cvat
from rotoscope.masks.foreign import foreign_text
from rotoscope.masks.labelled import sheets_of_json, sheets_of_yolo
from rotoscope.masks.sheets import Sheet

CVAT, YOLO = "a file of CVAT", "a label file of YOLO"
KNOWN = {CVAT: "CVAT XML", YOLO: "YOLO labels"}


def read_json(path: Path) -> Any:
    """What a JSON file holds; a byte order mark before it is passed over.

    Raises:
        InputError: it is no JSON, too large, or too deep.
    """
    try:
        check_limit("json", path.stat().st_size, path)
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, OSError, RecursionError) as error:
        raise InputError(f"{path}: not JSON ({shown(error)}).") from None


def outlines_of(path: Path) -> tuple[list[Sheet], str] | None:
    """The outlines of an annotation tool's file, or of a folder of such files, and what it is; None if it is none.

    Raises:
        InputError: it is one, and cannot be read, or it holds nothing.
    """
    read = _of_folder(path) if path.is_dir() else _of_file(path)
    if read is not None and not any(sheet.shapes for sheet in read[0]):
        out = sorted({kind for sheet in read[0] for kind in sheet.left_out})
        told = f"; {', '.join(out)} are no areas" if out else ""
        raise InputError(f"{path}: {read[1]} without an outline{told}. Draw a polygon around each object.")
    return read


def _of_file(path: Path) -> tuple[list[Sheet], str] | None:
    if not path.is_file():
        return None  # a pipe would wait for what never comes
    if path.suffix.lower() == ".json":
        data = read_json(path)
        sheets = sheets_of_json(data, path)
        return None if sheets is None else (sheets, _kind(data))
    kind = foreign_text(path)
    if kind == CVAT:
        return sheets_of_cvat(path), KNOWN[kind]
    return (sheets_of_yolo(path), KNOWN[kind]) if kind == YOLO else None


def _of_folder(folder: Path) -> tuple[list[Sheet], str] | None:
    """A folder of files of one tool, one a frame; other files beside them, such as the pictures, do not count."""
    files = sorted(p for p in folder.iterdir() if p.is_file() and not p.name.startswith("."))
    for suffix in (".json", ".txt"):
        chosen = [p for p in files if p.suffix.lower() == suffix and p.name not in ("classes.txt", "run.json")]
        if chosen and (suffix == ".txt" or not any(p.suffix.lower() == ".npz" for p in files)):
            opened = [_of_file(p) for p in chosen]
            if all(one is not None for one in opened):
                read = [one for one in opened if one is not None]
                return [sheet for sheets, _ in read for sheet in sheets], f"{read[0][1]} of {len(read)} files"
    return None


def _kind(data: Any) -> str:
    if isinstance(data, list):
        return "Label Studio JSON"
    return "LabelMe JSON" if "shapes" in data else "VIA JSON"


def number_of(sheet: Sheet) -> int | None:
    """The number of a frame that CVAT names as it does by itself, ``frame_000012``, or that has a number."""
    if sheet.number is not None:
        return sheet.number
    match = re.fullmatch(r"frame_(\d{6,8})", sheet.name)
    return int(match[1]) if match else None
