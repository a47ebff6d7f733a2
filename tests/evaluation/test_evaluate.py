"""Folders of masks in, the field's numbers out."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rotoscope import evaluate
from rotoscope.errors import InputError
from rotoscope.evaluation.evaluate import Evaluation
from rotoscope.evaluation.protocol import protocol
from rotoscope.evaluation.report import as_record, write_csv

GOLDEN = Path(__file__).parent.parent / "golden"
EXPECTED = json.loads((GOLDEN / "davis_metrics.json").read_text())


def write(folder: Path, labels: np.ndarray) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for t, frame in enumerate(labels):
        picture = Image.fromarray(frame.astype(np.uint8))
        picture.putpalette([i * 7 % 256 for i in range(768)])
        picture.save(folder / f"{t:05d}.png")


def dataset(root: Path, sequences: dict[str, np.ndarray], annotations: str = "Annotations") -> Path:
    for name, labels in sequences.items():
        write(root / annotations / "480p" / name, labels)
        (root / "JPEGImages/480p" / name).mkdir(parents=True, exist_ok=True)
        for t in range(len(labels)):
            Image.fromarray(np.zeros((2, 2, 3), np.uint8)).save(root / "JPEGImages/480p" / name / f"{t:05d}.jpg")
    return root


def moving(frames: int, ids: tuple[int, ...] = (1,), shift: int = 0) -> np.ndarray:
    labels = np.zeros((frames, 40, 60), np.uint8)
    for t in range(frames):
        for slot, object_id in enumerate(ids):
            labels[t, 5 + 17 * slot : 18 + 17 * slot, 5 + t + shift : 25 + t + shift] = object_id
    return labels


def test_semi_supervised_equals_the_official_numbers(tmp_path: Path) -> None:
    maps = np.load(GOLDEN / "davis_metrics.npz")
    cases = sorted(name for name, case in EXPECTED.items() if "semi" in case)
    dataset(tmp_path / "data", {name: maps[f"{name}_gt"] for name in cases})
    for name in cases:
        write(tmp_path / "out" / name, maps[f"{name}_pred"])
    found = evaluate(tmp_path / "out", f"davis17:{tmp_path}/data", jobs=1)
    values = [o for name in cases for o in EXPECTED[name]["semi"]]
    assert len(found.objects) == len(values)
    for ours, expected in zip(found.objects, values, strict=True):
        np.testing.assert_allclose(ours.j, expected["J_frames"], atol=1e-6)
        np.testing.assert_allclose(ours.f, expected["F_frames"], atol=1e-6)
        np.testing.assert_allclose((ours.region.mean, ours.region.recall, ours.region.decay), expected["J"], atol=1e-6)
        np.testing.assert_allclose(
            (ours.contour.mean, ours.contour.recall, ours.contour.decay), expected["F"], atol=1e-6
        )
    overall = found.overall()
    assert overall["J mean"] == pytest.approx(np.mean([v["J"][0] for v in values]), abs=1e-6)
    assert overall["J&F"] == pytest.approx(np.mean([(v["J"][0] + v["F"][0]) / 2 for v in values]), abs=1e-6)
    parallel = evaluate(tmp_path / "out", f"davis17:{tmp_path}/data", jobs=2)
    assert parallel.objects == found.objects


def test_unsupervised_equals_the_official_numbers(tmp_path: Path) -> None:
    maps = np.load(GOLDEN / "davis_metrics.npz")
    cases = sorted(name for name, case in EXPECTED.items() if "unsupervised" in case)
    dataset(tmp_path / "data", {name: maps[f"{name}_gt"] for name in cases}, "Annotations_unsupervised")
    for name in cases:
        write(tmp_path / "out" / name, maps[f"{name}_pred"])
    found = evaluate(tmp_path / "out", f"davis17:{tmp_path}/data?task=unsupervised", "unsupervised", jobs=1)
    for name in cases:
        ours = {o.object_id: o for o in found.objects if o.sequence == name}
        for expected in EXPECTED[name]["unsupervised"]:
            scored = ours[expected["object"]]
            given = EXPECTED[name]["proposals"]
            assert scored.proposal == (expected["proposal"] if expected["proposal"] <= given else None)
            for statistics, key in ((scored.region, "J"), (scored.contour, "F")):
                triple = (statistics.mean, statistics.recall, statistics.decay)
                wanted = expected.get(key, [0.0, 0.0, 0.0])
                np.testing.assert_allclose(triple, wanted, atol=1e-6)


def test_davis16_merges_ids_and_measures_t(tmp_path: Path) -> None:
    dataset(tmp_path / "data", {"a": moving(6, (1, 2))})
    write(tmp_path / "out/a", (moving(6, (1, 2)) > 0) * 255)
    found = evaluate(tmp_path / "out", f"davis16:{tmp_path}/data", jobs=1)
    assert found.overall()["J mean"] == 1.0
    assert 0 <= found.overall()["T"] < 0.05
    assert len(found.objects[0].t) == 3
    assert "every mask equals the truth" in found.warnings[0]
    assert "T" not in evaluate(tmp_path / "out", f"davis16:{tmp_path}/data", stability=False, jobs=1).overall()


def test_frames_can_be_chosen(tmp_path: Path) -> None:
    dataset(tmp_path / "data", {"a": moving(6)})
    write(tmp_path / "out/a", moving(6, shift=1))
    counts = {
        frames: len(evaluate(tmp_path / "out", f"davis17:{tmp_path}/data", frames=frames, jobs=1).objects[0].j)
        for frames in ("inner", "all", "after-first")
    }
    assert counts == {"inner": 4, "all": 6, "after-first": 5}
    with pytest.raises(InputError, match="frames 'some' is not known"):
        protocol("davis17", frames="some")
    with pytest.raises(InputError, match="no protocol for task 'zero-shot'; it has unsupervised"):
        protocol("fbms", "zero-shot")


def damaged(tmp_path: Path) -> Evaluation:
    dataset(tmp_path / "data", {"a": moving(8)})
    write(tmp_path / "out/a", moving(8))
    broken = tmp_path / "out/a/00002.png"
    broken.write_bytes(broken.read_bytes()[:60])
    (tmp_path / "out/a/00003.png").unlink()
    Image.fromarray(moving(8)[4][:20]).save(tmp_path / "out/a/00004.png")
    return evaluate(tmp_path / "out", f"davis17:{tmp_path}/data", jobs=1)


def test_damage_missing_frames_and_wrong_sizes_are_a_line_each_and_count_as_empty(tmp_path: Path) -> None:
    found = damaged(tmp_path)
    assert len(found.problems) == 3
    text = "\n".join(found.problems)
    assert "00002.png: damaged mask" in text
    assert "no mask for frame 00003. Counted as empty" in text
    assert "1 mask(s) of 60x20, another size than the truth, such as frame 00004" in text
    assert found.objects[0].j == (1.0, 0.0, 0.0, 0.0, 1.0, 1.0)
    assert not any("equals the truth" in line for line in found.warnings)


def test_each_wrong_size_is_told_with_a_frame_of_its_own(tmp_path: Path) -> None:
    dataset(tmp_path / "data", {"a": moving(6)})
    write(tmp_path / "out/a", moving(6))
    for t, rows in ((2, 20), (3, 30), (4, 20)):
        Image.fromarray(moving(6)[t][:rows]).save(tmp_path / f"out/a/{t:05d}.png")
    text = "\n".join(evaluate(tmp_path / "out", f"davis17:{tmp_path}/data", jobs=1).problems)
    assert "2 mask(s) of 60x20, another size than the truth, such as frame 00002" in text
    assert "1 mask(s) of 60x30, another size than the truth, such as frame 00003" in text


def test_missing_sequences_are_refused_and_splits_told_apart(tmp_path: Path) -> None:
    dataset(tmp_path / "data", {"a": moving(4), "b": moving(4), "c": moving(4)})
    (tmp_path / "data/ImageSets/2017").mkdir(parents=True)
    (tmp_path / "data/ImageSets/2017/val.txt").write_text("a\nb\n")
    (tmp_path / "data/ImageSets/2017/train.txt").write_text("c\n")
    write(tmp_path / "out/c", moving(4))
    with pytest.raises(
        InputError, match=r"no results for 2 of 2 sequences: a, b\. These look like results of split train"
    ):
        evaluate(tmp_path / "out", f"davis17:{tmp_path}/data")
    write(tmp_path / "out/a", moving(4))
    with pytest.raises(InputError, match="score the rest with --partial"):
        evaluate(tmp_path / "out", f"davis17:{tmp_path}/data")
    found = evaluate(tmp_path / "out", f"davis17:{tmp_path}/data", partial=True)
    assert [o.sequence for o in found.objects] == ["a"]
    assert any("they are of split train" in line for line in found.warnings)
    assert any("scored 1 of 2 sequences; without b" in line for line in found.warnings)


def test_traps_are_warned_of(tmp_path: Path) -> None:
    dataset(tmp_path / "data", {"one": moving(5), "two": moving(5, (1, 2))})
    write(tmp_path / "out/one", moving(5, shift=1) * 255)
    write(tmp_path / "out/two", np.where(moving(5, (1, 2)) == 2, 255, moving(5, (1, 9))))
    write(tmp_path / "out/two", np.where(moving(5, (1, 2)) == 2, 255, moving(5, (9, 2)) * (moving(5, (9, 2)) == 9)))
    Image.fromarray(moving(5)[0]).save(tmp_path / "out/one/00099.png")
    found = evaluate(tmp_path / "out", f"davis17:{tmp_path}/data", jobs=1)
    text = "\n".join(found.warnings)
    assert "0/255 where ids are expected; 255 read as object 1" in text
    assert "value 255 where ids are expected" in text
    assert "predicted id(s) 9 are no object's" in text
    assert "1 mask(s) of frames that are not in the data set, 00099 first" in text
    assert found.objects[0].region.mean > 0.8
    assert found.objects[1].region.mean == 0


def test_soft_masks_and_colours_are_understood(tmp_path: Path) -> None:
    from rotoscope.masks.palette import davis_palette

    dataset(tmp_path / "data", {"a": moving(4), "b": moving(4, (1, 2))})
    (tmp_path / "out/a").mkdir(parents=True)
    (tmp_path / "out/b").mkdir()
    for t in range(4):
        soft = np.where(moving(4)[t] > 0, 200, 90).astype(np.uint8)
        Image.fromarray(soft).save(tmp_path / f"out/a/{t:05d}.png")
        Image.fromarray(davis_palette()[moving(4, (1, 2))[t]]).save(tmp_path / f"out/b/{t:05d}.png")
    found = evaluate(tmp_path / "out", f"davis17:{tmp_path}/data", jobs=1)
    assert found.overall()["J mean"] == 1.0
    assert any("soft mask" in line for line in found.warnings)
    assert any("ids read by the DAVIS palette" in line for line in found.warnings)


def test_youtubevos_scores_after_each_objects_first_frame(tmp_path: Path) -> None:
    truth = moving(6, (1, 2))
    truth[:2][truth[:2] == 2] = 0
    root = tmp_path / "data/valid"
    write(root / "Annotations/v", truth)
    (root / "JPEGImages/v").mkdir(parents=True)
    names = [f"{t:05d}" for t in range(6)]
    for name in names:
        Image.fromarray(np.zeros((2, 2, 3), np.uint8)).save(root / f"JPEGImages/v/{name}.jpg")
    objects = {"1": {"category": "dog", "frames": names}, "2": {"category": "yak", "frames": names[2:]}}
    (root / "meta.json").write_text(json.dumps({"videos": {"v": {"objects": objects}}}))
    (tmp_path / "data/train").mkdir()
    (tmp_path / "data/train/meta.json").write_text(
        json.dumps({"videos": {"t": {"objects": {"1": {"category": "dog", "frames": []}}}}})
    )
    ours = truth.copy()
    ours[4:][ours[4:] == 2] = 0
    write(tmp_path / "out/v", ours)
    found = evaluate(tmp_path / "out", f"youtubevos:{tmp_path}/data", jobs=1)
    assert [o.frames for o in found.objects] == [tuple(names[1:]), tuple(names[3:])]
    overall = found.overall()
    assert overall["J seen"] == 1.0
    assert overall["J unseen"] == pytest.approx(1 / 3)
    assert overall["G"] == pytest.approx((1 + 1 + 1 / 3 + 1 / 3) / 4)


def test_annotations_kept_by_a_server_cannot_be_scored(tmp_path: Path) -> None:
    dataset(tmp_path / "data", {"a": moving(4)})
    for t in range(1, 4):
        (tmp_path / f"data/Annotations/480p/a/{t:05d}.png").unlink()
    write(tmp_path / "out/a", moving(4))
    with pytest.raises(InputError, match="only its first frame is annotated"):
        evaluate(tmp_path / "out", f"davis17:{tmp_path}/data")


def test_categories_and_numbers_of_objects_are_averaged(tmp_path: Path) -> None:
    for name, ids in (("cat/1", (1,)), ("cat/2", (1,)), ("dog/1", (1,))):
        write(tmp_path / "data/Annotations" / name, moving(3, ids))
        for t in range(3):
            path = tmp_path / "data/JPEGImages" / name / f"{t:05d}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.zeros((2, 2, 3), np.uint8)).save(path)
        write(tmp_path / "out" / name, moving(3, ids) * (0 if name == "dog/1" else 1))
    found = evaluate(tmp_path / "out", f"youtubeobjects:{tmp_path}/data", jobs=1)
    assert [(name, values["J mean"]) for name, values in found.by_category()] == [("cat", 1.0), ("dog", 0.0)]
    assert found.overall()["J mean over categories"] == 0.5
    assert found.overall()["J mean"] == pytest.approx(2 / 3)
    assert [name for name, _ in found.by_instances()] == ["1"]


def test_the_record_says_where_it_comes_from(tmp_path: Path) -> None:
    found = damaged(tmp_path)
    record = json.loads(json.dumps(as_record(found)))
    assert record["protocol"]["name"] == "DAVIS 2017 semi-supervised"
    assert record["made_by"]["rotoscope"]
    assert record["made_by"]["packages"]["numpy"] == np.__version__
    assert record["objects"][0]["J"] == [1.0, 0.0, 0.0, 0.0, 1.0, 1.0]
    assert len(record["problems"]) == 3
    write_csv(found, tmp_path / "scores.csv")
    lines = (tmp_path / "scores.csv").read_text().splitlines()
    assert lines[0].startswith("sequence,object,category,proposal,J&F")
    assert [line.split(",")[0] for line in lines[1:]] == ["a", "all"]


def test_no_results_at_all(tmp_path: Path) -> None:
    dataset(tmp_path / "data", {"a": moving(4)})
    with pytest.raises(InputError, match="no such folder of results"):
        evaluate(tmp_path / "nothing", f"davis17:{tmp_path}/data")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no folders"):
        evaluate(tmp_path / "empty", f"davis17:{tmp_path}/data")


def test_processes_work_after_libraries_have_used_threads(tmp_path: Path) -> None:
    """A forked process would wait for ever for OpenCV's threads, which do not live on in it."""
    import cv2

    cv2.setNumThreads(4)
    for _ in range(20):
        cv2.remap(np.zeros((900, 900, 3), np.uint8), *np.zeros((2, 900, 900), np.float32), cv2.INTER_LINEAR)
    dataset(tmp_path / "data", {"a": moving(4), "b": moving(4)})
    for name in ("a", "b"):
        write(tmp_path / "out" / name, moving(4))
    for kind in ("davis16", "davis17"):  # with T, in processes; without, in threads
        found = evaluate(tmp_path / "out", f"{kind}:{tmp_path}/data", jobs=2)
        assert found.overall()["J mean"] == 1.0
