"""A data set is checked whole before its first sequence is segmented."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from conftest import first_mask, moving
from rotoscope.datasets.sequences import VideoDataset
from rotoscope.datasets.spec import open_dataset
from rotoscope.errors import InputError
from rotoscope.evaluation.protocol import protocol
from rotoscope.methods.base import Method, Prediction
from rotoscope.runs.dataset import segment_dataset

LENGTHS = {"a": 4, "b": 3}


@pytest.fixture
def dataset(tmp_path: Path) -> VideoDataset:
    for number, (name, length) in enumerate(LENGTHS.items()):
        for room in ("JPEGImages", "Annotations"):
            (tmp_path / "data" / room / name).mkdir(parents=True)
        for t, image in enumerate(moving(length, seed=number)):
            Image.fromarray(image).save(tmp_path / "data" / "JPEGImages" / name / f"{t:05d}.jpg")
            labels = first_mask().astype(np.uint8) * 3
            Image.fromarray(labels).save(tmp_path / "data" / "Annotations" / name / f"{t:05d}.png")
    return open_dataset(f"pairs:{tmp_path / 'data'}")


def test_every_sequence_gets_a_folder_and_counts(dataset: VideoDataset, tiny_stcn: Method, tmp_path: Path) -> None:
    seen: list[int] = []
    run = segment_dataset(
        dataset, protocol("pairs"), tiny_stcn, tmp_path / "out", lambda p: seen.append(p.index), memory="lfu:2"
    )
    for name, length in LENGTHS.items():
        assert sorted(p.name for p in (tmp_path / "out" / name).iterdir()) == [f"{t:05d}.png" for t in range(length)]
        first = np.asarray(Image.open(tmp_path / "out" / name / "00000.png"))
        assert np.array_equal(first == 3, first_mask())
    assert seen == [0, 1, 2, 3, 0, 1, 2]
    record = run.as_record()
    assert record["frames"] == 7
    assert record["memory_in_frames"] == 2
    assert record["seconds"] > record["seconds_in_the_network"] > 0
    assert set(record["frames_per_second_by_sequence"]) == set(LENGTHS)


def answered(prediction: Prediction) -> None:
    raise AssertionError(f"frame {prediction.index} was segmented")


def test_a_fault_of_the_last_sequence_is_found_before_the_first_is_segmented(
    dataset: VideoDataset, tiny_stcn: Method, tmp_path: Path
) -> None:
    (tmp_path / "data" / "JPEGImages" / "b" / "00000.jpg").write_bytes(b"broken")
    with pytest.raises(InputError, match="frame 0, but that frame of b cannot be read"):
        segment_dataset(dataset, protocol("pairs"), tiny_stcn, tmp_path / "out", answered)
    assert not (tmp_path / "out").exists()


def test_wrong_options_and_places(dataset: VideoDataset, tiny_stcn: Method, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="top_k 'many'"):
        segment_dataset(dataset, protocol("pairs"), tiny_stcn, tmp_path / "out", answered, top_k="many")
    assert not (tmp_path / "out").exists()
    with pytest.raises(InputError, match="holds something already"):
        segment_dataset(dataset, protocol("pairs"), tiny_stcn, tmp_path / "data", answered)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written to"):
        segment_dataset(dataset, protocol("pairs"), tiny_stcn, tmp_path / "file", answered)
