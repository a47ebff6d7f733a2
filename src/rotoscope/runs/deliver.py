"""Videos made at the end of a run: of the mattes that it kept for other programs, and the overlay of its masks."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rotoscope.errors import InputError
from rotoscope.files import inside
from rotoscope.masks.drawing import overlay
from rotoscope.masks.mattes import TOGETHER, Delivery, MatteStore, comment, edges, names_of
from rotoscope.masks.writing import VIDEOS
from rotoscope.video import Video, VideoWriter
from rotoscope.video.codings import CODINGS, WITH_ALPHA, check_coding
from rotoscope.video.encoder import Encoder
from rotoscope.video.files import VideoFile
from rotoscope.video.looks import grey, over_blur, over_green, rgba, with_alpha
from rotoscope.video.nature import Nature, nature_of
from rotoscope.video.pictures import Picture, pictures
from rotoscope.video.sound import fitting


def check_videos(video: Video, formats: Collection[str], folder: Path) -> None:
    """See, before anything is touched, that videos of some formats can be made of a source.

    Raises:
        InputError: an encoder is missing or takes no such pictures; the source cannot be read twice, or is one of the
            files to be written.
    """
    for name in (name for name in VIDEOS if name in formats):
        if not video.indexable:
            raise InputError(f"{video.name}: format {name} reads the source twice. Save it as a file first.")
        check_coding(name, video.size)
        own = folder.resolve() / f"{name}.{CODINGS[name].suffix}"
        if isinstance(video, VideoFile) and video.path.resolve() == own:
            raise InputError(f"{video.path}: would be written over by format {name}. Choose another folder.")


def losses(video: Video, formats: Collection[str]) -> list[str]:
    """What of a source its videos cannot keep, known before they are made; one line each."""
    names = [name for name in VIDEOS if name in formats]
    if not names or not isinstance(video, VideoFile):
        return []
    lines, nature = [], nature_of(video)
    by_container: dict[str, list[str]] = {}
    for name in names:
        by_container.setdefault(CODINGS[name].container, []).append(name)
    for container, those in by_container.items():
        _, left_out = fitting(video.path, container)
        if left_out:
            what = ", ".join(left_out)
            lines.append(
                f"{', '.join(those)}: the sound ({what}) is left out, as the file ({container}) cannot hold it"
            )
    shallow = [name for name in names if CODINGS[name].bits <= 8] if nature.deep else []
    if shallow:
        lines.append(f"{', '.join(shallow)}: written with 8 bits a colour, of a source that has more")
    narrowed = [name for name in names if not CODINGS[name].ranged and name != "matte"] if nature.colours.full else []
    if narrowed:
        lines.append(f"{', '.join(narrowed)}: full range is brought to video range, the only one that ProRes has")
    return lines


def deliver(
    video: Video,
    store: MatteStore,
    formats: Sequence[str],
    folder: Path,
    on_frame: Callable[[], None] | None = None,
    done: Callable[[str], None] | None = None,
    made: Collection[str] = (),
) -> list[str]:
    """Make all videos of some formats in one pass over the source.

    Args:
        video: the source, whose part that is read is shown.
        store: the mattes; frames without one show no object.
        formats: names; those that are no videos are passed over.
        folder: where the videos are put; they are called ``FORMAT.SUFFIX``, of single objects ``FORMAT-ID.SUFFIX``.
        on_frame: called with each frame.
        done: called with the name of each file, when it is whole.
        made: names of files that are whole already, and are left as they are.

    Returns: notes for a person, one line each.

    Raises:
        RotoscopeError: a file cannot be written; those that are whole stay.
    """
    ids = store.ids()
    names = {kind: names_of(kind, CODINGS[kind].suffix, ids) for kind in VIDEOS if kind in formats}
    wanted = [(kind, i, name) for kind, by_id in names.items() for i, name in by_id.items() if name not in made]
    if not wanted:
        return (
            [f"{', '.join(names)}: no object was found, so that there is no video of one"] if names and not ids else []
        )
    nature = nature_of(video)
    with _all_or_none() as shows:
        shows += (_Show(kind, i, inside(folder, name), video, nature, store.delivery) for kind, i, name in wanted)
        for picture in pictures(video):
            if on_frame is not None:
                on_frame()
            mattes = _alphas(picture, store, video.size)
            for show in shows:
                show.write(picture, mattes.get(show.shown))
        for show in shows:
            show.encoder.close()
            if done is not None:
                done(show.encoder.path.name)
    return [note for show in shows for note in show.encoder.notes]


def _alphas(picture: Picture, store: MatteStore, size: tuple[int, int]) -> dict[int, NDArray[np.float32]]:
    """A frame's mattes, with edges as they are asked for."""
    mattes = store.read(picture.index)
    image = picture.rgb() if store.delivery.refine and mattes else None
    return {i: edges(matte, image, store.delivery) for i, matte in mattes.items()}


class _Show:
    """One video: a format, and which objects are in it."""

    def __init__(self, kind: str, shown: int, path: Path, video: Video, nature: Nature, delivery: Delivery) -> None:
        self.kind = kind
        self.shown = shown
        self.premultiplied = delivery.alpha == "premultiplied"
        self._nothing = np.zeros(video.size[::-1], np.float32)
        told = comment(delivery, shown) if kind in WITH_ALPHA else comment(delivery, shown).split(";")[0]
        self.encoder = Encoder(path, CODINGS[kind], video, nature, told)

    def write(self, picture: Picture, matte: NDArray[np.float32] | None) -> None:
        """Append a frame; one without a matte shows no object."""
        self.encoder.write(picture, self._values(picture, self._nothing if matte is None else matte))

    def _values(self, picture: Picture, alpha: NDArray[np.float32]) -> NDArray[Any]:
        encoder, full = self.encoder, self.encoder.full
        if self.kind == "matte":
            return grey(alpha, full)
        if self.kind == "ffv1":
            image = picture.deep_rgb() if encoder.pixels == encoder.coding.deep else picture.rgb()
            return rgba(image, alpha, self.premultiplied)
        planes = picture.planes(full)
        if self.kind == "greenscreen":
            return over_green(planes, alpha, encoder.nature.colours, full)
        if self.kind == "blur":
            return over_blur(planes, alpha)
        return with_alpha(planes, alpha, full, self.premultiplied, hide=self.kind == "webm")


@contextmanager
def _all_or_none() -> Iterator[list[_Show]]:
    """A list to put videos in; if anything goes wrong, those that are not whole are given up."""
    shows: list[_Show] = []
    try:
        yield shows
    except BaseException:
        for show in shows:
            show.encoder.discard()
        raise


def video_files(folder: Path, kinds: Collection[str]) -> list[Path]:
    """The files that videos of some formats have in a folder, where they are there."""
    files = []
    for kind in (kind for kind in VIDEOS if kind in kinds):
        name = names_of(kind, CODINGS[kind].suffix, [TOGETHER])[TOGETHER]
        stem, suffix = name.rsplit(".", 1)
        single = [p.name for p in folder.glob(f"{stem}-*.{suffix}") if p.stem.removeprefix(f"{stem}-").isdecimal()]
        files += [inside(folder, one) for one in [name, *sorted(single)]]
    return [path for path in files if path.exists()]


def write_overlay(
    video: Video,
    folder: Path,
    path: Path,
    on_frame: Callable[[], None] | None = None,
    colours: Mapping[int, tuple[int, int, int]] | None = None,
) -> None:
    """Make a video of the frames with their palette masks laid over them.

    Args:
        video: the frames; frames without a mask are shown as they are.
        folder: palette masks, named as the frames.
        path: of the MP4 file.
        on_frame: called with each frame.
        colours: of objects; see :func:`~rotoscope.masks.drawing.overlay`.

    Raises:
        RotoscopeError: it cannot be written.
    """
    with VideoWriter(path, video.fps or 24.0, video.size, aspect=video.aspect) as writer:
        for frame in video.frames():
            if on_frame is not None:
                on_frame()
            mask = inside(folder, f"{frame.name}.png")
            if not mask.exists():
                writer.write(frame.image, frame.time)
                continue
            with Image.open(mask) as opened:
                writer.write(overlay(frame.image, np.array(opened), colours=colours), frame.time)
