"""What of a file system is a video of a batch, and where its masks lie."""

from __future__ import annotations

import glob
import os
from collections.abc import Collection, Iterator
from pathlib import Path

from rotoscope.batches.places import OWN
from rotoscope.errors import InputError
from rotoscope.runs.earlier import REPORT
from rotoscope.video.images import SUFFIXES as IMAGES

# fmt: off
VIDEOS = frozenset((
    ".264", ".265", ".3g2", ".3gp", ".amv", ".apng", ".asf", ".avi", ".divx", ".dv", ".f4v", ".flv", ".gif", ".h264",
    ".h265", ".hevc", ".ivf", ".m2t", ".m2ts", ".m2v", ".m4v", ".mj2", ".mjpeg", ".mjpg", ".mkv", ".mov", ".mp4",
    ".mpe", ".mpeg", ".mpg", ".mts", ".mxf", ".nut", ".obu", ".ogm", ".ogv", ".qt", ".rm", ".rmvb", ".ts", ".vob",
    ".webm", ".wmv", ".wtv", ".y4m",
))
# fmt: on
"""Files of a folder that are taken for videos; what is named itself may end otherwise. Not the endings of pictures,
some of which move (``.webp``): in a folder they are frames, masks or covers."""
MASKS = (".png", ".npz", ".npy", ".json", ".xml", ".tif", ".tiff", ".bmp", ".gif")
"""Files that may hold a video's masks, in the order in which they are looked for."""
# fmt: off
COMPANIONS = frozenset((
    ".aac", ".ass", ".db", ".doc", ".docx", ".flac", ".htm", ".html", ".ini", ".log", ".m4a", ".md", ".mp3", ".nfo",
    ".ogg", ".pdf", ".rtf", ".srt", ".ssa", ".sub", ".txt", ".url", ".vtt", ".wav", ".zip",
))
# fmt: on
"""Files that people keep beside videos: a shell that takes ``clips/*`` apart names them with the rest, and nobody means
them. One that is named alone is tried."""
NEVER_VIDEOS = (".npz", ".npy", ".json", ".xml")


def is_clip(folder: Path) -> bool:
    """Whether a folder holds the frames of one clip: images, and neither videos nor clips that the images mask.

    Raises:
        InputError: it may not be read.
    """
    inner = _inside(folder)
    images = {path.stem for path in inner if path.suffix.lower() in IMAGES and path.is_file()}
    if not images or any(path.suffix.lower() in VIDEOS and path.suffix.lower() not in IMAGES for path in inner):
        return False
    return not any(path.is_dir() and path.name in images for path in inner)


def videos_in(folder: Path, above: tuple[Path, ...] = ()) -> list[Path]:
    """Videos and folders of images below a folder; results of ours are none.

    Args:
        folder: the folder.
        above: where the folders on the way to it really are.

    Raises:
        InputError: a folder may not be read.
    """
    above = (*above, folder.resolve())
    videos = []
    for path in _inside(folder):
        if path.name.startswith("."):
            continue
        if path.is_dir():
            if not (_is_ours(path) or _leads_back(path, above)):
                videos += [path] if is_clip(path) else videos_in(path, above)
        elif path.suffix.lower() in VIDEOS:
            videos.append(path)
    return videos


def matching(pattern: str) -> list[Path]:
    """What of the files and folders that a glob matches is a video, or a folder with videos.

    Of files these are videos by their endings, or all where the pattern itself says how they end.

    Raises:
        InputError: nothing is.
    """
    ending, deep = Path(pattern).suffix, "**" in Path(pattern).parts
    ends = ending and not glob.has_magic(ending)
    found = [
        path
        for path in _matches(pattern)
        if (is_clip(path) or (not deep and videos_in(path)) if path.is_dir() else ends or path.suffix.lower() in VIDEOS)
    ]
    if not found:
        raise InputError(f"{pattern}: matches no video. Look at the pattern, or name the files themselves.")
    return found


def masks_beside(paths: Collection[Path]) -> set[Path]:
    """Which of the files and folders that were named are masks of others among them, or frames of these.

    A shell that has taken a glob apart gives clips, and masks beside them.
    """
    folders = {path for path in paths if path.is_dir()}
    ranks: dict[Path, int] = {}
    for path in paths:
        stem = stem_of(path, path in folders)
        ranks[stem] = max(_rank(path, path in folders), ranks.get(stem, -1))
    return {
        path
        for path in paths
        if (
            path.name.endswith("_masks") and path.with_name(path.name.removesuffix("_masks")) in ranks
            if path in folders
            else _rank(path) < ranks[stem_of(path)] or (path.suffix.lower() in IMAGES and path.parent in folders)
        )
    }


def stem_of(path: Path, is_folder: bool = False) -> Path:
    """A path as masks beside it have it, which is without the ending of a file."""
    return path if is_folder else path.with_suffix("")


def mask_of(stem: Path, video: Path, apart: bool) -> Path | None:
    """The file of a name with one of the endings of masks, or a folder of them: ``NAME_masks``, and ``NAME`` apart.

    Args:
        stem: where they would be, without an ending.
        video: whose masks they are; it is none itself, though it may end as they do (``.gif``).
        apart: whether masks are in a folder of their own.
    """
    for suffix in MASKS:
        file = stem.with_name(stem.name + suffix)
        if file != video and file.is_file():
            return file
    for folder in (stem.with_name(f"{stem.name}_masks"), *([stem] if apart else [])):
        if folder.is_dir():
            return folder
    return None


def is_batch(folder: Path) -> bool:
    """Whether a folder is one that a batch writes to."""
    return (folder / OWN).exists()


def _is_ours(folder: Path) -> bool:
    return is_batch(folder) or (folder / REPORT).exists()


def _rank(path: Path, is_folder: bool = False) -> int:
    """Of two files of one name the one with the lower rank holds masks of the other."""
    suffix = path.suffix.lower()
    if is_folder or suffix not in MASKS:
        return len(MASKS)
    return -1 if suffix in NEVER_VIDEOS else MASKS.index(suffix)


def _inside(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        raise InputError(f"{folder}: cannot be read ({error.strerror}). Change its rights, or name others.") from None


def _leads_back(path: Path, above: tuple[Path, ...]) -> bool:
    """Whether a folder is a link to one that it lies in, so that who follows it comes by here again."""
    if not path.is_symlink():
        return False
    target = path.resolve()
    return any(place.is_relative_to(target) for place in above)


def _matches(pattern: str) -> list[Path]:
    """What a glob matches; ``**`` follows links as :func:`videos_in` does, and so comes to an end."""
    parts = Path(pattern).parts
    if "**" not in parts:
        return sorted(map(Path, glob.glob(pattern)))
    at = parts.index("**")
    rest = parts[at + 1 :] or ("*",)
    found: set[Path] = set()
    for root in glob.glob(str(Path(*parts[:at]))):
        for folder in _folders(Path(root)):
            found.update(_matches(os.path.join(glob.escape(str(folder)), *rest)))
    return sorted(found)


def _folders(folder: Path, above: tuple[Path, ...] = ()) -> Iterator[Path]:
    """A folder and those below it, as ``**`` means them."""
    if not folder.is_dir():
        return
    yield folder
    above = (*above, folder.resolve())
    for path in _inside(folder):
        if path.is_dir() and not path.name.startswith(".") and not _is_ours(path) and not _leads_back(path, above):
            yield from _folders(path, above)
