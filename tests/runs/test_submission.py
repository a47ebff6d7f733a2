"""Sets whose truth is hidden: masks in the server's form, packed, read back; the record of speed is kept."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from conftest import first_mask, moving
from rotoscope.cli import main
from rotoscope.datasets.spec import open_dataset
from rotoscope.errors import InputError, RotoscopeError
from rotoscope.evaluation.protocol import protocol
from rotoscope.masks.palette import davis_palette
from rotoscope.runs.submission import check_ids, faults_of, pack

SIZE = (64, 48)


def write_frames(folder: Path, names: list[str], seed: int = 0) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, image in zip(names, moving(len(names), seed=seed), strict=True):
        Image.fromarray(image).save(folder / f"{name}.jpg")


def write_mask(path: Path, labels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.fromarray(labels.astype(np.uint8))
    picture.putpalette(davis_palette().ravel().tolist())
    picture.save(path)


@pytest.fixture
def youtubevos(tmp_path: Path) -> Path:
    """Validation set of two videos, every second frame annotated by rule; an object of the first begins late."""
    root = tmp_path / "YTVOS"
    sparse = ["00000", "00002", "00004"]
    write_frames(root / "valid_all_frames" / "JPEGImages" / "aa", [f"{t:05d}" for t in range(6)])
    write_frames(root / "valid_all_frames" / "JPEGImages" / "bb", [f"{t:05d}" for t in range(6)], seed=1)
    for video in ("aa", "bb"):
        folder = root / "valid" / "JPEGImages" / video
        folder.mkdir(parents=True)
        for name in sparse:
            source = root / "valid_all_frames" / "JPEGImages" / video / f"{name}.jpg"
            (folder / source.name).write_bytes(source.read_bytes())
    mask = first_mask()
    late = np.roll(mask, 12, axis=1) & ~mask
    write_mask(root / "valid" / "Annotations" / "aa" / "00000.png", mask * 3)
    write_mask(root / "valid" / "Annotations" / "aa" / "00002.png", late * 5)
    write_mask(root / "valid" / "Annotations" / "bb" / "00000.png", mask * 1)
    objects = {
        "aa": {"3": {"category": "cat", "frames": sparse}, "5": {"category": "dog", "frames": sparse[1:]}},
        "bb": {"1": {"category": "cat", "frames": sparse}},
    }
    meta = {"videos": {name: {"objects": facts} for name, facts in objects.items()}}
    (root / "valid" / "meta.json").write_text(json.dumps(meta))
    return root


@pytest.fixture
def davis(tmp_path: Path) -> Path:
    """DAVIS 2017 test-dev: the first frame's masks only."""
    root = tmp_path / "DAVIS"
    for number, name in enumerate(("car", "tractor")):
        write_frames(root / "JPEGImages" / "480p" / name, [f"{t:05d}" for t in range(4)], seed=number)
        write_mask(root / "Annotations" / "480p" / name / "00000.png", first_mask() * 2)
    (root / "ImageSets" / "2017").mkdir(parents=True)
    (root / "ImageSets" / "2017" / "test-dev.txt").write_text("car\ntractor\n")
    return root


def predict(spec: str, out: Path, weights: Path, *more: str) -> int:
    given = ["predict", "stcn", "--weights", str(weights), "--dataset", spec, "-o", str(out), "--device", "cpu", *more]
    return main(given)


def entries(archive: Path) -> list[str]:
    with zipfile.ZipFile(archive) as packed:
        return sorted(packed.namelist())


@pytest.mark.parametrize("split", ["valid", "valid_all_frames"])
def test_youtubevos_is_packed_with_the_frames_that_its_server_takes(
    split: str, youtubevos: Path, tmp_path: Path, tiny_weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert predict(f"youtubevos:{youtubevos}?split={split}", out, tiny_weights) == 0
    names = ("00000", "00002", "00004")
    expected = [f"Annotations/{video}/{name}.png" for video in ("aa", "bb") for name in names]
    assert entries(out / "youtubevos.zip") == expected
    with zipfile.ZipFile(out / "youtubevos.zip") as packed:
        first = Image.open(packed.open("Annotations/aa/00000.png"))
        assert first.mode == "P"
        assert first.getpalette() == davis_palette().ravel().tolist()
        assert set(np.unique(np.asarray(first))) == {0, 3}  # object 5 has not appeared
        assert np.array_equal(np.asarray(first) == 3, first_mask())
    record = json.loads((out / "speed.json").read_text())
    assert record["speed"]["frames"] == (12 if split == "valid_all_frames" else 6)
    assert record["speed"]["frames_per_second"] > 0
    assert "6 masks, as its server takes them; read back" in " ".join(capsys.readouterr().out.split())


def test_davis_test_dev_is_packed_as_folders_of_sequences(davis: Path, tmp_path: Path, tiny_weights: Path) -> None:
    out = tmp_path / "out"
    assert predict(f"davis17:{davis}?split=test-dev", out, tiny_weights) == 0
    assert entries(out / "davis17.zip") == [f"{s}/{t:05d}.png" for s in ("car", "tractor") for t in range(4)]


def test_an_image_that_cannot_be_read_is_told_before_hours_of_work(
    davis: Path, tmp_path: Path, tiny_weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = next((davis / "JPEGImages" / "480p" / "tractor").glob("00002.*"))
    image.write_bytes(image.read_bytes()[:30])
    out = tmp_path / "out"
    assert predict(f"davis17:{davis}?split=test-dev", out, tiny_weights) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert f"{image}: frame 2 cannot be read" in said
    assert not out.exists()


@pytest.mark.parametrize("name", ["davis17.zip", "speed.json"])
def test_what_is_there_is_not_replaced(
    davis: Path, tmp_path: Path, tiny_weights: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / name).write_text("of somebody else")
    assert predict(f"davis17:{davis}?split=test-dev", out, tiny_weights) == 2
    assert f"{name}: is there already" in "".join(capsys.readouterr().err.splitlines())
    assert [path.read_text() for path in out.iterdir()] == ["of somebody else"]


def test_benchmark_refuses_hidden_truth_before_anything_is_done(
    davis: Path, youtubevos: Path, tmp_path: Path, tiny_weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for spec in (f"davis17:{davis}?split=test-dev", f"youtubevos:{youtubevos}?split=valid"):
        out = tmp_path / "out"
        given = ["benchmark", "stcn", "--weights", str(tiny_weights), "--dataset", spec, "-o", str(out)]
        assert main(given) == 2
        assert "2 of 2 sequences" in " ".join((said := capsys.readouterr().err).split())
        assert "rotoscope predict stcn" in " ".join(said.split())
        assert not out.exists()


@pytest.fixture
def archived(davis: Path, tmp_path: Path) -> Callable[..., list[str]]:
    """Packs masks of two sequences as they are, or changed, and gives the faults of the archive."""

    def make(name: str, change: Callable[[Path], None]) -> list[str]:
        masks = tmp_path / "masks"
        for sequence in ("car", "tractor"):
            for t in range(4):
                write_mask(masks / sequence / f"{t:05d}.png", first_mask() * 2)
        change(masks / "car" / name)
        archive = tmp_path / "given.zip"
        with zipfile.ZipFile(archive, "w") as packed:
            for path in sorted(masks.rglob("*.*")):
                packed.write(path, path.relative_to(masks).as_posix())
        return faults_of(archive, open_dataset(f"davis17:{davis}?split=test-dev"), protocol("davis17"))

    return make


def grey(path: Path) -> None:
    Image.fromarray(first_mask().astype(np.uint8) * 2).save(path)


def other_palette(path: Path) -> None:
    picture = Image.fromarray(first_mask().astype(np.uint8) * 2)
    picture.putpalette([i // 3 for i in range(768)])
    picture.save(path)


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("00002.png", lambda path: path.unlink(), "car/00002.png is missing"),
        ("00009.png", lambda path: write_mask(path, first_mask()), "car/00009.png belongs to no frame"),
        ("00001.png", lambda path: write_mask(path, first_mask() * 7), "holds id(s) 7, which no object has by then"),
        ("00001.png", lambda path: write_mask(path, first_mask()[:-1] * 2), "not of its frame's size"),
        ("00001.png", grey, "is PNG L, not a palette PNG"),
        ("00001.png", other_palette, "has another palette than DAVIS"),
        ("00001.png", lambda path: path.write_bytes(b"broken"), "cannot be read"),
    ],
)
def test_what_a_server_would_not_take_is_found(
    name: str, change: Callable[[Path], None], said: str, archived: Callable[..., list[str]]
) -> None:
    faults = archived(name, change)
    assert len(faults) == 1
    assert said in faults[0]


def test_a_wrong_archive_is_not_left_behind(davis: Path, tmp_path: Path) -> None:
    dataset = open_dataset(f"davis17:{davis}?split=test-dev")
    for sequence in ("car", "tractor"):
        for t in range(4):
            write_mask(tmp_path / "masks" / sequence / f"{t:05d}.png", first_mask() * (2 if t else 9))
    with pytest.raises(RotoscopeError, match=r"car/00000.png holds id\(s\) 9.*; tractor/00000.png"):
        pack(dataset, protocol("davis17"), tmp_path / "masks", tmp_path / "out.zip")
    (tmp_path / "masks" / "car" / "00003.png").unlink()
    with pytest.raises(InputError, match=r"00003.png: is not there"):
        pack(dataset, protocol("davis17"), tmp_path / "masks", tmp_path / "out.zip")
    assert not (tmp_path / "out.zip").exists()


def test_objects_without_masks_may_have_twenty_ids(davis: Path, tmp_path: Path) -> None:
    dataset = open_dataset(f"davis17:{davis}?split=test-dev")
    for sequence in ("car", "tractor"):
        for t in range(4):
            write_mask(tmp_path / "masks" / sequence / f"{t:05d}.png", first_mask() * 20)
    packed = pack(dataset, protocol("davis17", "unsupervised"), tmp_path / "masks", tmp_path / "out.zip")
    assert (packed.sequences, packed.frames, packed.bytes) == (2, 8, (tmp_path / "out.zip").stat().st_size)


def test_ids_that_no_mask_of_a_server_can_hold(davis: Path) -> None:
    labels = Image.fromarray((first_mask() * 300).astype(np.uint16))
    labels.save(davis / "Annotations" / "480p" / "car" / "00000.png")
    with pytest.raises(InputError, match="car: has object 300"):
        check_ids(open_dataset(f"davis17:{davis}?split=test-dev"), protocol("davis17"))
