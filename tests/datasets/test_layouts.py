"""Each data set's published layout, in miniature."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rotoscope.datasets.sequences import DamagedMaskError, object_ids
from rotoscope.datasets.spec import is_spec, open_dataset, open_stills, parse_spec
from rotoscope.errors import InputError

Writer = Callable[..., Path]


def test_spec_is_taken_apart(tmp_path: Path) -> None:
    spec = parse_spec(f"davis17:{tmp_path}?split=test-dev&resolution=Full-Resolution")
    assert (spec.kind, spec.path, dict(spec.options)) == (
        "davis17",
        tmp_path,
        {"split": "test-dev", "resolution": "Full-Resolution"},
    )
    assert str(spec) == f"davis17:{tmp_path}?split=test-dev&resolution=Full-Resolution"
    assert is_spec("fbms:x")
    assert not is_spec("C:/videos")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("davis:.", "did you mean 'davis1"),
        ("davis17:", "names no folder"),
        ("davis17:/nowhere/at/all", "no such folder"),
        ("davis17:.?half=val", "'half=val' is not known; davis17 takes split, resolution, task, list, part"),
        ("segtrack:.?split=val", "takes list, part"),
        ("pairs:.?part=0-50&part=50-100", "option part is given twice"),
        ("msra10k:.", "holds photographs, not videos"),
    ],
)
def test_wrong_specs_are_named(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        open_dataset(text)


def davis(image: Writer, mask: Writer, names: tuple[str, ...], values: tuple[int, ...], frames: int = 3) -> None:
    for name in names:
        for t in range(frames):
            image(f"JPEGImages/480p/{name}/{t:05d}.jpg")
            mask(f"Annotations/480p/{name}/{t:05d}.png", values, palette=True)


def test_davis16_reads_any_id_as_the_object(tmp_path: Path, image: Writer, mask: Writer) -> None:
    davis(image, mask, ("bear", "camel"), (0, 1, 2))
    (tmp_path / "ImageSets/480p").mkdir(parents=True)
    lines = [f"/JPEGImages/480p/camel/{t:05d}.jpg /Annotations/480p/camel/{t:05d}.png" for t in range(3)]
    (tmp_path / "ImageSets/480p/val.txt").write_text("\n".join(lines))
    (tmp_path / "ImageSets/480p/train.txt").write_text(lines[0].replace("camel", "bear"))
    found = open_dataset(f"davis16:{tmp_path}")
    assert [s.name for s in found] == ["camel"]
    assert found.other_splits == {"train": frozenset({"bear"})}
    assert set(np.unique(found.sequences[0].first_labels())) == {0, 1}
    assert found.explain()[0] == "davis16, split val: 1 sequences, 3 frames, 3 of them annotated, 1 objects"


def test_davis17_keeps_ids_and_test_dev_has_first_masks_only(tmp_path: Path, image: Writer, mask: Writer) -> None:
    davis(image, mask, ("dogs",), (0, 1, 2))
    image("JPEGImages/480p/mbike/00000.jpg")
    image("JPEGImages/480p/mbike/00001.jpg")
    mask("Annotations/480p/mbike/00000.png", (0, 1))
    (tmp_path / "ImageSets/2017").mkdir(parents=True)
    (tmp_path / "ImageSets/2017/val.txt").write_text("dogs\n")
    (tmp_path / "ImageSets/2017/test-dev.txt").write_text("mbike\n")
    assert object_ids(open_dataset(f"davis17:{tmp_path}").sequences[0].first_labels()) == [1, 2]
    test = open_dataset(f"davis17:{tmp_path}?split=test-dev")
    assert "mbike: 1 of 2 frames annotated" in test.explain()
    with pytest.raises(InputError, match=r"no list of split 'train'.*there are test-dev, val"):
        open_dataset(f"davis17:{tmp_path}?split=train")


def test_davis17_unsupervised_annotations(tmp_path: Path, image: Writer, mask: Writer) -> None:
    davis(image, mask, ("dogs",), (0, 1))
    for t in range(3):
        mask(f"Annotations_unsupervised/480p/dogs/{t:05d}.png", (0, 1, 2, 255))
    found = open_dataset(f"davis17:{tmp_path}?task=unsupervised")
    assert set(np.unique(found.sequences[0].first_labels())) == {0, 1, 2, 255}
    assert found.count_objects()[0] == 2
    assert "no lists in ImageSets" in found.notes[0]


def test_a_part_of_a_sets_videos_and_the_rest_share_none(tmp_path: Path, image: Writer, mask: Writer) -> None:
    """The 80 and 20 percent that RVOS trains and validates on; and a list of one's own."""
    names = [f"video{number}" for number in range(10, 30)]
    for name in names:
        image(f"JPEGImages/480p/{name}/00000.jpg")
        mask(f"Annotations/480p/{name}/00000.png", (0, 1))

    def taken(options: str) -> list[str]:
        return [sequence.name for sequence in open_dataset(f"davis17:{tmp_path}?{options}")]

    most, rest = taken("part=0-80"), taken("part=80-100")
    assert (len(most), len(rest)) == (16, 4)
    assert sorted(most + rest) == names
    assert most != names[:16]  # not the first ones by name, which may be of one kind
    assert taken("part=0-80") == most
    (tmp_path / "mine.txt").write_text("video13\nvideo11\n")
    assert taken(f"list={tmp_path / 'mine.txt'}") == ["video11", "video13"]
    assert "16 of 20 sequences taken, as asked" in open_dataset(f"davis17:{tmp_path}?part=0-80").explain()
    for part in ("80", "80-20", "0-101", "0-1", "a-b"):
        with pytest.raises(InputError, match=r"in percent|no video is left"):
            taken(f"part={part}")
    (tmp_path / "mine.txt").write_text("video13\nvideo77\n")
    with pytest.raises(InputError, match=r"1 video.* such as video77"):
        taken(f"list={tmp_path / 'mine.txt'}")


def test_a_missing_sequence_is_told(tmp_path: Path, image: Writer, mask: Writer) -> None:
    davis(image, mask, ("dogs",), (0, 1))
    (tmp_path / "ImageSets/2017").mkdir(parents=True)
    (tmp_path / "ImageSets/2017/val.txt").write_text("dogs\ncows\n")
    notes = open_dataset(f"davis17:{tmp_path}").notes
    assert any("cows: missing, the sequence has no images" in note for note in notes)


def youtube(tmp_path: Path, image: Writer, mask: Writer, seen: bool) -> None:
    for t in range(0, 20, 5):
        image(f"valid/JPEGImages/v1/{t:05d}.jpg")
    for t in range(20):
        image(f"valid_all_frames/JPEGImages/v1/{t:05d}.jpg")
    mask("valid/Annotations/v1/00000.png", (0, 1))
    mask("valid/Annotations/v1/00010.png", (0, 0, 2))
    objects = {
        "1": {"category": "dog", "frames": ["00000", "00005", "00010", "00015"]},
        "2": {"category": "yak", "frames": ["00010", "00015"]},
    }
    (tmp_path / "valid/meta.json").write_text(json.dumps({"videos": {"v1": {"objects": objects}}}))
    if seen:
        (tmp_path / "train").mkdir()
        training = {"videos": {"t1": {"objects": {"1": {"category": "dog", "frames": []}}}}}
        (tmp_path / "train/meta.json").write_text(json.dumps(training))


def test_youtubevos_objects_start_late_and_categories_are_seen(tmp_path: Path, image: Writer, mask: Writer) -> None:
    youtube(tmp_path, image, mask, seen=True)
    found = open_dataset(f"youtubevos:{tmp_path}").sequences[0]
    assert found.objects[2].frames == ("00010", "00015")
    assert (found.objects[1].seen, found.objects[2].seen) == (True, False)
    assert found.annotated == ("00000", "00010")
    everything = open_dataset(f"youtubevos:{tmp_path}?split=valid_all_frames").sequences[0]
    assert len(everything.frames) == 20
    assert everything.annotated == ("00000", "00010")


def test_youtubevos_says_when_seen_is_not_known(tmp_path: Path, image: Writer, mask: Writer) -> None:
    youtube(tmp_path, image, mask, seen=False)
    found = open_dataset(f"youtubevos:{tmp_path}/valid")
    assert found.sequences[0].objects[1].seen is None
    assert any("seen categories are not known" in note for note in found.notes)
    listed = tmp_path / "seen.txt"
    listed.write_text("yak\n")
    assert open_dataset(f"youtubevos:{tmp_path}?seen={listed}").sequences[0].objects[2].seen is True
    (tmp_path / "valid/meta.json").write_text("{}")
    with pytest.raises(InputError, match=r"not a meta\.json"):
        open_dataset(f"youtubevos:{tmp_path}")


def test_fbms_regions_by_number_and_background(tmp_path: Path, image: Writer) -> None:
    for t in range(1, 4):
        image(f"Testset/marple1/marple1_{t:04d}.jpg")
    truth = np.full((8, 12, 3), 255, np.uint8)
    truth[:, 3:6], truth[:, 6:9] = (10, 0, 0), (0, 200, 0)
    (tmp_path / "Testset/marple1/GroundTruth").mkdir()
    Image.fromarray(truth).save(tmp_path / "Testset/marple1/GroundTruth/marple1_0001_gt.ppm")
    Image.fromarray(truth).save(tmp_path / "Testset/marple1/GroundTruth/003_gt.png")
    found = open_dataset(f"fbms:{tmp_path}").sequences[0]
    assert found.annotated == ("marple1_0001", "marple1_0003")
    assert [np.unique(found.first_labels()[:, x]).tolist() for x in (0, 4, 7)] == [[0], [2], [1]]
    other = open_dataset(f"fbms:{tmp_path}?background=10,0,0").sequences[0]
    assert other.first_labels()[0, 4] == 0
    with pytest.raises(InputError, match="no folder Trainingset"):
        open_dataset(f"fbms:{tmp_path}?split=train")
    with pytest.raises(InputError, match="written R,G,B"):
        open_dataset(f"fbms:{tmp_path}?background=white")


def test_youtubeobjects_sequences_have_categories(tmp_path: Path, image: Writer, mask: Writer) -> None:
    for t in range(3):
        image(f"JPEGImages/cat/0001/{t:05d}.jpg")
        image(f"JPEGImages/dog/0001/shots/002/{t:05d}.jpg")
    mask("Annotations/cat/0001/00001.png")
    mask("Annotations/dog/0001/shots/002/00000.png")
    found = open_dataset(f"youtubeobjects:{tmp_path}")
    assert [(s.name, s.category) for s in found] == [("cat/0001", "cat"), ("dog/0001/shots/002", "dog")]
    assert found.explain()[1] == "2 categories: cat, dog"


def test_segtrack_one_folder_per_object_and_other_names(tmp_path: Path, image: Writer, mask: Writer) -> None:
    for t in range(2):
        image(f"JPEGImages/bmx/bmx_{t:02d}.png")
        mask(f"GroundTruth/bmx/1/bmx_{t:02d}.png", (0, 255, 0))
        mask(f"GroundTruth/bmx/2/bmx_{t:02d}.png", (0, 0, 255))
        image(f"JPEGImages/girl/girl_{t:02d}.bmp")
        mask(f"GroundTruth/girl/{t}.png")
    bmx, girl = open_dataset(f"segtrack:{tmp_path}").sequences
    assert object_ids(bmx.first_labels()) == [1, 2]
    assert object_ids(girl.first_labels()) == [1]
    assert girl.annotated == ("girl_00", "girl_01")
    mask("GroundTruth/girl/odd.png")
    with pytest.raises(InputError, match="3 masks for 2 frames"):
        open_dataset(f"segtrack:{tmp_path}")


def test_pairs_tells_ids_from_0_255_and_stray_masks(tmp_path: Path, image: Writer, mask: Writer) -> None:
    for t in range(2):
        image(f"JPEGImages/a/{t:05d}.jpg")
        image(f"JPEGImages/b/{t:05d}.jpg")
        mask(f"Annotations/a/{t:05d}.png", (0, 255))
        mask(f"Annotations/b/{t:05d}.png", (0, 3, 7))
    mask("Annotations/b/00009.png")
    found = open_dataset(f"pairs:{tmp_path}")
    assert [object_ids(s.first_labels()) for s in found] == [[1], [3, 7]]
    assert any("1 mask(s) without a frame, such as 00009" in note for note in found.notes)
    (tmp_path / "ImageSets").mkdir()
    (tmp_path / "ImageSets/mine.txt").write_text("b\n")
    assert [s.name for s in open_dataset(f"pairs:{tmp_path}?split=mine")] == ["b"]


def test_damaged_masks_are_told_not_fatal(tmp_path: Path, image: Writer, mask: Writer) -> None:
    davis(image, mask, ("dogs",), (0, 1))
    path = tmp_path / "Annotations/480p/dogs/00000.png"
    path.write_bytes(path.read_bytes()[:40])
    found = open_dataset(f"davis17:{tmp_path}")
    with pytest.raises(DamagedMaskError, match="damaged mask"):
        found.sequences[0].first_labels()
    assert any("damaged mask" in line for line in found.explain())


STILLS = {
    "msra10k": ("MSRA10K_Imgs_GT/Imgs/{}.jpg", "MSRA10K_Imgs_GT/Imgs/{}.png"),
    "dut-omron": ("DUT-OMRON-image/{}.jpg", "pixelwiseGT-new-PNG/{}.png"),
    "duts": ("DUTS-TR/DUTS-TR-Image/{}.jpg", "DUTS-TR/DUTS-TR-Mask/{}.png"),
    "ecssd": ("images/{}.jpg", "ground_truth_mask/{}.png"),
    "big": ("val/{}_im.png", "val/{}_gt.png"),
    "hrsod": ("HRSOD_train/{}.jpg", "HRSOD_train_mask/{}.png"),
    "fss1000": ("abacus/{}.jpg", "abacus/{}.png"),
    "voc2012": ("JPEGImages/{}.jpg", "SegmentationObject/{}.png"),
    "stills": ("images/{}.jpg", "masks/{}.png"),
}


@pytest.mark.parametrize("kind", sorted(STILLS))
def test_photographs_in_their_layouts(kind: str, tmp_path: Path, image: Writer, mask: Writer) -> None:
    photograph, truth = STILLS[kind]
    for name in ("1", "2"):
        image(photograph.format(name))
        mask(truth.format(name))
    if kind == "voc2012":
        (tmp_path / "ImageSets/Segmentation").mkdir(parents=True)
        (tmp_path / "ImageSets/Segmentation/train.txt").write_text("1\n2\n3\n")
    found = open_stills(f"{kind}:{tmp_path}")
    assert [(s.image, s.mask) for s in found.stills] == [
        (tmp_path / photograph.format(name), tmp_path / truth.format(name)) for name in ("1", "2")
    ]
    assert f"{kind}" in found.explain()[0]
    assert (len(found.explain()) > 1) == (kind == "voc2012")
    with pytest.raises(InputError, match="split 'nothing' is not known"):
        open_stills(f"{kind}:{tmp_path}?split=nothing")


def test_a_folder_without_photographs_says_what_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="looked for images with ground_truth_mask"):
        open_stills(f"ecssd:{tmp_path}")
