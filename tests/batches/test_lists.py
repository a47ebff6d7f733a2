"""What is wrong in a list of jobs is said in a line that names the row; nothing in it is left out silently."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rotoscope.batches.jobs import BatchJob
from rotoscope.batches.lists import read_list
from rotoscope.errors import InputError


def listed(folder: Path, data: str | bytes, kind: str = "json") -> list[BatchJob]:
    path = folder / f"list.{kind}"
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return read_list(path, {})


def row(folder: Path, **fields: Any) -> BatchJob:
    (job,) = listed(folder, json.dumps([{"video": "a.mp4"} | fields]))
    return job


@pytest.mark.parametrize(
    "fields",
    [
        {"mask": "a.png;b.png@0"},
        {"mask": "a.png@2;b.png", "start": 2},
        {"mask": ["a.png", "b.png@0"]},
        {"mask": "a.png", "masks": {"0": "b.png"}},
        {"mask": {"0": "a.png", "00": "b.png"}},
    ],
)
def test_two_masks_for_one_frame_are_refused_however_they_are_written(fields: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="job 1: two masks for one frame"):
        row(tmp_path, **fields)


def test_a_field_that_is_there_twice_loses_nothing_silently(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="'0' is there twice"):
        listed(tmp_path, '[{"video": "a.mp4", "mask": {"0": "a.png", "0": "b.png"}}]')
    with pytest.raises(InputError, match="'0' is there twice, line 2"):
        listed(tmp_path, "- video: a.mp4\n  mask: {0: a.png, 0: b.png}\n", "yaml")
    both = listed(tmp_path, "- &a {video: a.mp4, mask: a.png}\n- {<<: *a, video: b.mp4}\n", "yaml")
    assert [(job.name, len(job.masks)) for job in both] == [("a", 1), ("b", 1)]


def test_between_semicolons_there_may_be_nothing(tmp_path: Path) -> None:
    assert row(tmp_path, mask="a.png;").masks == {0: str(tmp_path / "a.png")}
    assert row(tmp_path, formats="palette;npz;").formats == ("palette", "npz")
    with pytest.raises(InputError, match="mask '@3' names no file"):
        row(tmp_path, mask="a.png;@3")


def test_a_mask_whose_name_ends_as_a_frame_is_told_is_itself(tmp_path: Path) -> None:
    (tmp_path / "tr@30").mkdir()
    assert row(tmp_path, mask="tr@30").masks == {0: str(tmp_path / "tr@30")}
    assert row(tmp_path, mask="tr@30@5").masks == {5: str(tmp_path / "tr@30")}
    assert row(tmp_path, mask="other@30").masks == {30: str(tmp_path / "other")}


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"formats": 5}, "formats is '5'"),
        ({"formats": [["palette"]]}, "formats is"),
        ({"formats": {"palette": 1}}, "formats is"),
        ({"video": ["a.mp4"]}, "video is .* no text"),
        ({"mask": False}, "mask is False, which is no text"),
        ({"mask": {"0": ["a.png"]}}, "mask is .* no text"),
        ({"name": 1.10}, "name is 1.1, which is no text"),
        ({"video": "a\ud800.mp4"}, r"video 'a\\ud800.mp4' holds"),
        ({"mask": "a\ud800.png"}, "mask .* holds"),
        ({"name": "a\ud800"}, "name .* holds"),
        ({"method": "a\0"}, "method .* holds"),
        ({"video": "x" * 300}, "video .* is longer than a path can be"),
        ({"mask": "x/" * 3000}, "mask .* is longer than a path can be"),
        ({"mask": f"a.png@{'9' * 5000}"}, "no whole number"),
        ({"name": "x" * 256}, "has 256 bytes .* Name it otherwise"),
        ({"name": f"a/{'é' * 128}"}, "has 256 bytes"),
        ({"name": "index.html"}, "a file that the batch itself writes"),
        ({"name": "Batch.json/a"}, "a file that the batch itself writes"),
    ],
)
def test_a_wrong_value_is_told_with_its_row(fields: dict[str, Any], told: str, tmp_path: Path) -> None:
    good = {"video": "good.mp4"}
    with pytest.raises(InputError, match=f"job 2: .*{told}"):
        listed(tmp_path, json.dumps([good, {"video": "a.mp4"} | fields]))


def test_names_of_the_longest_kind_are_taken(tmp_path: Path) -> None:
    assert row(tmp_path, name=f"{'x' * 255}/index.html").name.endswith("x/index.html")


def test_json_lines_end_at_newlines_alone_and_are_counted_as_in_the_file(tmp_path: Path) -> None:
    (job,) = listed(tmp_path, '\r\n{"video": "a\u2028\x85b.mp4"}\r\n\r\n', "jsonl")
    assert job.video == str(tmp_path / "a\u2028\x85b.mp4")
    for wrong, told in (("{bad}", "is no JSON"), ("[1]", "is no job"), ('{"video": "b.mp4", "end": "x"}', "end 'x'")):
        with pytest.raises(InputError, match=f"list.jsonl, line 3: {told}"):
            listed(tmp_path, f'{{"video": "a.mp4"}}\n\n{wrong}\n', "jsonl")


def test_lines_of_blanks_in_a_csv_are_none(tmp_path: Path) -> None:
    (job,) = listed(tmp_path, " \nvideo;mask\n ; \na.mp4;a.png\n  \n", "csv")
    assert job.masks == {0: str(tmp_path / "a.png")}
