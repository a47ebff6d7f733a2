"""Mutated masks, under limits of memory and time: how many are read, are refused in one line, or do worse.

    python benchmarks/fuzz_masks.py --count 10000 --seed 0

Whole masks are written in each format that is read: images of all depths, NPY, NPZ, COCO JSON, folders. Each case
damages one: bytes flipped, cut, doubled; what describes it changed, with checksums made right again; values and
structures that a mask does not have. It is given to ``rotoscope check`` and read as the mask of a video. Cases run in a
process with a limit of memory; a case that ends it is a crash. Exits with 1 if any case was neither read nor refused.
"""

from __future__ import annotations

import argparse
import copy
import io
import json
import random
import struct
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fuzzing import GOOD, NUMBERS, command, flipped, outcome, run_cases
from rotoscope.masks.coco import encode
from rotoscope.masks.palette import davis_palette
from rotoscope.runs.prompts import read_prompts
from rotoscope.video import open_video

WIDTH, HEIGHT = 64, 48
VIDEO = open_video(np.zeros((2, HEIGHT, WIDTH, 3), np.uint8))
VALUES: tuple[Any, ...] = (
    None, True, "", "x", "\x1b[31m", "x" * 100_000, [], [[]], {}, -1, 0.5, 1e308, float("nan"), float("inf"), 2**70,
    [0, 0], [10**6, 10**6], [None, None], [[0, 0, 1, 1]], [["a", "b"]], [[1e9] * 8], {"counts": "?", "size": [1, 1]},
    *NUMBERS,
)  # fmt: skip


def labels() -> NDArray[np.uint8]:
    """Three objects on a background."""
    array = np.zeros((HEIGHT, WIDTH), np.uint8)
    array[5:20, 5:20], array[25:45, 8:30], array[10:40, 40:60] = 1, 2, 7
    return array


def images(folder: Path) -> None:
    """Write a mask in every form that an image can have."""
    ids = labels()
    grey = Image.fromarray(ids)
    palette = grey.copy()
    palette.putpalette(davis_palette().ravel().tolist())
    white = Image.fromarray((ids == 2).astype(np.uint8) * 255)
    colours = palette.convert("RGB")
    soft = Image.fromarray((np.linspace(0, 1, WIDTH)[None] * (ids > 0) * 255).astype(np.uint8))
    clear = colours.copy()
    clear.putalpha(white)
    forms: dict[str, Image.Image] = {
        "palette.png": palette, "grey.png": grey, "deep.png": Image.fromarray(ids.astype(np.uint16) * 100),
        "white.png": white, "colours.png": colours, "soft.png": soft, "alpha.png": clear,
        "bits.png": white.convert("1"), "white.jpg": white, "colours.jpg": colours,
        "cmyk.jpg": colours.convert("CMYK"), "white.webp": white.convert("RGB"),
        "palette.tif": palette, "grey.tiff": grey, "palette.gif": palette, "palette.bmp": palette, "grey.pgm": grey,
        "real.tif": Image.fromarray((ids > 0).astype(np.float32)), "long.tif": Image.fromarray(ids.astype(np.int32)),
    }  # fmt: skip
    for name, image in forms.items():
        image.save(folder / name)
    palette.save(folder / "packed.tif", compression="tiff_lzw")
    white.save(folder / "pages.tif", save_all=True, append_images=[grey])
    white.save(folder / "animated.webp", save_all=True, append_images=[grey])


def arrays(folder: Path) -> None:
    """Write a mask in the forms that arrays have."""
    ids = labels()
    stack = np.stack([ids == i for i in (1, 2, 7)])
    np.save(folder / "labels.npy", ids)
    np.save(folder / "stack.npy", stack.astype(np.float32))
    np.save(folder / "wide.npy", np.asfortranarray(ids.astype(np.int64)))
    np.savez(folder / "stack.npz", masks=stack.astype(np.float16), ids=np.array([1, 2, 7]))
    np.savez_compressed(folder / "named.npz", mask_1=stack[0], mask_2=stack[1])


def coco(folder: Path) -> None:
    """Write a mask in the forms that COCO has."""
    ids = labels()
    image = {"id": 1, "file_name": "00000.png", "width": WIDTH, "height": HEIGHT}
    packed = [{"id": i, "image_id": 1, "category_id": i, "segmentation": encode(ids == i)} for i in (1, 2, 7)]
    runs = {"size": [HEIGHT, WIDTH], "counts": [100, 50, HEIGHT * WIDTH - 150]}
    polygons = {"image_id": 1, "segmentation": [[5, 5, 20, 5, 20, 20.5, 5, 20]], "bbox": [5, 5, 15, 15]}
    own = [{"id": i, "name": f"object {i}"} for i in (1, 2, 7)]
    forms: dict[str, Any] = {
        "packed.json": {"images": [image], "annotations": packed, "categories": own},
        "polygons.json": {"images": [image], "annotations": [polygons]},
        "list.json": [{"segmentation": runs, "id": 4}],
        "one.json": packed[0],
        "runs.json": runs,
    }
    for name, content in forms.items():
        (folder / name).write_text(json.dumps(content))


def chunks_changed(rng: random.Random, content: bytes) -> bytes:
    """A PNG of which one chunk says something else, with checksums that are right."""
    found, position = [], 8
    while position + 12 <= len(content):
        (size,) = struct.unpack(">I", content[position : position + 4])
        found.append((content[position + 4 : position + 8], content[position + 8 : position + 8 + size]))
        position += 12 + size
    at = rng.randrange(len(found))
    name, data = found[at]
    way = rng.randrange(5)
    if way == 0 and name == b"IDAT":
        data = zlib.compress(flipped(rng, zlib.decompress(data)))
    elif way == 1 and len(found[0][1]) == 13:
        side = rng.choice((0, 1, 9, 64, 13_000, 30_000, 2**24, 2**31 - 1))
        head = struct.pack(">II", side, rng.choice((side, 48)))
        at, name, data = (
            0,
            b"IHDR",
            head + bytes([rng.choice((1, 2, 4, 8, 16)), rng.choice((0, 2, 3, 4, 6))]) + bytes(3),
        )
    elif way == 2:
        found.insert(
            at, (rng.choice((b"tRNS", b"PLTE", b"eXIf", b"acTL", b"iCCP", b"zTXt", b"fcTL")), rng.randbytes(26))
        )
        at, name, data = at + 1, *found[at + 1]
    else:
        data = flipped(rng, data)
    found[at] = (name, data)
    if way == 3:
        del found[rng.randrange(len(found))]
    parts = (struct.pack(">I", len(d)) + n + d + struct.pack(">I", zlib.crc32(n + d)) for n, d in found)
    return content[:8] + b"".join(parts)


def reworded(rng: random.Random, content: bytes) -> bytes:
    """JSON of which some values are others, or gone."""
    data = json.loads(content)
    for _ in range(rng.choice((1, 1, 2, 4))):
        places: list[tuple[Any, Any]] = []

        def visit(node: Any, places: list[tuple[Any, Any]] = places) -> None:
            keys = node if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ()
            for key in keys:
                places.append((node, key))
                visit(node[key])

        try:
            visit(data)
        except RecursionError:  # put into itself too often
            break
        if not places:
            break
        parent, key = rng.choice(places)
        way = rng.random()
        if way < 0.15:
            del parent[key]
        elif way < 0.25:
            parent[key] = copy.deepcopy(data)
        elif way < 0.35 and isinstance(parent[key], str):
            parent[key] = flipped(rng, parent[key].encode()).decode("latin-1")
        elif way < 0.45 and isinstance(parent[key], list):
            parent[key] = parent[key] * rng.choice((2, 50, 2000))
        else:
            parent[key] = copy.deepcopy(rng.choice(VALUES))
    if rng.random() < 0.03:
        return rng.choice((b"[" * 100_000, b'{"a":' * 50_000, b'\xef\xbb\xbf{"annotations": [{}]}', b"\xff\xfe{"))
    return json.dumps(data).encode()


def array_changed(rng: random.Random, content: bytes) -> bytes:
    """An NPY file of another shape, type or order, or with odd values."""
    if rng.random() < 0.5:
        array = np.load(io.BytesIO(content))
        kind = rng.choice(("f2", "f4", "f8", "i1", "i8", "u2", "b1", "c8", "U3", "M8[s]", "V4"))
        with np.errstate(all="ignore"):
            changed = np.zeros(array.shape, kind) if kind in ("U3", "M8[s]", "V4") else array.astype(kind)
            if kind[0] == "f":
                changed.flat[rng.randrange(changed.size)] = rng.choice((np.nan, np.inf, -1, 2, 0.5, 1e30))
            elif kind[0] in "iu":
                changed.flat[rng.randrange(changed.size)] = rng.choice((0, 1, 100))
        shapes: tuple[tuple[int, ...], ...] = ((-1,), (-1, 1), (1, -1), (1, 1, 1, -1), array.shape[::-1])
        out = io.BytesIO()
        np.save(out, changed.reshape(rng.choice(shapes)) if rng.random() < 0.5 else changed)
        return out.getvalue()
    shape = rng.choice(("()", "(0,)", "(0, 5)", "(-1, 5)", "(10**6, 10**6)", "(1000000, 1000000)", "(48, 64, 1)",
                        "(9" + "9" * 30 + ", 1)", "(True, 5)", "('a',)", "(3072,)", "(2000, 20, 30)"))  # fmt: skip
    kind = rng.choice(("|u1", "<f4", "|O", "|b1", ">i8", "<U9999999", "", "|V0", "[('a', '<i4')]", "<f16"))
    text = f"{{'descr': '{kind}', 'fortran_order': {rng.choice(('True', 'False', '1'))}, 'shape': {shape}, }}"
    head = text.encode() + b" " * (64 - (len(text) + 11) % 64) + b"\n"
    return content[:8] + struct.pack("<H", len(head)) + head + content[128:]


def rezipped(rng: random.Random, content: bytes) -> bytes:
    """An NPZ file with a member that is another, doubled, or of another name."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = [(entry.filename, archive.read(entry)) for entry in archive.infolist()]
    at = rng.randrange(len(members))
    name, inside = members[at]
    way = rng.randrange(6)
    if way < 3:
        members[at] = (name, array_changed(rng, inside) if way else flipped(rng, inside))
    elif way == 3:
        names = ("ids.npy", "a.npy", "../../x.npy", "mask_0.npy", "mask_99999.npy", "x.pkl", " ", "\x1b[2J.npy")
        members[at] = (rng.choice(names), inside)
    elif way == 4:
        members += [(rng.choice((name, f"mask_{i}.npy")), inside) for i in range(rng.choice((1, 3, 300)))]
    else:
        members[at] = (name, np.lib.format.magic(1, 0) + bytes(rng.choice((0, 10, 2**26))))
    out = io.BytesIO()
    with zipfile.ZipFile(
        out, "w", rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2))
    ) as archive:
        for name, inside in members:
            archive.writestr(name, inside)
    return out.getvalue()


def redrawn(rng: random.Random, content: bytes, suffix: str) -> bytes:
    """An image of the same kind of file whose values are no mask's."""
    shape = rng.choice(((HEIGHT, WIDTH), (1, 1), (1, 500), (HEIGHT, WIDTH)))
    noise = np.random.default_rng(rng.randrange(2**32))
    made = rng.choice(
        (
            noise.integers(0, 256, (*shape, 3), np.uint8), noise.integers(0, 256, (*shape, 4), np.uint8),
            noise.integers(0, 256, shape, np.uint8), noise.integers(0, 65536, shape, np.uint16),
            np.zeros(shape, np.uint8), np.full(shape, 255, np.uint8), noise.integers(0, 2, shape, np.uint8),
            noise.normal(size=shape).astype(np.float32), np.full(shape, np.nan, np.float32),
            noise.integers(-5, 5, shape, np.int32),
        )
    )  # fmt: skip
    out = io.BytesIO()
    form = {".jpg": "JPEG", ".tif": "TIFF", ".pgm": "PPM"}.get(suffix, suffix[1:].upper())
    try:
        Image.fromarray(made).save(out, form)
    except (OSError, ValueError):  # a form that does not have such values
        return flipped(rng, content)
    return out.getvalue()


def damaged(rng: random.Random, name: str, content: bytes) -> bytes:
    """A file of which something is not as it should be."""
    suffix = Path(name).suffix
    ways: list[Callable[[], bytes]] = [lambda: flipped(rng, content), lambda: flipped(rng, content, 100)]
    if suffix == ".png":
        ways += [lambda: chunks_changed(rng, content)] * 3
    if suffix == ".json":
        ways = ways[:1] + [lambda: reworded(rng, content)] * 6
    elif suffix == ".npy":
        ways += [lambda: array_changed(rng, content)] * 3
    elif suffix == ".npz":
        ways += [lambda: rezipped(rng, content)] * 3
    else:
        ways += [lambda: redrawn(rng, content, ".tif" if suffix == ".tiff" else suffix)]
    return rng.choice(ways)()


def case_of(whole: dict[str, bytes], seed: int) -> Callable[[int, Path], tuple[str, str]]:
    """Cases by number."""
    names = sorted(whole)

    def case(number: int, folder: Path) -> tuple[str, str]:
        rng = random.Random(f"{seed}.{number}")
        name = rng.choice(names)
        path = folder / f"case{rng.choice((Path(name).suffix,) * 12 + ('.png', '.json', '.npz'))}"
        kind = path.suffix
        path.write_bytes(damaged(rng, name, whole[name]))
        if rng.random() < 0.08:
            path, kind = folder, "folder"
            stem = rng.choice(("object_{}", "{:05d}", "{}/00000"))
            for i in range(rng.choice((1, 2, 3, 8))):
                other = rng.choice(names)
                place = folder / (stem.format(i) + Path(other).suffix)
                place.parent.mkdir(exist_ok=True)
                place.write_bytes(whole[other] if rng.random() < 0.5 else damaged(rng, other, whole[other]))
        told = command("check", str(path))
        if told not in GOOD:
            return kind, told
        asked = outcome(lambda: read_prompts({0: str(path)}, VIDEO, number % 3 > 0))
        return kind, told if asked in GOOD else asked

    return case


def main() -> int:
    """Run, and print the counts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for write in (images, arrays, coco):
            write(Path(folder))
        whole = {path.name: path.read_bytes() for path in Path(folder).iterdir()}
        for name in sorted(whole):
            told = command("check", str(Path(folder) / name))
            if told not in ("read", "refused" if name == "animated.webp" else "read"):
                print(f"{name}, which is whole: {told}")
    return run_cases(case_of(whole, given.seed), given.count, given.first).say()


if __name__ == "__main__":
    sys.exit(main())
