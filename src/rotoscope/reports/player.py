"""A player for a finished run, as a notebook shows it: one piece of HTML that needs no file and no server."""

from __future__ import annotations

import html
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rotoscope.errors import InputError, shown
from rotoscope.reports.pictures import small
from rotoscope.shapes.source import MaskSequence, open_masks
from rotoscope.video import open_video

SHOW = (
    "const p=this.closest('figure'),n=+p.querySelector('input').value,f=[...p.querySelectorAll('img')];"
    "f.forEach((e,i)=>e.style.display=i===n?'block':'none');p.querySelector('output').value=f[n].alt"
)
"""Shows the picture that the slider stands at."""
PLAY = (
    "const p=this.closest('figure'),s=p.querySelector('input');"
    "if(p.timer){clearInterval(p.timer);p.timer=0;this.textContent='Play'}"
    "else{this.textContent='Stop';p.timer=setInterval(()=>{s.value=(+s.value+1)%(+s.max+1);"
    "s.dispatchEvent(new Event('input'))},EVERY)}"
)
"""Goes on from picture to picture, over and over, or stops."""


class Player:
    """A run to look through: the last expression of a notebook's cell shows it, with a slider and a button that plays.

    The pictures are in the notebook itself, about 15 kB each, so they stay when the run's folder is gone.

    Args:
        folder: what ``rotoscope segment`` has filled, or any masks that ``rotoscope shapes`` reads.
        video: the clip, as :func:`rotoscope.open_video` takes it; without it masks are shown on black.
        frames: at most so many pictures, evenly spread over the run.
        width: of the pictures, in pixels.
        fps: pictures a second when it plays.

    Raises:
        InputError: there are no masks, the video lacks one of their frames, or a number is out of range.
    """

    def __init__(
        self, folder: str | Path, video: Any = None, *, frames: int = 100, width: int = 480, fps: float = 10.0
    ) -> None:
        if frames < 1 or width < 16 or not 0 < fps <= 100:
            raise InputError("a player has at least one frame, 16 pixels of width, and up to 100 frames a second.")
        found = open_masks(Path(folder))
        count = len(found.frames)
        chosen = sorted({round(float(place)) for place in np.linspace(0, count - 1, min(frames, count))})
        self.name = found.name
        self.every = round(1000 / fps)
        self._masks = MaskSequence(found.name, tuple(found.frames[number] for number in chosen))
        self._pictures = list(self._drawn(video, width))

    def __len__(self) -> int:
        return len(self._pictures)

    def _drawn(self, video: Any, width: int) -> Iterator[tuple[str, str]]:
        """Name and picture of each frame that is shown; the video is gone through once."""
        labels = {name: _labels(masks) for name, masks in self._masks.masks()}
        if video is None:
            for name, ids in labels.items():
                yield name, small(np.zeros((*ids.shape, 3), np.uint8), ids, width)
            return
        with open_video(video) as opened:
            wanted = {}
            for name in labels:
                number = opened.number_of(name)
                if number is None:
                    raise InputError(f"{opened.name}: has no frame {shown(name, 60)}, which there are masks of.")
                wanted[number] = name
            for frame in opened.frames(start=min(wanted), stop=max(wanted) + 1):
                if frame.index in wanted:
                    name = wanted.pop(frame.index)
                    yield name, small(frame.image, _sized(labels[name], frame.size), width)
        if wanted:
            raise InputError(f"{opened.name}: has no frame {min(wanted)}, which there are masks of.")

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        pictures = "".join(
            f'<img alt="{html.escape(name)}" src="{uri}" style="display:{"none" if number else "block"}">'
            for number, (name, uri) in enumerate(self._pictures)
        )
        first, last = html.escape(self._pictures[0][0]), len(self._pictures) - 1
        slider = f'<input type="range" min="0" max="{last}" value="0" style="width:60%" oninput="{SHOW}">'
        play = f'<button type="button" onclick="{PLAY.replace("EVERY", str(self.every))}">Play</button>'
        caption = f"<figcaption>{html.escape(self.name)}, frame <output>{first}</output></figcaption>"
        return f'<figure style="margin:0">{pictures}{play} {slider}{caption}</figure>'


def _labels(masks: dict[int, NDArray[np.bool_]]) -> NDArray[np.uint16]:
    """Masks of one frame as ids ``[H, W]``; one pixel of background where there is no mask."""
    shape = next((mask.shape for mask in masks.values()), (1, 1))
    labels = np.zeros(shape, np.uint16)
    for object_id, mask in masks.items():
        labels[mask] = object_id
    return labels


def _sized(labels: NDArray[np.uint16], size: tuple[int, int]) -> NDArray[np.uint16]:
    """Labels at a frame's size; those of a frame without masks have none of their own.

    Raises:
        InputError: the masks are of another clip.
    """
    if labels.shape == (1, 1):
        return np.zeros(size[::-1], np.uint16)
    if labels.shape != size[::-1]:
        raise InputError(
            f"masks are {labels.shape[1]}x{labels.shape[0]} but the video is {size[0]}x{size[1]}. Give its own video."
        )
    return labels
