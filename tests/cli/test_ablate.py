"""``rotoscope ablate`` from end to end, on small clips."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from conftest import tiny
from rotoscope.cli import main
from rotoscope.datasets.long_clips import long_clip, wandering, write_long_clips
from rotoscope.datasets.photographs import Photographs
from rotoscope.errors import InputError
from rotoscope.experiments.ablate import find_recipe_of, scaled
from rotoscope.methods import ablations
from rotoscope.runs.options import check_options
from rotoscope.weights import find, save_method
from rotoscope.weights.store import file_hash


def test_a_table_of_inference_rows(
    tmp_path: Path, photographs_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["ablate", "usage", "--long", "1", "--long-frames", "14", "--long-size", "64", "--jobs", "1"]
    assert main([*arguments, "--data", str(photographs_folder), "-o", str(tmp_path / "run")]) == 0
    text = capsys.readouterr().out
    assert "thesis, table 4" in text
    assert "softmax weight" in text
    assert "83.0" in text
    record = json.loads((tmp_path / "run/results.json").read_text())
    assert [row["row"]["name"] for row in record["rows"]] == ["top-k count", "softmax weight"]
    assert all(row["remembered"] <= 2 for row in record["rows"])
    assert main([*arguments, "--data", str(photographs_folder), "-o", str(tmp_path / "run")]) == 2


def test_a_table_of_trained_rows(tmp_path: Path, photographs_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import rotoscope.experiments.ablate

    small = scaled(find_recipe_of(ablations()["regularisers"]), 0.001).changed(
        ["stages=1x48x3x1,1x48x3x1,1x48x3x1", "validation_clips=2"]
    )
    monkeypatch.setattr(rotoscope.experiments.ablate, "find_recipe_of", lambda table: small)
    arguments = ["ablate", "regularisers", "--long", "1", "--long-frames", "8", "--long-size", "64", "--scale", "1"]
    data = ["--data", str(photographs_folder), "--device", "cpu", "--jobs", "1"]
    assert main([*arguments, *data, "-o", str(tmp_path / "run")]) == 0
    rows = json.loads((tmp_path / "run/results.json").read_text())["rows"]
    assert len({Path(row["weights"]).read_bytes() for row in rows}) == 3  # each row was trained in its own way


def test_the_table_of_agame_trains_its_rows_without_weights_of_the_method(
    tmp_path: Path, photographs_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import rotoscope.experiments.ablate

    changes = ["stages=1x64x3x1", "validation_clips=2", "config.propagation_dim=16", "config.appearance_dim=16"]
    small = find_recipe_of(ablations()["agame"]).changed(changes)
    monkeypatch.setattr(rotoscope.experiments.ablate, "find_recipe_of", lambda table: small)
    arguments = ["ablate", "agame", "--long", "1", "--long-frames", "4", "--long-size", "64", "--scale", "1"]
    data = ["--data", str(photographs_folder), "--device", "cpu", "--jobs", "1"]
    assert main([*arguments, *data, "-o", str(tmp_path / "run")]) == 0
    rows = json.loads((tmp_path / "run/results.json").read_text())["rows"]
    assert len({Path(row["weights"]).read_bytes() for row in rows}) == len(rows) == 7
    assert "softmax appearance classifier" in capsys.readouterr().out


def test_a_table_without_training_takes_weights_that_are_given(tmp_path: Path, photographs_folder: Path) -> None:
    model = tiny("giel")
    save_method(tmp_path / "tiny.safetensors", "giel", model.config, model.state_dict())
    arguments = ["ablate", "giel-support", "--long", "1", "--long-frames", "7", "--long-size", "48", "--jobs", "1"]
    arguments += ["--data", str(photographs_folder), "--device", "cpu"]
    assert (
        main(
            [
                *arguments,
                "-o",
                str(tmp_path / "run"),
                "--weights",
                str(tmp_path / "tiny.safetensors"),
                "--precision",
                "exact",
            ]
        )
        == 0
    )
    rows = json.loads((tmp_path / "run/results.json").read_text())["rows"]
    kept = {row["row"]["name"]: row["remembered"] for row in rows}
    assert (kept["first"], kept["previous"], kept["2"], kept["3"], kept["6"]) == (1, 1, 4, 6, 7)


def test_every_row_is_a_config_that_exists_and_changes_something() -> None:
    for table in ablations().values():
        model = tiny(find(table.weights).method)
        unchanged = []
        for row in table.rows:
            check_options(model, row.options)
            config = model.configured(row.options)
            assert {name: getattr(config, name) for name in row.options} == dict(row.options)
            if table.recipe and row.settings and find_recipe_of(table).changed(row.settings) == find_recipe_of(table):
                unchanged.append(row.name)
        assert len(unchanged) <= 1, (table.name, unchanged)  # the row that the small recipe is itself


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["ablate", "polices"], "did you mean 'policies'"),
        (["ablate", "policies"], "nothing to score on"),
        (["ablate", "policies", "--long", "1"], "no training data"),
    ],
)
def test_bad_input(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ROTOSCOPE_DATA", raising=False)
    assert main(arguments) == 2
    assert message in capsys.readouterr().err


def test_long_clips_are_a_function_of_their_seed(photographs_folder: Path) -> None:
    photographs = Photographs.open(photographs_folder)
    first, labels = long_clip(photographs, 30, 64, (3,))
    again, _ = long_clip(photographs, 30, 64, (3,))
    assert np.array_equal(first, again)
    assert {1, 2} <= set(np.unique(labels[0]))
    assert set(np.unique(labels)) <= {0, 1, 2}


def test_hidden_objects_go_whole_and_come_back(photographs_folder: Path) -> None:
    _, labels = long_clip(Photographs.open(photographs_folder), 40, 64, (3,), 2, "hidden")
    for number in (1, 2):
        counts = (labels == number).sum(axis=(1, 2))
        gone = np.flatnonzero(counts == 0)
        assert len(gone) >= 5
        assert counts[0] > 16
        assert counts[-4:].max() > 16
        assert np.all(np.diff(gone) == 1)  # once, and not in pieces


def test_clips_too_short_to_hide_in(photographs_folder: Path) -> None:
    with pytest.raises(InputError, match="30 frames are too short for hidden objects; give at least 40"):
        long_clip(Photographs.open(photographs_folder), 30, 64, (3,), 2, "hidden")


def test_small_objects_are_small(photographs_folder: Path) -> None:
    _, labels = long_clip(Photographs.open(photographs_folder), 10, 128, (3,), 2, "small")
    for number in (1, 2):
        assert 9 < (labels[0] == number).sum() < (0.12 * 128) ** 2
        seen = [np.argwhere(label == number).mean(axis=0) for label in labels if (label == number).any()]
        assert np.abs(np.diff(seen, axis=0)).max() < 0.03 * 128  # slow: only their size is hard


def test_a_kind_of_clips_that_there_is_not(photographs_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["ablate", "policies", "--long", "1", "--long-kind", "hiden", "--data", str(photographs_folder)]
    assert main(arguments) == 2
    assert "kind of long clips 'hiden' is not known" in capsys.readouterr().err


def test_wandering_paths_do_not_leave_for_good() -> None:
    path = wandering(np.random.default_rng(0), 2000, (50, 50), 30, 1.0, periods=(60, 160), turn=0.2)
    assert np.abs(path.centre - 50).max() <= 30
    assert np.abs(path.centre - 50).max(axis=1)[:1000].min() < 12
    assert np.abs(np.diff(path.centre, axis=0)).max() < 30 * 2 * np.pi / 60


def test_weights_of_ones_own_for_rows_that_are_not_trained(
    tmp_path: Path, photographs_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = tiny("cosnet")
    path = tmp_path / "cosnet.safetensors"
    save_method(path, "cosnet", model.config, model.state_dict())
    arguments = ["ablate", "cosnet-references", "--long", "1", "--long-frames", "3", "--long-size", "64", "--jobs", "1"]
    common = ["--data", str(photographs_folder), "--device", "cpu", "-o", str(tmp_path / "run")]
    assert main([*arguments, "--weights", str(path), *common]) == 0
    assert "71.3" in capsys.readouterr().out
    rows = json.loads((tmp_path / "run/results.json").read_text())["rows"]
    assert [row["row"]["options"]["references"] for row in rows] == [0, 1, 2, 5, 7]
    assert [row["remembered"] for row in rows] == [0, 3, 3, 3, 3]  # of a clip of three frames


def test_a_table_is_resumed_row_by_row(
    tmp_path: Path, photographs_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Finished rows are not run again, rows that are trained alike share weights, and other settings are refused."""
    import rotoscope.experiments.ablate as module

    small = scaled(find_recipe_of(ablations()["small-choices"]), 0.001).changed(
        ["stages=2x48x3x1", "validation_clips=2"]
    )
    monkeypatch.setattr(module, "find_recipe_of", lambda table: small)
    arguments = ["ablate", "small-choices", "--long", "1", "--long-frames", "5", "--long-size", "64", "--scale", "1"]
    arguments += ["--data", str(photographs_folder), "--device", "cpu", "--jobs", "1", "-o", str(tmp_path / "run")]
    rows = ["--row", "stcn-small", "--row", "11", "--row", "trunk frozen"]
    trained: list[str] = []
    train = module.AblationRun._train

    def stop_at_the_second(self: module.AblationRun, recipe: object, place: Path) -> Path:
        trained.append(place.parent.name)
        if len(trained) == 2:
            (tmp_path / "run/row-2/long").mkdir(parents=True)
            raise KeyboardInterrupt
        return train(self, recipe, place)  # type: ignore[arg-type]

    monkeypatch.setattr(module.AblationRun, "_train", stop_at_the_second)
    assert main([*arguments, *rows]) == 130
    assert main([*arguments, *rows]) == 2
    assert "--resume" in capsys.readouterr().err
    assert main([*arguments, *rows, "--resume", "--set", "learning_rate=1"]) == 2
    assert "(settings)" in capsys.readouterr().err
    assert main([*arguments, "--row", "nonsense", "--resume"]) == 2
    assert main([*arguments, *rows, "--resume"]) == 0
    assert "short side 384" in capsys.readouterr().out
    assert trained == ["row-0", "row-2", "row-2", "row-0"]
    record = json.loads((tmp_path / "run/results.json").read_text())
    assert [row["number"] for row in record["rows"]] == [0, 2, 11]
    assert record["rows"][0]["weights"] == record["rows"][2]["weights"] != record["rows"][1]["weights"]


LONG = ["--long", "1", "--long-frames", "3", "--long-size", "64", "--jobs", "1", "--device", "cpu"]


def test_two_data_sets_of_one_kind_keep_apart_and_damage_is_told(
    tmp_path: Path, photographs_folder: Path, tiny_weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photographs = Photographs.open(photographs_folder)
    sets = [str(write_long_clips(photographs, tmp_path / name, 1, 4, 64, 2)) for name in ("a", "b")]
    last = max(Path(sets[1]).rglob("JPEGImages/*/*"))
    last.write_bytes(last.read_bytes()[:40])
    given = ["ablate", "usage", "--row", "0", "--weights", str(tiny_weights), "--jobs", "1", "--device", "cpu"]
    given += ["--dataset", f"pairs:{sets[0]}", "--dataset", f"pairs:{sets[1]}", "-o", str(tmp_path / "run")]
    assert main(given) == 1
    assert f"{last.name}: frame 3" in "".join(capsys.readouterr().err.split("\n"))
    (row,) = json.loads((tmp_path / "run/results.json").read_text())["rows"]
    assert sorted(row["scores"]) == ["pairs", "pairs-2"]
    assert len(row["problems"]) == 1
    assert (tmp_path / "run/row-0/pairs").is_dir()


def test_a_table_that_was_stopped_before_its_first_row_goes_on(
    tmp_path: Path, photographs_folder: Path, tiny_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = ["ablate", "usage", "--row", "0", "--weights", str(tiny_weights), *LONG, "--data", str(photographs_folder)]
    given += ["-o", str(tmp_path / "run")]

    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("rotoscope.experiments.long_sets.write_long_clips", stopped)
        assert main(given) == 130
    assert main([*given, "--resume"]) == 0


@pytest.mark.parametrize("text", ["[]", "{", "{}"])
def test_results_that_are_no_tables_are_refused_in_a_line(
    tmp_path: Path, tiny_weights: Path, photographs_folder: Path, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "results.json").write_text(text)
    given = ["ablate", "usage", "--weights", str(tiny_weights), *LONG, "--data", str(photographs_folder)]
    assert main([*given, "-o", str(tmp_path), "--resume"]) == 2
    assert "results.json: is none of a table" in capsys.readouterr().err


def test_rows_tell_their_mean_memory_and_their_weights(
    tmp_path: Path, clip: np.ndarray, mask: np.ndarray, tiny_weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In a folder that is not there yet, on a data set alone."""
    for t, frame in enumerate(clip):
        for kind, picture in (("JPEGImages", frame), ("Annotations", np.roll(mask, 2 * t, axis=1).astype(np.uint8))):
            place = tmp_path / "data" / kind / "480p" / "a" / f"{t:05d}.png"
            place.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture).save(place.with_suffix(".jpg" if kind == "JPEGImages" else ".png"))
    arguments = ["ablate", "capacity", "--row", "lfu:1", "--row", "lfu:2", "--dataset", f"davis16:{tmp_path}/data"]
    run = tmp_path / "new" / "run"
    assert main([*arguments, "--weights", str(tiny_weights), "--jobs", "1", "-o", str(run)]) == 0
    rows = json.loads((run / "results.json").read_text())["rows"]
    assert [row["remembered"] for row in rows] == [1.0, 2.0]
    assert rows[0]["remembered_on_average"] == 1.0
    assert 1.0 < rows[1]["remembered_on_average"] < 2.0
    assert {row["weights_sha256"] for row in rows} == {file_hash(tiny_weights)}
    text = capsys.readouterr().out
    assert "kept" in text
    assert f"{rows[1]['remembered_on_average']:.1f}" in text
    assert main(["report", str(run), "--html", str(tmp_path / "page.html")]) == 0
    assert "over the capacity" in (tmp_path / "page.html").read_text()
