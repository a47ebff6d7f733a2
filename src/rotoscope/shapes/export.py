"""Write the outlines of a clip's masks as files of other programs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from rotoscope.errors import InputError, suggestion
from rotoscope.files import atomic_write, check_folder, inside, is_plain_name, make_folder
from rotoscope.shapes.annotators import Files, cvat, label_studio, labelme, yolo, ytvis
from rotoscope.shapes.editors import blender, svg
from rotoscope.shapes.outlined import OutlinedClip, outlined
from rotoscope.shapes.source import open_masks

FORMATS: dict[str, Callable[[OutlinedClip, int], Files]] = {
    "cvat": cvat,
    "ytvis": ytvis,
    "labelme": labelme,
    "label-studio": label_studio,
    "yolo": yolo,
    "svg": svg,
    "blender": blender,
}
"""Writers by name: each takes a clip and of how many frames one is written, and gives files."""


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        folder: where.
        files: how many.
        frames: of the clip.
        objects: what each object is called, by id.
        corners: of all outlines together.
    """

    folder: Path
    files: int
    frames: int
    objects: Mapping[int, str]
    corners: int


def export_shapes(
    source: str | Path,
    output: str | Path,
    format: str,
    *,
    tolerance: float = 1.0,
    every: int = 1,
    names: Mapping[int, str] | None = None,
    suffix: str = ".png",
    overwrite: bool = False,
) -> Exported:
    """Write the outlines of a finished run, or of any masks of several frames.

    Args:
        source: a folder that ``rotoscope segment`` has filled, a folder of masks, or a COCO file.
        output: a folder; files of the same names in it are only replaced with ``overwrite``.
        format: a name of :data:`FORMATS`.
        tolerance: how far a line may be from a mask's edge, in pixels; 0 is exact.
        every: one frame in so many is written; CVAT has the frames between drawn by its own interpolation.
        names: what objects are called, by id; others are called ``object ID``.
        suffix: of the frames' image files, which some formats name.
        overwrite: replace files of the same names.

    Raises:
        InputError: anything of the above that is not possible; nothing was written then.
    """
    if format not in FORMATS:
        raise InputError(
            f"format {format!r} is not known{suggestion(format, FORMATS)}; there are {', '.join(FORMATS)}."
        )
    if not 0 <= tolerance <= 100:
        raise InputError(f"tolerance {tolerance:g} is not possible. Give pixels from 0 to 100.")
    if every < 1:
        raise InputError(f"one frame in {every} is not possible. Give a whole number of at least 1.")
    if not suffix.startswith(".") or not is_plain_name(suffix[1:]):
        raise InputError(f"suffix {suffix!r} is not possible. Give one such as .jpg.")
    empty = next((called for called in (names or {}).values() if not called.strip() or not called.isprintable()), None)
    if empty is not None:
        raise InputError(f"{empty!r} is no name for an object. Give one that can be printed.")
    source, output = Path(source), Path(output)
    check_folder(output)
    masks = open_masks(source)
    clip = outlined(masks.masks(), masks.name, tolerance, names or {}, rate=Fraction(25), suffix=suffix)
    files = dict(FORMATS[format](clip, every))
    for name in files:
        if inside(output, *name.split("/")).exists() and not overwrite:
            raise InputError(f"{output / name}: is there already. Choose another folder, or pass --overwrite.")
    for name, data in files.items():
        place = inside(output, *name.split("/"))
        make_folder(place.parent)
        with atomic_write(place) as temporary:
            temporary.write_bytes(data)
    corners = sum(len(r) for f in clip.frames for shown in f.objects.values() for p in shown for r in p.rings)
    return Exported(output, len(files), len(clip.frames), clip.names, corners)
