"""What goes out for other programs is read back: alpha, colours, times, sound, tags."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from rotoscope.errors import InputError, WriteError
from rotoscope.masks.mattes import TOGETHER, Delivery, MatteStore, solid
from rotoscope.masks.writing import VIDEOS
from rotoscope.runs.deliver import check_videos, deliver, losses
from rotoscope.runs.job import Outputs
from rotoscope.video import Video, open_video
from rotoscope.video.codings import CODINGS
from rotoscope.video.encoder import Encoder
from rotoscope.video.looks import GREEN, as_stored
from rotoscope.video.matroska import display_size
from rotoscope.video.nature import Colours, _moved, nature_of
from rotoscope.video.pictures import arrays_of, pictures
from shots import HLG, SIZE, TICK, TIMES, item, shot

SHOWN = SIZE[::-1]
MILLISECOND = {"ffv1", "webm"}
"""Formats whose container counts times in milliseconds."""


def made(
    video: Video, folder: Path, formats: tuple[str, ...] = VIDEOS, delivery: Delivery | None = None, frames: int = 12
) -> Path:
    """The videos of a shot whose masks are a disc that moves."""
    store = MatteStore(folder / "mattes", delivery or Delivery())
    for index in range(video.start, frames if video.end is None else video.end):
        store.write(item(video.size, index), None)
    deliver(video, store, formats, folder)
    return folder


def file_of(folder: Path, kind: str) -> Path:
    return folder / f"{kind}.{CODINGS[kind].suffix}"


def read(path: Path) -> list[Any]:
    """The frames of a video; VP9's alpha is lost by FFmpeg's own decoder."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        if path.suffix != ".webm":
            return list(container.decode(stream))
        decoder = av.CodecContext.create("libvpx-vp9", "r")
        return [frame for packet in container.demux(stream) for frame in decoder.decode(packet)]  # type: ignore[arg-type]


def rgba(frame: Any) -> np.ndarray:
    """``[H, W, 4]`` in [0, 1], of RGB formats."""
    if frame.format.name == "bgra":
        return frame.to_ndarray(format="rgba") / 255.0
    green, blue, red, alpha = arrays_of(frame)
    return np.dstack([red, green, blue, alpha]) / 65535.0


def alpha_of(frame: Any) -> np.ndarray:
    """``[H, W]`` in [0, 1]."""
    if frame.format.name in ("bgra", "gbrap16le"):
        return rgba(frame)[..., 3]
    bits = frame.format.components[-1].bits
    if len(frame.planes) == 4:
        return arrays_of(frame)[3] / (2.0**bits - 1)
    return (arrays_of(frame)[0] - 64.0) / 876  # a matte


def ten_bits(frame: Any) -> np.ndarray:
    """Y, U and V at full size with 10 bits, by the frame's own matrix and range."""
    return np.stack(arrays_of(frame.reformat(format="yuv444p10le"))[:3]).astype(float)


def packets(path: Path, stream: str = "audio") -> list[tuple[Fraction, bytes]]:
    """Times in seconds and contents."""
    with av.open(str(path)) as container:
        chosen = getattr(container.streams, stream)[0]
        return [(p.pts * p.time_base, bytes(p)) for p in container.demux(chosen) if p.size]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shot(tmp_path_factory.mktemp("source") / "shot.mov")


@pytest.fixture(scope="module")
def straight(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    with open_video(source) as video:
        return made(video, tmp_path_factory.mktemp("straight"))


@pytest.fixture(scope="module")
def premultiplied(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    delivery = Delivery.of(alpha="premultiplied")
    with open_video(source) as video:
        return made(video, tmp_path_factory.mktemp("premultiplied"), ("prores", "webm", "ffv1"), delivery)


def wanted_alpha(index: int) -> np.ndarray:
    return solid(item(SHOWN, index).probabilities[1:].sum(dim=0).numpy())


@pytest.mark.parametrize(
    ("kind", "most", "mean"),
    [("prores", 1e-3, 4e-4), ("ffv1", 2e-4, 1e-4), ("matte", 0.02, 2e-3), ("webm", 0.08, 0.01)],
)
def test_alpha_comes_back(straight: Path, kind: str, most: float, mean: float) -> None:
    frames = read(file_of(straight, kind))
    assert len(frames) == len(TIMES)
    for index, frame in enumerate(frames):
        away = np.abs(alpha_of(frame) - wanted_alpha(index))
        assert away.max() < most
        assert away.mean() < mean


@pytest.mark.parametrize("kind", VIDEOS)
def test_times_are_those_of_the_source(straight: Path, kind: str) -> None:
    given = [time * TICK for time in TIMES]
    found = [time for time, _ in sorted(packets(file_of(straight, kind), "video"))]
    if kind in MILLISECOND:
        assert all(abs(a - b) <= Fraction(1, 2000) for a, b in zip(found, given, strict=True))
    else:
        assert found == given


@pytest.mark.parametrize("kind", [kind for kind in VIDEOS if kind != "webm"])
def test_sound_is_copied_packet_by_packet(source: Path, straight: Path, kind: str) -> None:
    given, found = packets(source), packets(file_of(straight, kind))
    if kind in MILLISECOND:
        assert given[0][0] < 0  # fills the decoder; in Matroska it would make all that follows late
        given = given[1:]
    assert [data for _, data in found] == [data for _, data in given]
    assert all(abs(a - b) <= Fraction(1, 1000) for (a, _), (b, _) in zip(found, given, strict=True))


def test_sound_that_cannot_be_kept_is_told_and_opus_is_kept_in_webm(source: Path, tmp_path: Path) -> None:
    with open_video(source) as video:
        assert any("webm: the sound (aac) is left out" in line for line in losses(video, VIDEOS))
        assert not any("sound" in line for line in losses(video, ["prores", "blur"]))
    opus = shot(tmp_path / "opus.mkv", form="matroska", sound="libopus", turn=0, aspect=None, size=(32, 24))
    with open_video(opus) as video:
        assert not any("sound" in line for line in losses(video, ["webm"]))
        assert any("prores: the sound (opus) is left out" in line for line in losses(video, ["webm", "prores"]))
        made(video, tmp_path, ("webm",))
    given, found = packets(opus), packets(tmp_path / "webm.webm")
    assert given == found
    assert len(found) > 10
    assert [t for t, _ in packets(opus, "video")] == [t for t, _ in packets(tmp_path / "webm.webm", "video")]


@pytest.mark.parametrize("kind", VIDEOS)
def test_tags_pixel_shape_and_timecode_are_those_of_the_source(straight: Path, kind: str) -> None:
    with av.open(str(file_of(straight, kind))) as container:
        stream = container.streams.video[0]
        frame, context = next(container.decode(stream)), stream.codec_context
        told = (context.colorspace, context.color_range, context.color_primaries, context.color_trc)
        assert tuple(map(int, told)) == ((0, 2, *HLG[2:]) if kind == "ffv1" else HLG)
        shape = stream.sample_aspect_ratio
        assert shape is not None
        assert abs(shape - Fraction(3, 4)) < Fraction(kind in MILLISECOND, 100) + Fraction(1, 10**9)  # 4/3 is turned
        even = CODINGS[kind].even
        assert (frame.width, frame.height) == ((SHOWN[0] + 1, SHOWN[1] + 1) if even else SHOWN)
        assert frame.rotation == 0
        notes = {k.lower(): v for s in container.streams for k, v in s.metadata.items()}
        assert notes["timecode"] == "01:02:03:04"
        assert notes.get("alpha_mode") == ("1" if kind == "webm" else None)
        comment = {k.lower(): v for k, v in container.metadata.items()}["comment"]
        assert ("alpha is straight" in comment) == (kind in ("prores", "webm", "ffv1"))


def test_straight_colours_are_the_sources_own_with_10_bits(source: Path, straight: Path) -> None:
    with open_video(source) as video:
        for picture, prores, ffv1 in zip(
            pictures(video), read(straight / "prores.mov"), read(straight / "ffv1.mkv"), strict=True
        ):
            assert np.abs(ten_bits(prores) - picture.planes(False)).mean() < 2.5  # of 1023
            assert np.array_equal(rgba(ffv1)[..., :3] * 65535, picture.deep_rgb())


def test_premultiplied_colours_are_black_where_alpha_is_none(straight: Path, premultiplied: Path) -> None:
    for one, other in zip(read(straight / "ffv1.mkv"), read(premultiplied / "ffv1.mkv"), strict=True):
        a, b = rgba(one), rgba(other)
        assert np.abs(a[..., :3] * a[..., 3:] - b[..., :3]).max() < 1e-4
        assert np.array_equal(a[..., 3], b[..., 3])
    for kind, far in (("prores", 6), ("webm", 24)):
        for one, other in zip(read(file_of(straight, kind)), read(file_of(premultiplied, kind)), strict=True):
            alpha = alpha_of(one)
            black = np.array([64, 512, 512])[:, None, None]
            given = black + (ten_bits(one) - black) * alpha
            assert np.abs(given - ten_bits(other)).mean() < far


def test_webm_does_not_hold_what_is_far_outside(straight: Path) -> None:
    frame = read(straight / "webm.webm")[0]
    far = cv2.dilate(wanted_alpha(0), np.ones((33, 33))) < 1e-3
    assert far.sum() > 200
    luma = ten_bits(frame)[0]
    assert luma[far].max() < 80
    assert luma[alpha_of(frame) > 0.9].min() > 200


def test_objects_stand_over_green(source: Path, straight: Path) -> None:
    green = as_stored(GREEN, Colours(*(HLG[0], False, *HLG[2:])), False)
    with open_video(source) as video:
        for index, (picture, frame) in enumerate(zip(pictures(video), read(straight / "greenscreen.mp4"), strict=True)):
            alpha, planes = wanted_alpha(index), ten_bits(frame)[:, : SHOWN[1], : SHOWN[0]]
            for plane, value in zip(planes, green, strict=True):
                assert abs(np.median(plane[alpha < 1e-3]) - value) < 8
            inside = cv2.erode((alpha > 0.99).astype(np.uint8), np.ones((3, 3))) > 0
            assert np.abs(planes[0] - picture.planes(False)[0])[inside].mean() < 12


def test_only_the_background_is_blurred(source: Path, straight: Path) -> None:
    with open_video(source) as video:
        for index, (picture, frame) in enumerate(zip(pictures(video), read(straight / "blur.mp4"), strict=True)):
            alpha, luma = wanted_alpha(index), ten_bits(frame)[0, : SHOWN[1], : SHOWN[0]]
            own = picture.planes(False)[0].astype(float)
            rough = [np.abs(np.diff(values, axis=1))[alpha[:, 1:] < 1e-3].mean() for values in (luma, own)]
            assert rough[0] < 0.7 * rough[1]
            assert np.abs(luma - own)[alpha > 0.99].mean() < 12


def test_a_part_begins_at_0_with_its_own_sound_and_timecode(source: Path, tmp_path: Path) -> None:
    with open_video(source, start=4, end=9) as video:
        made(video, tmp_path, ("prores", "ffv1", "blur"))
    begins, ends = TIMES[4] * TICK, TIMES[9] * TICK
    for kind in ("prores", "ffv1", "blur"):
        path = file_of(tmp_path, kind)
        times = [time for time, _ in sorted(packets(path, "video"))]
        given = [(time - TIMES[4]) * TICK for time in TIMES[4:9]]
        assert all(abs(a - b) <= Fraction(kind in MILLISECOND, 2000) for a, b in zip(times, given, strict=True))
        wanted = [(time - begins, data) for time, data in packets(source) if begins <= time < ends]
        found = packets(path)
        assert [data for _, data in found] == [data for _, data in wanted]
        assert all(abs(a - b) < Fraction(1, 900) for (a, _), (b, _) in zip(found, wanted, strict=True))
        with av.open(str(path)) as container:
            codes = [v for s in container.streams for k, v in s.metadata.items() if k.lower() == "timecode"]
        assert set(codes) == {"01:02:03:08"}


def test_a_file_that_begins_late_begins_at_0(tmp_path: Path) -> None:
    late = shot(tmp_path / "late.ts", form="mpegts", pixels="yuv420p", timecode=None, turn=0, size=(32, 24), late=30720)
    with open_video(late) as video:
        first = next(iter(video)).time
        made(video, tmp_path, ("prores",))
    heard, seen = packets(tmp_path / "prores.mov"), packets(tmp_path / "prores.mov", "video")
    given = packets(late)
    assert first is not None
    assert first > 2
    assert len(heard) == len(given)
    apart = (Fraction(first) - given[0][0], seen[0][0] - heard[0][0])
    assert abs(apart[0] - apart[1]) < Fraction(1, 10000)
    assert min(heard[0][0], seen[0][0]) < Fraction(1, 20)


@pytest.mark.parametrize(
    ("code", "frames", "rate", "later"),
    [
        ("01:00:00:00", 25, Fraction(25), "01:00:01:00"),
        ("23:59:59:24", 1, Fraction(25), "00:00:00:00"),
        ("00:00:59;29", 1, Fraction(30000, 1001), "00:01:00;02"),
        ("00:09:59;29", 1, Fraction(30000, 1001), "00:10:00;00"),
        ("00:00:00;00", 17982, Fraction(30000, 1001), "00:10:00;00"),
        ("00:00:00;00", 107892, Fraction(30000, 1001), "01:00:00;00"),
        ("00:00:59;59", 1, Fraction(60000, 1001), "00:01:00;04"),
        ("00:00:59:29", 1, Fraction(30000, 1001), "00:01:00:00"),
    ],
)
def test_timecodes_move_on(code: str, frames: int, rate: Fraction, later: str) -> None:
    assert _moved(code, frames, rate) == later


def test_full_range_stays_where_a_file_can_say_it(tmp_path: Path) -> None:
    path = shot(
        tmp_path / "full.mp4", form="mp4", pixels="yuv420p", colours=(1, 2, 1, 1), turn=0, sound=None, timecode=None,
        aspect=None, size=(32, 24),
    )  # fmt: skip
    with open_video(path) as video:
        assert any("prores: full range" in line for line in losses(video, VIDEOS))
        made(video, tmp_path, ("prores", "webm", "greenscreen"), Delivery.of())
        for kind, full in (("prores", 1), ("webm", 2), ("greenscreen", 2)):
            frame = read(file_of(tmp_path, kind))[2]
            assert int(frame.color_range) == full
            own = list(pictures(video))[2].planes(full == 2)
            inside = item(video.size, 2).probabilities[0].numpy() < 0.01
            assert np.abs(ten_bits(frame)[0] - own[0])[inside].mean() < 16


def test_sources_that_are_arrays_or_images_have_times_by_their_rate(tmp_path: Path) -> None:
    clip = np.random.default_rng(0).integers(0, 255, (4, 21, 31, 3), dtype=np.uint8)
    with open_video(clip) as video:
        made(video, tmp_path, ("ffv1", "prores"), frames=4)
    frames = read(tmp_path / "ffv1.mkv")
    assert frames[0].format.name == "bgra"
    assert all(
        np.array_equal(frame.to_ndarray(format="rgba")[..., :3], image)
        for frame, image in zip(frames, clip, strict=True)
    )
    assert [t for t, _ in packets(tmp_path / "prores.mov", "video")] == [Fraction(n, 24) for n in range(4)]


def test_each_object_has_files_of_its_own_and_ids_are_shown_together(source: Path, tmp_path: Path) -> None:
    with open_video(source) as video:
        made(video, tmp_path / "each", ("matte",), Delivery.of("each"))
        made(video, tmp_path / "one", ("matte",), Delivery.of("7"))
    assert {p.name for p in (tmp_path / "each").glob("*.mov")} == {"matte-3.mov", "matte-7.mov"}
    soft = solid(item(SHOWN, 5).probabilities.numpy())
    for path, channel in (("each/matte-3.mov", 1), ("each/matte-7.mov", 2), ("one/matte.mov", 2)):
        assert np.abs(alpha_of(read(tmp_path / path)[5]) - soft[channel]).mean() < 2e-3


def test_frames_without_an_answer_show_nothing(source: Path, tmp_path: Path) -> None:
    with open_video(source) as video:
        made(video, tmp_path, ("prores",), frames=5)
    alphas = [alpha_of(frame).max() for frame in read(tmp_path / "prores.mov")]
    assert len(alphas) == 12
    assert min(alphas[:5]) > 0.9
    assert max(alphas[5:]) == 0


def test_mattes_are_kept_to_a_4095th(tmp_path: Path) -> None:
    store = MatteStore(tmp_path, Delivery.of("each"))
    given = item(SHOWN, 2)
    store.write(given, None)
    kept = store.read(2)
    assert sorted(kept) == [3, 7] == store.ids()
    soft = solid(given.probabilities[1:].numpy())
    assert max(np.abs(kept[i] - soft[n]).max() for n, i in enumerate((3, 7))) <= 0.5 / 4095 + 1e-6
    assert store.read(9) == {}
    (tmp_path / "00000002.npz").write_bytes(b"PK nothing")
    with pytest.raises(WriteError, match="damaged"):
        store.read(2)


def test_what_cannot_be_written_is_said_before_anything_is_touched(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    with open_video(np.zeros((1, 16, 70000, 3), np.uint8)) as wide:
        with pytest.raises(InputError, match="format webm: pictures of 70000x16 are more"):
            Outputs.of(out, "webm").check(wide)
        with pytest.raises(InputError, match="format blur: pictures of 70000x16 are more"):
            Outputs.of(out, "blur").check(wide)
    with (
        open_video(iter(np.zeros((2, 16, 16, 3), np.uint8))) as stream,
        pytest.raises(InputError, match="reads the source twice"),
    ):
        check_videos(stream, ["prores"], out)
    monkeypatch.setattr("av.codecs_available", set())
    with open_video(source) as video:
        for kind in VIDEOS:
            with pytest.raises(InputError, match=r"FFmpeg here has no .*encoder") as told:
                Outputs.of(out, kind).check(video)
            assert "\n" not in str(told.value)
    with pytest.raises(InputError, match="--alpha has no effect on palette"):
        Outputs.of(out, "palette").check_used({"--alpha": "straight"})
    for wrong in ({"objects": "x"}, {"objects": "0"}, {"objects": [True]}, {"alpha": "lovely"}, {"refine": 3}):
        with pytest.raises(InputError):
            Delivery.of(**wrong)
    assert not out.exists()


def test_a_source_is_not_written_over(tmp_path: Path) -> None:
    path = shot(tmp_path / "prores.mov", turn=0, size=(32, 24))
    with open_video(path) as video, pytest.raises(InputError, match="would be written over"):
        check_videos(video, ["prores"], tmp_path)


def test_a_file_that_cannot_be_finished_leaves_nothing(source: Path, tmp_path: Path) -> None:
    with open_video(source) as video:
        store = MatteStore(tmp_path / "mattes", Delivery())
        count = iter(range(12))

        def fail() -> None:
            if next(count) == 6:
                raise RuntimeError("no more")

        with pytest.raises(RuntimeError):
            deliver(video, store, VIDEOS, tmp_path, fail)
        assert [p.name for p in tmp_path.iterdir()] == ["mattes"]


def test_videos_that_are_whole_are_not_made_again(source: Path, tmp_path: Path) -> None:
    told: list[str] = []
    with open_video(source) as video:
        store = MatteStore(tmp_path / "mattes", Delivery())
        deliver(video, store, ("prores", "matte"), tmp_path, None, told.append, made=("prores.mov",))
    assert told == ["matte.mov"]
    assert not (tmp_path / "prores.mov").exists()


def test_the_same_masks_give_the_same_file(source: Path, straight: Path, tmp_path: Path) -> None:
    with open_video(source) as video:
        made(video, tmp_path, ("prores", "ffv1", "webm", "matte"))
    for kind in ("prores", "ffv1", "webm", "matte"):
        assert file_of(tmp_path, kind).read_bytes() == file_of(straight, kind).read_bytes()


def test_pixel_shapes_that_have_no_near_whole_size_are_rounded(source: Path, tmp_path: Path) -> None:
    with open_video(source) as video:
        video.aspect = Fraction(10007, 10009)
        nature = nature_of(video)
        encoder = Encoder(tmp_path / "a.mkv", CODINGS["ffv1"], video, nature, "")
        for picture in pictures(video):
            encoder.write(picture, np.zeros((*SHOWN[::-1], 4), np.uint16))
        encoder.close()
    assert display_size((720, 576), Fraction(32, 27)) == (720, 486)
    assert Fraction(720, 486) == Fraction(720, 576) * Fraction(32, 27)
    with av.open(str(tmp_path / "a.mkv")) as container:
        assert abs(float(container.streams.video[0].sample_aspect_ratio) - 1) < 0.03
        assert len(list(container.decode(video=0))) == 12


def test_what_is_sure_is_opaque_and_edges_are_soft() -> None:
    given = np.array([0, 0.04, 0.05, 0.275, 0.5, 0.725, 0.95, 0.97, 1], np.float32)
    assert np.allclose(solid(given), [0, 0, 0, 0.25, 0.5, 0.75, 1, 1, 1], atol=1e-6)


def test_together_is_no_id() -> None:
    assert TOGETHER == 0
    with pytest.raises(InputError, match="object 9 is to be shown, but the objects given are 1, 2"):
        Delivery.of("9").check_objects({1, 2})
