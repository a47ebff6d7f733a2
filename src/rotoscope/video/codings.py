"""How videos beside masks are coded: encoder, pixels and container of each format, and whether they can be had here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import av
from av.error import FFmpegError

from rotoscope.errors import InputError
from rotoscope.video.writer import ENCODERS, QUALITY, h264_encoder


@dataclass(frozen=True)
class Coding:
    """One way to code a video.

    Attributes:
        encoders: names of FFmpeg's encoders, of which the first that is there is taken.
        pixels: format of the pixels.
        container: name of FFmpeg's muxer.
        suffix: of the file.
        options: of the encoder.
        even: sides must be even; one column or row is added at an odd one.
        deep: format of the pixels for sources of more than 8 bits, where it is another.
        ranged: whether full range can be said, so that a source's values stay as they are.
    """

    encoders: tuple[str, ...]
    pixels: str
    container: str
    suffix: str
    options: Mapping[str, str] = field(default_factory=dict)
    even: bool = False
    deep: str | None = None
    ranged: bool = True

    @property
    def encoder(self) -> str | None:
        """The encoder that is taken; None if this FFmpeg has none of them."""
        if self.encoders == ENCODERS:
            return h264_encoder()
        return next((name for name in self.encoders if name in av.codecs_available), None)

    @property
    def bits(self) -> int:
        """Bits a channel that are kept."""
        return max(component.bits for component in av.VideoFormat(self.deep or self.pixels).components)

    def coded_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """Width and height in the file."""
        return (size[0] + size[0] % 2, size[1] + size[1] % 2) if self.even else size


_H264 = Coding(ENCODERS, "yuv420p", "mp4", "mp4", {**QUALITY, "crf": "16", "preset": "medium"}, even=True)
CODINGS: dict[str, Coding] = {
    "prores": Coding(("prores_ks",), "yuva444p10le", "mov", "mov", {"profile": "4444", "vendor": "apl0"}, ranged=False),
    "webm": Coding(
        ("libvpx-vp9",), "yuva420p", "webm", "webm",
        {"crf": "18", "b": "0", "auto-alt-ref": "0", "deadline": "good", "cpu-used": "4", "row-mt": "1"},
    ),
    "ffv1": Coding(("ffv1",), "bgra", "matroska", "mkv", {"level": "3", "slicecrc": "1", "g": "1"}, deep="rgba64le"),
    "matte": Coding(("prores_ks",), "yuv422p10le", "mov", "mov", {"profile": "hq", "vendor": "apl0"}, ranged=False),
    "greenscreen": _H264,
    "blur": _H264,
}  # fmt: skip
"""By name of the format."""
WITH_ALPHA = ("prores", "webm", "ffv1")


def check_coding(name: str, size: tuple[int, int]) -> None:
    """See that a format can be written here, at a size: the encoder is opened.

    Raises:
        InputError: FFmpeg here lacks the encoder, or the encoder does not take pictures of this size.
    """
    coding = CODINGS[name]
    encoder = coding.encoder
    if encoder is None:
        raise InputError(
            f"format {name}: FFmpeg here has no encoder {' or '.join(coding.encoders)}. Choose another format, or "
            "install PyAV from its own wheel (pip install av), which has it."
        )
    context: Any = av.CodecContext.create(encoder, "w")
    context.width, context.height = coding.coded_size(size)
    context.pix_fmt, context.time_base, context.framerate = coding.pixels, Fraction(1, 25), Fraction(25)
    try:
        context.open()
    except (FFmpegError, ValueError):
        raise InputError(
            f"format {name}: pictures of {size[0]}x{size[1]} are more than its encoder {encoder} takes. Choose "
            "another format, such as png or ffv1, or make the video smaller."
        ) from None
