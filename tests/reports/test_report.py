"""``rotoscope report`` from end to end: what is on the page, and what is refused before anything is written."""

from __future__ import annotations

import base64
import json
import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from drawn import contents
from rotoscope.cli import main
from rotoscope.evaluation.report import evaluation_of
from rotoscope.reports import plots
from rotoscope.reports.pictures import Gallery, small
from rotoscope.reports.records import Scored, Tabled, open_record


class Page(HTMLParser):
    """Tags, addresses and text of a page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.alts: list[str] = []
        self.text = ""
        self.source = path.read_text(encoding="utf-8")
        self.feed(self.source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "data")]
        self.alts += [value or "" for name, value in attrs if name == "alt"]

    def handle_data(self, data: str) -> None:
        self.text += data + "\n"


@pytest.fixture(scope="module")
def page(scored: Path, tmp_path_factory: pytest.TempPathFactory) -> Page:
    path = tmp_path_factory.mktemp("page") / "page.html"
    assert report(scored / "one.json", "--html", path) == 0
    return Page(path)


def report(*arguments: object) -> int:
    return main(["report", *map(str, arguments)])


def test_the_page_needs_nothing_but_itself(scored: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    assert report(scored / "one.json", scored / "two.json", "--html", page) == 0
    found = Page(page)
    assert all(address.startswith(("data:image/", "#")) for address in found.addresses)
    assert not {"script", "link", "iframe", "object"} & set(found.tags)
    assert "url(" not in found.source
    assert "prefers-color-scheme:dark" in found.source
    assert len(found.alts) == found.tags.count("img") > 10
    assert all(found.alts)
    for address in found.addresses:
        if "svg" in address:
            svg = base64.b64decode(address.partition(",")[2]).decode()
            assert "prefers-color-scheme:dark" in svg
            assert not re.findall(r'(?:href|src)="(?!#)', svg)


def test_the_page_tells_the_scores_the_published_ones_and_where_they_come_from(scored: Path, page: Page) -> None:
    text = page.text
    record = json.loads((scored / "one.json").read_text())
    for measure in ("J&F", "J mean", "F mean"):
        assert f"{100 * record['overall'][measure]:.1f}" in text
    assert "thesis Table 1" in text
    assert record["made_by"]["command"].split()[0] in text
    assert record["made_by"]["made"] in text
    assert record["made_by"]["machine"]["system"] in text
    assert record["made_by"]["packages"]["numpy"] in text


def test_names_are_shown_and_not_obeyed(page: Page) -> None:
    assert "i" not in page.tags
    assert "b<i>: J" in page.text


def test_the_worst_frames_are_those_of_the_lowest_j_and_not_beside_each_other(scored: Path) -> None:
    record = open_record(scored / "one.json")
    assert isinstance(record, Scored)
    shots = Gallery(record).worst(10)
    assert (shots[0].sequence, shots[0].frame, shots[0].object_id, shots[0].j) == ("b<i>", "00006", 2, 0.0)
    every = [j for found in record.evaluation.objects for j in found.j]
    assert all(shot.j is not None and shot.j < np.mean(every) for shot in shots)
    places = [int(shot.frame) for shot in shots if shot.object_id == 2]
    assert all(abs(a - b) >= 5 for a in places for b in places if a != b)


def test_pictures_show_the_truth_in_white_and_masks_in_their_colour() -> None:
    image, truth = np.zeros((48, 64, 3), np.uint8), np.zeros((48, 64), np.uint8)
    truth[10:30, 10:30] = 1
    drawn = small(image, np.roll(truth, 20, axis=1), 64, truth)
    picture = np.asarray(Image.open(_file(drawn))).astype(int)
    assert picture[10, 15:25].min() > 150  # the truth's edge
    inside, outside = picture[20, 40], picture[40, 55]
    assert inside[0] > inside[1] + 25  # red, the palette's first colour
    assert outside.max() < 25


def _file(uri: str) -> Any:
    import io

    return io.BytesIO(base64.b64decode(uri.partition(",")[2]))


def test_scores_are_read_back_as_they_were_written(scored: Path) -> None:
    record = json.loads((scored / "one.json").read_text())
    evaluation = evaluation_of(record)
    assert evaluation.overall() == pytest.approx(record["overall"], abs=1e-7)
    assert [name for name, _ in evaluation.by_instances()] == ["1", "2"]
    assert evaluation.objects[0].area == pytest.approx(20 * 20 / (64 * 48))
    assert evaluation.protocol.task == "semi"
    for entry in record["objects"]:
        del entry["instances"], entry["area"]
    del record["protocol"]["task"]  # as the first versions wrote it
    assert [name for name, _ in evaluation_of(record).by_instances()] == ["1", "2"]


def test_values_along_a_sequence_keep_their_mean_and_their_order() -> None:
    values = np.linspace(1, 0, 200)
    parts = plots.in_parts(values.tolist())
    assert len(parts) == plots.PARTS
    assert parts.mean() == pytest.approx(values.mean())
    assert (np.diff(parts) < 0).all()
    assert plots.in_parts([0.25]) == pytest.approx(np.full(plots.PARTS, 0.25))


def test_objects_are_averaged_with_those_of_their_size() -> None:
    means = plots.area_means(np.array([0.002, 0.004, 0.5]), np.array([10.0, 30.0, 90.0]))
    assert means == [(pytest.approx(0.3), 20.0), (50.0, 90.0)]


def table(folder: Path, rows: dict[str, tuple[float, float]], name: str = "capacity") -> Path:
    """A record as ``ablate`` leaves it: J&F and seconds of a read by memory policy."""
    entries = [
        {
            "row": {"name": policy, "options": {"memory": policy}},
            "scores": {"davis17": {"J&F": value, "J mean": value - 1, "F mean": value + 1}},
            "fps": 9.5, "read": read, "remembered": 4.0, "remembered_on_average": 3.25, "weights_sha256": "ab" * 32,
        }
        for policy, (value, read) in rows.items()
    ]  # fmt: skip
    record = {"table": name, "settings": ["x=1"], "scale": 0.5, "rows": entries, "made_by": {"rotoscope": "0.1.0"}}
    folder.mkdir()
    (folder / "results.json").write_text(json.dumps(record))
    return folder


def test_a_table_over_capacities_has_a_curve_and_its_numbers(tmp_path: Path) -> None:
    folder = table(tmp_path / "run", {"lfu:1": (60.125, 0.002), "lfu:2": (63.0, 0.003), "every:5": (64.0, 0.01)})
    assert report(folder, "--html", tmp_path / "page.html") == 0
    found = Page(tmp_path / "page.html")
    assert "J&F and time of a read over the capacity" in found.alts
    for cell in ("60.1", "3.0", "3.25", "4.00", "ab" * 32, "thesis Figure 11, youtubevos valid", "81.1"):
        assert cell in found.text
    record = open_record(folder / "results.json")
    assert isinstance(record, Tabled)
    assert [row.capacity for row in record.rows] == [1, 2, None]


def test_a_table_without_capacities_has_no_curve(tmp_path: Path) -> None:
    folder = table(tmp_path / "run", {"every:5": (64.0, 0.01), "lfu:2": (63.0, 0.01)}, "of my own")
    assert report(folder, "--html", tmp_path / "page.html") == 0
    assert not any("capacity" in alt for alt in Page(tmp_path / "page.html").alts)


def test_a_video_is_shown_with_its_masks(
    tmp_path: Path, clip: np.ndarray, mask: np.ndarray, tiny_weights: Path
) -> None:
    frames = tmp_path / "frames"
    frames.mkdir()
    for number, frame in enumerate(clip):
        Image.fromarray(frame).save(frames / f"{number:05d}.png")
    Image.fromarray(mask.astype(np.uint8)).save(tmp_path / "first.png")
    run = ["segment", frames, "--mask", tmp_path / "first.png", "-o", tmp_path / "run", "--weights", tiny_weights]
    assert main([*map(str, run), "--method", "stcn"]) == 0
    assert report(tmp_path / "run", "--html", tmp_path / "a.html") == 0
    assert report(tmp_path / "run", "--video", frames, "--html", tmp_path / "b.html") == 0
    plain, shown = Page(tmp_path / "a.html"), Page(tmp_path / "b.html")
    assert not any(alt.startswith("Frame ") for alt in plain.alts)
    assert any(alt.startswith("Frame ") for alt in shown.alts)
    other = tmp_path / "other"
    other.mkdir()
    Image.fromarray(clip[0]).save(other / "00000.png")
    assert report(tmp_path / "run", "--video", other, "--html", tmp_path / "c.html") == 2


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["nothing", "--html", "page.html"], "no such file"),
        (["{root}/masks", "--html", "page.html"], "holds no scores.json"),
        (["{root}/one.json", "{root}/one.json", "--html", "page.html"], "is given twice"),
        (["{root}/one.json", "--html", "page.txt"], "ends in .html"),
        (["{root}/one.json", "--html", "none/page.html"], "no such folder"),
        (["{root}/one.json", "--html", "page.html", "--dataset", "davis17:none"], "--no-pictures"),
        (["{root}/one.json", "--html", "page.html", "--video", "x.mp4"], "--video is of one run of segment"),
        (["{root}/one.json", "--html", "page.html", "--no-pictures", "--clips", "3"], "leave --clips out"),
        (["{root}/one.json", "--html", "page.html", "--clips", "-1"], "at least 0"),
        (["damaged.json", "--html", "page.html"], "is no JSON"),
        (["deep.json", "--html", "page.html"], "is no JSON"),
        (["odd.json", "--html", "page.html"], "neither scores"),
        (["half.json", "--html", "page.html"], "no scores of ours"),
        (["empty.json", "--html", "page.html"], "no row of the table is finished"),
        (["{root}/one.json", "--html", "here.html"], "is a folder"),
    ],
)
def test_a_wrong_request_is_one_line_and_writes_nothing(
    scored: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    arguments: list[str], told: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    half = json.loads((scored / "one.json").read_text())
    half["objects"][0]["J"].pop()
    rows = {"table": "usage", "settings": [], "scale": 1, "rows": [], "made_by": {}}
    for name, text in {"damaged": "{", "deep": "[" * 100_000, "odd": "[1]", "half": json.dumps(half),
                       "empty": json.dumps(rows)}.items():  # fmt: skip
        Path(f"{name}.json").write_text(text)
    Path("here.html").mkdir()
    before = contents(tmp_path)
    assert report(*(argument.format(root=scored) for argument in arguments)) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert told in lines[0]
    assert contents(tmp_path) == before


def test_the_package_that_plots_is_named_where_it_is_missing(
    scored: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert report(scored / "one.json", "--html", tmp_path / "page.html") == 2
    assert 'pip install -e ".[report]"' in capsys.readouterr().err
    assert not (tmp_path / "page.html").exists()


def test_a_page_that_stood_there_stays_if_the_new_one_cannot_be_made(scored: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text("before")
    assert report(scored / "one.json", "--html", page, "--dataset", f"davis17:{tmp_path}") == 2
    assert page.read_text() == "before"
