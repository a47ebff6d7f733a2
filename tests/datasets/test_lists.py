"""Lists of videos, as editors of all systems write them, and what is wrong with them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from rotoscope import evaluate
from rotoscope.datasets.spec import open_dataset
from rotoscope.errors import InputError

Writer = Callable[..., Path]
KINDS = ("pairs", "vipseg", "davis17", "list")


def listed(kind: str, root: Path, image: Writer, mask: Writer, content: bytes) -> str:
    """A set of the videos ``a`` and ``b`` with a list of that content; the spec that asks for it."""
    place = "/480p" if kind == "davis17" else ""
    for name in "ab":
        for t in range(3):
            image(f"JPEGImages{place}/{name}/{t:05d}.jpg")
            mask(f"Annotations{place}/{name}/{t:05d}.png", (0, 1))
    path = root / {"pairs": "ImageSets/x.txt", "davis17": "ImageSets/2017/x.txt"}.get(kind, "x.txt")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return f"pairs:{root}?list={path}" if kind == "list" else f"{kind}:{root}?split=x"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("content", ["a\nb\na\n", "\ufeffa\nb\n", "a\r\nb\r\n", " a/\n\nb ", "a\nb/\nb"], ids=ascii)
def test_names_are_understood_and_count_once(
    tmp_path: Path, image: Writer, mask: Writer, kind: str, content: str
) -> None:
    spec = listed(kind, tmp_path, image, mask, content.encode())
    assert [sequence.name for sequence in open_dataset(spec)] == ["a", "b"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the list is empty"),
        (b"\xef\xbb\xbf \n\n", "the list is empty"),
        ("a\nb\n".encode("utf-16"), "line 1 is no text in UTF-8"),
        ("a\nb\n".encode("utf-16-le"), "line 1 is no text in UTF-8"),
        ("a\nbär\n".encode("latin-1"), "line 2 is no text in UTF-8"),
    ],
)
def test_a_list_that_is_no_text_or_empty_is_refused(
    tmp_path: Path, image: Writer, mask: Writer, kind: str, content: bytes, message: str
) -> None:
    with pytest.raises(InputError, match=rf"x\.txt: {message}"):
        open_dataset(listed(kind, tmp_path, image, mask, content))


@pytest.mark.parametrize("kind", ["pairs", "vipseg", "list"])
@pytest.mark.parametrize("name", ["zz", "A", "./a", "../a", "a.png"])
def test_a_listed_video_that_is_not_there_is_refused(
    tmp_path: Path, image: Writer, mask: Writer, kind: str, name: str
) -> None:
    spec = listed(kind, tmp_path, image, mask, f"a\n{name}\n".encode())
    with pytest.raises(InputError, match=rf"x\.txt: names 1 video\(s\) that .* does not have, such as {name}\."):
        open_dataset(spec)


@pytest.mark.parametrize("partial", [False, True])
def test_davis_tells_what_is_missing_and_is_not_scored(
    tmp_path: Path, image: Writer, mask: Writer, partial: bool
) -> None:
    """``check`` shows all that a set downloaded in part lacks, so that it opens; scores would be of another set."""
    spec = listed("davis17", tmp_path, image, mask, b"a\nzz\nb\n")
    for name in ("a", "b", "zz"):
        mask(f"out/{name}/00001.png", (0, 1))
    assert any("zz: missing" in line for line in open_dataset(spec).explain())
    done: list[str] = []
    with pytest.raises(InputError, match=r"1 of 3 sequences, such as zz, have no annotations"):
        evaluate(tmp_path / "out", spec, partial=partial, on_sequence=done.append, jobs=1)
    assert not done
    chosen = tmp_path / "mine.txt"
    chosen.write_text("a\nb\n")
    assert {o.sequence for o in evaluate(tmp_path / "out", f"{spec}&list={chosen}", jobs=1).objects} == {"a", "b"}


def test_a_name_of_davis_that_leads_elsewhere_is_refused(tmp_path: Path, image: Writer, mask: Writer) -> None:
    with pytest.raises(InputError, match=r"sequence '\./a'.* is no name of a folder"):
        open_dataset(listed("davis17", tmp_path, image, mask, b"./a\n"))


def test_a_list_of_another_split_does_not_matter(tmp_path: Path, image: Writer, mask: Writer) -> None:
    spec = listed("davis17", tmp_path, image, mask, b"a\n")
    (tmp_path / "ImageSets/2017/y.txt").write_bytes(b"")
    assert open_dataset(spec).other_splits == {"y": frozenset()}


def test_a_byte_order_mark_in_meta_json_is_passed_over(tmp_path: Path, image: Writer, mask: Writer) -> None:
    image("valid/JPEGImages/v/00000.jpg")
    mask("valid/Annotations/v/00000.png", (0, 1))
    videos = {"v": {"objects": {"1": {"category": "dog", "frames": ["00000"]}}}}
    (tmp_path / "valid/meta.json").write_text(json.dumps({"videos": videos}), encoding="utf-8-sig")
    assert [sequence.name for sequence in open_dataset(f"youtubevos:{tmp_path}")] == ["v"]
