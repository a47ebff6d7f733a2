"""Lists of files: parts beside and below them are read, and no others."""

from __future__ import annotations

from pathlib import Path

import pytest

from rotoscope.errors import InputError
from rotoscope.video import open_video, playlists
from rotoscope.video.playlists import MOST_BYTES, check_parts
from video.painted import read_number, write


@pytest.fixture
def inner(tmp_path: Path) -> Path:
    """A folder with two parts and a folder with one; beside it a file that is none of its business, and links to it."""
    folder = tmp_path / "inner"
    (folder / "sub").mkdir(parents=True)
    write(tmp_path / "other.ts", frames=5)
    for name in ("a.ts", "b.ts", "sub/c.ts"):
        (folder / name).write_bytes((tmp_path / "other.ts").read_bytes())
    (folder / "link.ts").symlink_to(tmp_path / "other.ts")
    (folder / "out").symlink_to(tmp_path)
    return folder


def hls(*lines: str) -> str:
    return "\n".join(["#EXTM3U", "#EXT-X-TARGETDURATION:2", *lines, "#EXT-X-ENDLIST", ""])


def part(name: str) -> str:
    return f"#EXTINF:0.42,\n{name}"


ABSOLUTE = "{outside}/other.ts"
OUT = [
    "../other.ts", ABSOLUTE, f"file:{ABSOLUTE}", f"file://{ABSOLUTE}", "file:../other.ts", f"  {ABSOLUTE}",
    "sub/../../other.ts", "link.ts", "out/other.ts", "..\\other.ts", "\\/etc/passwd", "concat:a.ts|../other.ts",
    "subfile,,start,0,end,9,,:../other.ts", "crypto:../other.ts", "http://127.0.0.1:9/a.ts", "data:video/mp2t,x",
    "a.ts?/../../other.ts", "a.ts#/../../../other.ts", "//other.ts", "x" * 5000,
]  # fmt: skip
"""Names that lead out of the folder, or might."""


@pytest.mark.parametrize("name", OUT, ids=range(len(OUT)))
def test_a_playlist_names_only_what_lies_in_its_folder(inner: Path, name: str) -> None:
    path = inner / "list.m3u8"
    name = name.replace("{outside}", str(inner.parent))
    lists = [
        hls(part("a.ts"), part(name)),
        hls(f"#comment\0{name}", part("a.ts")),
        hls(f'#EXT-X-MAP:URI="{name}"', part("a.ts")),
        hls(f"#EXT-X-KEY:METHOD=AES-128,URI={name}", part("a.ts")),
        hls("#EXT-X-STREAM-INF:BANDWIDTH=1", name),
    ]
    if " " in name or "," in name:
        del lists[3]  # which ends there
    for text in lists:
        path.write_text(text)
        with pytest.raises(InputError, match="not in its folder"):
            open_video(path)
    (inner / "inner.bin").write_text(hls(part(name)))
    path.write_text(hls("#EXT-X-STREAM-INF:BANDWIDTH=1", "inner.bin"))
    with pytest.raises(InputError, match="not in its folder"):
        open_video(path)


@pytest.mark.parametrize("name", [*OUT[:13], "'../other.ts'", "..'/'other.ts", "\"a.ts\"'/../../other.ts'"])
def test_a_list_of_ffmpegs_names_only_what_lies_in_its_folder(inner: Path, name: str) -> None:
    name = name.replace("{outside}", str(inner.parent))
    (inner / "list.txt").write_text(f"ffconcat version 1.0\noption safe 0\nfile a.ts\nfile {name}\n")
    with pytest.raises(InputError, match=r"not in its folder|not a video that can be read"):
        open_video(inner / "list.txt")
    (inner / "more.ts").write_text(f"ffconcat version 1.0\nfile {name}\n")
    (inner / "list.txt").write_text("ffconcat version 1.0\nfile more.ts\n")
    with pytest.raises(InputError, match=r"not in its folder|not a video that can be read"):
        open_video(inner / "list.txt")


def numbers(path: Path) -> list[int]:
    with open_video(path) as video:
        return [read_number(frame.image) for frame in video.frames()]


def test_lists_of_parts_beside_and_below_are_read(inner: Path) -> None:
    path = inner / "list.m3u8"
    path.write_text(hls(part("a.ts"), part("./sub/c.ts")))
    assert numbers(path) == [0, 1, 2, 3, 4] * 2
    (inner / "sub" / "low.m3u8").write_text(hls(part("c.ts"), part("../b.ts")))
    path.write_text(hls("#EXT-X-STREAM-INF:BANDWIDTH=1", "sub/low.m3u8"))
    assert numbers(path) == [0, 1, 2, 3, 4] * 2
    (inner / "list.txt").write_text("ffconcat version 1.0\nfile a.ts\nfile sub/c.ts\n")
    assert numbers(inner / "list.txt") == [0, 1, 2, 3, 4] * 2


def test_lists_that_name_each_other_end(inner: Path) -> None:
    (inner / "a.m3u8").write_text(hls("#EXT-X-STREAM-INF:BANDWIDTH=1", "b.m3u8"))
    (inner / "b.m3u8").write_text(hls("#EXT-X-STREAM-INF:BANDWIDTH=1", "a.m3u8"))
    assert check_parts(inner / "a.m3u8") == "hls"
    (inner / "loop.ts").symlink_to(inner / "loop.ts")
    (inner / "a.m3u8").write_text(hls(part("loop.ts")))
    with pytest.raises(InputError):
        open_video(inner / "a.m3u8")


def test_a_list_that_is_too_long_is_not_half_checked(inner: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(playlists, "MOST_PARTS", 20)
    (inner / "a.m3u8").write_text(hls("#" * MOST_BYTES, part("../other.ts")))
    with pytest.raises(InputError, match="bytes"):
        open_video(inner / "a.m3u8")
    (inner / "a.m3u8").write_text(hls(*(part(f"{i}.ts") for i in range(21))))
    with pytest.raises(InputError, match="more than 20 files"):
        open_video(inner / "a.m3u8")


def test_other_lists_are_not_read(inner: Path) -> None:
    manifest = '<?xml version="1.0"?>\n<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" '
    manifest += 'profiles="urn:mpeg:dash:profile:isoff-on-demand:2011" mediaPresentationDuration="PT1S"><Period>'
    manifest += '<AdaptationSet contentType="video"><Representation id="1" bandwidth="1" mimeType="video/mp2t">'
    manifest += "<BaseURL>../other.ts</BaseURL></Representation></AdaptationSet></Period></MPD>"
    (inner / "a.mpd").write_text(manifest)
    with pytest.raises(InputError, match=r"list of other files \(dash\)|not a video that can be read"):
        open_video(inner / "a.mpd")
    with pytest.raises(InputError, match="give the path itself"):
        open_video(f"file://{inner}/a.m3u8")


def test_a_playlist_without_an_end_is_refused_and_not_waited_for(inner: Path) -> None:
    """A live one, or one that was cut off: FFmpeg would look for its next part for ever."""
    path, nested = inner / "list.m3u8", inner / "nested.m3u8"
    endless = hls(part("a.ts"), part("b.ts")).replace("#EXT-X-ENDLIST", "#EXT-X-ENDL")
    master = hls("#EXT-X-STREAM-INF:BANDWIDTH=1", "nested.m3u8").replace("#EXT-X-ENDLIST\n", "")
    path.write_text(endless)
    with pytest.raises(InputError, match=r"without an end.*add the line #EXT-X-ENDLIST"):
        open_video(path)
    path.write_text(master)
    nested.write_text(endless)
    with pytest.raises(InputError, match=r"nested\.m3u8: is a playlist without an end"):
        open_video(path)
    path.write_text(master.replace("nested.m3u8", "nested.m3u8\n#EXTINF:0.42,\na.ts"))
    nested.write_text(hls(part("a.ts")))
    with pytest.raises(InputError, match=r"list\.m3u8: is a playlist without an end"):
        open_video(path)
    path.write_text(master)
    with open_video(path) as video:
        assert len(list(video)) == 5
