"""Whatever an output folder or a data set holds: nothing outside of the chosen folder is made, changed or removed."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from conftest import first_mask, moving
from drawn import contents
from rotoscope.cli import main
from rotoscope.datasets.spec import open_dataset
from rotoscope.errors import InputError
from rotoscope.evaluation.protocol import protocol
from rotoscope.files import inside
from rotoscope.masks.writing import FORMATS, WRITERS
from rotoscope.methods.base import Method
from rotoscope.runs.dataset import segment_dataset
from rotoscope.runs.earlier import REPORT, WORK
from rotoscope.runs.lock import NAME
from rotoscope.runs.segment import segment_to_folder
from rotoscope.training.log import TrainingLog
from rotoscope.training.loop import CHECKPOINT
from rotoscope.training.run import find_recipe, prepare
from rotoscope.video import open_video
from rotoscope.video.frame import Frame

State = dict[str, tuple[int, int, bytes]]


def state_of(folder: Path) -> State:
    """Everything in a folder: kind and rights, time of change, content."""
    found = {}
    for path in [folder, *folder.rglob("*")]:
        facts = path.lstat()
        found[str(path)] = (facts.st_mode, facts.st_mtime_ns, path.read_bytes() if path.is_file() else b"")
    return found


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A folder that is none of our business, with files of every name that we write or remove."""
    folder = tmp_path / "outside"
    folder.mkdir()
    names = [
        "00000.png",
        "00001.npz",
        "annotations.json",
        "overlay.mp4",
        ".00001.png.0123abcd.png",
        "state.safetensors",
    ]
    for name in [*names, "written.txt", "identity.json", "earlier.json", "run.json", "lock", "00000001.npz"]:
        (folder / name).write_text("precious")
    (folder / "1").mkdir()
    (folder / "1" / "00000.png").write_text("precious")
    return folder


@pytest.fixture
def chosen(tmp_path: Path) -> Path:
    folder = tmp_path / "chosen"
    folder.mkdir()
    return folder


NAMES = ["../outside/00000", "1/../../outside/00000", "..", "a\0b", "", 7, None, ["x"], {"x": 1}, "TREASURE"]
ALL = list(FORMATS)


def hostile_report(folder: Path, name: Any) -> None:
    (folder / REPORT).write_text(json.dumps({"run": {"formats": ALL}, "masks": ["00000", name], "report": {}}))


def hostile_list(folder: Path, name: Any) -> None:
    (folder / WORK).mkdir()
    (folder / WORK / "identity.json").write_text(json.dumps({"formats": ALL}))
    (folder / WORK / "written.txt").write_text(f'"00000"\n{json.dumps(name)}\n')


def hostile_palette(folder: Path, name: Any) -> None:
    (folder / WORK).mkdir()
    (folder / WORK / "earlier.json").write_text(json.dumps({"palette": ["00000", name]}))


def run(out: Path, model: Method, **more: Any) -> Any:
    with open_video(moving(3)) as video:
        return segment_to_folder(
            video, {2: {1: first_mask()}}, model, out, output_formats=ALL, direction="both", **more
        )


def outcome(out: Path, model: Method, **more: Any) -> str:
    """Empty if it ran, else what was said."""
    try:
        run(out, model, **more)
    except InputError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("record", [hostile_report, hostile_list, hostile_palette])
def test_names_in_the_record_of_a_run_lead_nowhere(
    chosen: Path, outside: Path, tiny_stcn: Method, record: Callable[[Path, Any], None]
) -> None:
    (chosen / "00000.png").write_text("a mask of the run before")
    before, refused = state_of(outside), 0
    for name in NAMES:
        for path in [*(chosen / WORK).glob("*"), chosen / REPORT]:
            path.unlink(missing_ok=True)
        if (chosen / WORK).exists():
            (chosen / WORK).rmdir()
        record(chosen, str(outside / "00000") if name == "TREASURE" else name)
        there = contents(chosen)
        said = outcome(chosen, tiny_stcn, overwrite=True)
        if said:
            refused += 1
            assert "no run writes" in said
            assert contents(chosen) == there
        assert state_of(outside) == before, name
    assert refused >= 6  # what is no text in the list of written names is passed over as damage


DAMAGED = [
    '{"run": 5}',
    '{"run": {"formats": [["x"], "../outside", 3]}, "masks": ["00000"]}',
    '{"run": {"formats": null}, "masks": null}',
    "[" * 100_000,
    "[]",
    "\x00",
]


@pytest.mark.parametrize("facts", DAMAGED, ids=range(len(DAMAGED)))
@pytest.mark.parametrize("record", [REPORT, f"{WORK}/identity.json", f"{WORK}/earlier.json", f"{WORK}/written.txt"])
def test_damaged_records_do_not_hinder_a_new_start(
    chosen: Path, outside: Path, tiny_stcn: Method, facts: str, record: str
) -> None:
    before = state_of(outside)
    (chosen / record).parent.mkdir(exist_ok=True)
    (chosen / record).write_text(facts)
    assert run(chosen, tiny_stcn, overwrite=True).frames == 3
    assert state_of(outside) == before


LINKS = {
    **dict.fromkeys((WORK, *(f for f in WRITERS if f != "palette"), "objects/1", "soft/1", f"{WORK}/backward"), "."),
    **{f"{WORK}/{n}": n for n in ("written.txt", "identity.json", "earlier.json", "state.safetensors")},
    **{name: name.split("/")[-1] for name in ("00000.png", "overlay.mp4", "coco/annotations.json", REPORT)},
    "objects/1/00000.png": "00000.png",
    "npz/00001.npz": "00001.npz",
    ".overlay.writing.mp4": "overlay.mp4",
    NAME: "lock",
    "00002.png": "new.png",
    f"{WORK}/backward/00000001.npz": "00000001.npz",
}
"""Links in the output folder, and what outside of it they lead to."""


@pytest.mark.parametrize("more", [{"overwrite": True}, {"resume": True}, {}], ids=["overwrite", "resume", "new"])
@pytest.mark.parametrize("link", sorted(LINKS))
def test_links_in_the_output_folder_are_not_followed(
    chosen: Path, outside: Path, tiny_stcn: Method, link: str, more: dict[str, bool]
) -> None:
    (chosen / link).parent.mkdir(parents=True, exist_ok=True)
    (chosen / link).symlink_to(outside / LINKS[link])
    before = state_of(outside)
    said = outcome(chosen, tiny_stcn, **more)
    assert not said or str(chosen) in said
    assert state_of(outside) == before


def test_a_link_to_the_chosen_folder_and_links_within_it_are_fine(
    tmp_path: Path, chosen: Path, tiny_stcn: Method
) -> None:
    (tmp_path / "link").symlink_to(chosen)
    (chosen / "elsewhere").mkdir()
    (chosen / "objects").symlink_to("elsewhere")
    assert run(tmp_path / "link", tiny_stcn, overwrite=True).frames == 3
    assert len(list((chosen / "elsewhere" / "1").glob("*.png"))) == 3


def test_a_file_of_the_users_is_not_taken_for_a_try(chosen: Path, tiny_stcn: Method) -> None:
    (chosen / ".writable").write_text("mine")
    run(chosen, tiny_stcn)
    assert (chosen / ".writable").read_text() == "mine"


@pytest.mark.parametrize("name", ["../outside/00000", "a/b", "..", "a\0b", os.path.abspath(os.sep)])
def test_frames_given_in_python_have_names_of_files(name: str) -> None:
    with pytest.raises(InputError, match="give a name without a path"):
        Frame(0, moving(1)[0], name=name)


@pytest.mark.parametrize("names", [("..",), ("a", ".."), ("a/b",), ("",), ("/",), ("a\0",), (".",)])
def test_paths_stay_inside(chosen: Path, names: tuple[str, ...]) -> None:
    with pytest.raises(InputError, match="lead out of it"):
        inside(chosen, *names)
    assert inside(chosen, "a", "...", "b c") == chosen / "a" / "..." / "b c"


def youtubevos(root: Path, meta: Any) -> str:
    folder = root / "valid"
    for part in ("JPEGImages", "Annotations"):
        (folder / part / "a").mkdir(parents=True)
    Image.fromarray(moving(1)[0]).save(folder / "JPEGImages" / "a" / "00000.jpg")
    Image.fromarray(first_mask().astype(np.uint8)).save(folder / "Annotations" / "a" / "00000.png")
    (folder / "meta.json").write_text(json.dumps(meta))
    return f"youtubevos:{root}?split=valid"


OBJECT = {"category": "cat", "frames": ["00000"]}


@pytest.mark.parametrize(
    "videos",
    [
        {"../../../outside": {"objects": {"1": OBJECT}}},
        {"/outside": {"objects": {"1": OBJECT}}},
        {"": {"objects": {"1": OBJECT}}},
        {"a": {"objects": {"../1": OBJECT}}},
        {"a": {"objects": {"-1": OBJECT}}},
        {"a": {"objects": {"1": {"frames": ["../../00000"]}}}},
        {"a": {"objects": {"1": {"frames": 5}}}},
        {"a": {"objects": {"1": []}}},
        {"a": 3},
        [["a"]],
    ],
)
def test_names_in_a_meta_json_lead_nowhere(tmp_path: Path, outside: Path, videos: Any) -> None:
    before = state_of(outside)
    spec = youtubevos(tmp_path / "data", {"videos": videos})
    there = state_of(tmp_path / "data")
    assert main(["benchmark", "stcn-small", "--dataset", spec, "-o", str(tmp_path / "chosen" / "results")]) == 2
    assert not (tmp_path / "chosen").exists()
    assert state_of(outside) == before
    assert state_of(tmp_path / "data") == there


def test_names_in_a_list_lead_nowhere(tmp_path: Path, outside: Path) -> None:
    for part in ("JPEGImages", "Annotations"):
        (tmp_path / "davis" / part / "480p").mkdir(parents=True)
    (tmp_path / "davis" / "ImageSets" / "2017").mkdir(parents=True)
    (tmp_path / "davis" / "ImageSets" / "2017" / "val.txt").write_text("../../../../outside\n")
    with pytest.raises(InputError, match="is no name of a folder"):
        open_dataset(f"davis17:{tmp_path / 'davis'}")


def test_a_folder_of_results_that_is_a_link_is_refused(tmp_path: Path, outside: Path, chosen: Path) -> None:
    (outside / "empty").mkdir()
    spec = youtubevos(tmp_path / "data", {"videos": {"a": {"objects": {"1": OBJECT}}}})
    (chosen / "masks").symlink_to(outside / "empty")
    before = state_of(outside)
    assert main(["benchmark", "stcn-small", "--dataset", spec, "-o", str(chosen)]) == 2
    assert state_of(outside) == before


def test_a_sequences_folder_that_is_a_link_is_refused(
    tmp_path: Path, outside: Path, chosen: Path, tiny_stcn: Method
) -> None:
    dataset = open_dataset(youtubevos(tmp_path / "data", {"videos": {"a": {"objects": {"1": OBJECT}}}}))
    before = state_of(outside)

    def plant(_: Any) -> None:  # while the run is on its way
        for path in (chosen / "a").iterdir():
            path.unlink()

    segment_dataset(dataset, protocol("youtubevos"), tiny_stcn, chosen, plant)
    (chosen / "a").rmdir()
    (chosen / "a").symlink_to(outside)
    with pytest.raises(InputError, match="holds something already"):
        segment_dataset(dataset, protocol("youtubevos"), tiny_stcn, chosen)
    assert state_of(outside) == before


@pytest.mark.parametrize("link", [CHECKPOINT, "log.csv", "events"])
def test_links_in_the_folder_of_a_training_are_not_followed(
    chosen: Path, outside: Path, photographs_folder: Path, link: str
) -> None:
    (chosen / link).symlink_to(outside / ("1" if link == "events" else "lock"))
    before = state_of(outside)

    def train() -> None:
        if link == CHECKPOINT:
            prepare(find_recipe("stcn-small"), photographs_folder, chosen)
        with TrainingLog(chosen, 0):
            pass

    with pytest.raises(InputError, match="is a link that leads out"):
        train()
    assert state_of(outside) == before
