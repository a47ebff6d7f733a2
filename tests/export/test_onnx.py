"""Exported graphs answer as the networks do, and the example beside them follows objects as a session does."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from conftest import TINY, first_mask, moving, tiny
from rotoscope import segment
from rotoscope.cli import main
from rotoscope.errors import InputError, RotoscopeError
from rotoscope.export import onnx
from rotoscope.methods import build_method, build_model
from rotoscope.methods.base import Method
from rotoscope.methods.giel.config import STM
from rotoscope.methods.model import Model
from rotoscope.runtimes import writing
from rotoscope.runtimes.engines import open_graph
from rotoscope.runtimes.writing import compare

pytest.importorskip("onnxruntime")
SIZES = ({"h": 3, "w": 4, "N": 1}, {"h": 5, "w": 2, "N": 2}, {"h": 6, "w": 7, "N": 4})
"""Cells and objects; others than those that an export itself tries."""


def lit() -> Method:
    model = tiny("stcn:light")
    model.reconfigure(max_short_side=32, resizing="area", memory="lfu:3", include_last=True, trust=1.0)
    return model


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("exported") / "light"
    onnx.export(lit(), path)
    return path


@pytest.mark.parametrize("name", ["agame", "rvos", "cosnet"])
def test_other_methods_are_exported(name: str, tmp_path: Path) -> None:
    made = onnx.export(tiny(name), tmp_path / "out")
    said = json.loads((tmp_path / "out" / "session.json").read_text())
    bound = 3e-4 if name == "agame" else 1e-4  # its scores go into the hundreds
    assert said["method"] == name
    assert [graph["file"] for graph in said["graphs"]] == [one.path.name for one in made]
    assert [(one.name, one.difference) for one in made if one.difference >= bound] == []
    for graph in onnx.portable(tiny(name)).graphs:
        cells = {**SIZES[1], "hw": SIZES[1]["h"] * SIZES[1]["w"]}
        assert compare(graph, open_graph(tmp_path / "out" / f"{graph.name}.onnx", 1), cells) < bound


@pytest.mark.parametrize("name", ["giel", "giel:fast", "giel:stm", "prompts"])
def test_graphs_of_giel_and_of_clicks_equal_the_network_at_three_sizes(name: str, tmp_path: Path) -> None:
    torch.manual_seed(7)
    model: Model = tiny("giel")
    if name == "giel:fast":
        model.reconfigure(output="fast")
    elif name == "giel:stm":
        model = build_method("giel", {**TINY["giel"], **STM})
    elif name == "prompts":
        model = build_model("prompts", {"dims": (8, 8, 16, 16), "key_dim": 8, "short_side": 64})
    whole = onnx.portable(model)
    tried = (whole.sizes, *whole.others)
    assert len({sizes["h"] for sizes in tried}) == len({sizes["N"] for sizes in tried}) == 3
    made = onnx.export(model.eval(), tmp_path / "out")
    assert [one.name for one in made] == [graph.name for graph in whole.graphs]
    assert max(one.difference for one in made) < 1e-4
    assert json.loads((tmp_path / "out" / "session.json").read_text())["method"] == name.partition(":")[0]


@pytest.mark.parametrize("sizes", SIZES)
def test_graphs_equal_the_network_at_any_size(folder: Path, sizes: dict[str, int]) -> None:
    for graph in onnx.portable(lit()).graphs:
        run = open_graph(folder / f"{graph.name}.onnx", 1)
        cells = {**sizes, "hw": sizes["h"] * sizes["w"], "M": 90}
        assert compare(graph, run, cells) < 1e-4, graph.name


def test_the_released_network_is_exported_too(tmp_path: Path) -> None:
    model = tiny("stcn")
    model.network.pred.weight.div_(20)  # its logits of hundreds would show rounding twenty times as large
    made = onnx.export(model, tmp_path / "out")
    assert [one.name for one in made] == ["encode_key", "encode_value", "read", "decode"]
    assert all(one.path.exists() for one in made)
    assert made[-1].difference < 1e-4  # of probabilities; random features are larger than 1


def test_a_graph_that_answers_otherwise_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = writing.open_graph
    monkeypatch.setattr(
        writing, "open_graph", lambda path, threads: lambda inputs: [1.5 * a for a in opened(path, threads)(inputs)]
    )
    with pytest.raises(RotoscopeError, match="differs by"):
        onnx.export(tiny("stcn"), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_export_over_another_leaves_nothing_of_it(tmp_path: Path) -> None:
    """But what is not of an export stays."""
    onnx.export(lit(), tmp_path / "out")
    (tmp_path / "out" / "notes.txt").write_text("mine")
    onnx.export(tiny("rvos"), tmp_path / "out", overwrite=True)
    onnx.export(tiny("rvos"), tmp_path / "alone")
    names = [sorted(path.name for path in (tmp_path / folder).iterdir()) for folder in ("out", "alone")]
    assert sorted({*names[0]} - {"notes.txt"}) == names[1]
    assert (tmp_path / "out" / "notes.txt").read_text() == "mine"


def test_session_json_names_every_input(folder: Path) -> None:
    said = json.loads((folder / "session.json").read_text())
    assert said["memory"]["policy"] == "lfu:3"
    assert {graph["file"] for graph in said["graphs"]} == {path.name for path in folder.glob("*.onnx")}
    assert said["memory"]["trust"] == 1.0
    read = next(graph for graph in said["graphs"] if graph["name"] == "read")
    assert [port["name"] for port in read["inputs"]] == ["key", "keys", "values", "valid", "given"]
    decode = next(graph for graph in said["graphs"] if graph["name"] == "decode")
    assert [port["name"] for port in decode["inputs"]] == ["readout", "thin", "skip8", "skip4", "told"]


def test_the_example_follows_objects_as_a_session_does(folder: Path, tmp_path: Path) -> None:
    clip, mask = moving(16, (70, 44)), first_mask((70, 44)).astype(np.uint8) * 3
    mask[30:40, 40:60] = 9
    np.save(tmp_path / "frames.npy", clip)
    np.save(tmp_path / "mask.npy", mask)
    blocker = "import sys; sys.modules.update(dict.fromkeys(('torch', 'cv2', 'PIL', 'rotoscope')))"
    path = str(folder / "segment.py")
    script = f"{blocker}; import runpy; runpy.run_path({path!r}, run_name='__main__')"
    names = [str(tmp_path / name) for name in ("frames.npy", "mask.npy", "labels.npy")]
    subprocess.run([sys.executable, "-c", script, *names], check=True)
    ours = np.load(tmp_path / "labels.npy")
    theirs = np.stack([p.labels for p in segment(clip, {0: {3: mask == 3, 9: mask == 9}}, lit())])
    assert set(np.unique(theirs)) == {0, 3, 9}
    assert (ours != theirs).mean() < 2e-3


def test_wrong_requests_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").touch()
    without = build_method("agame", {**TINY["agame"], "appearance": "none", "mean_scores": False})
    for model, format, where, message in (
        (without, "onnx", "new", "a network of A-GAME without appearance or propagation cannot be exported"),
        (tiny("stcn"), "tflite", "new", "format 'tflite' is not known"),
        (tiny("stcn"), "onnx", "full", "not empty"),
    ):
        with pytest.raises(InputError, match=message):
            onnx.export(model, tmp_path / where, format)
    assert not (tmp_path / "new").exists()
    assert main(["export", "no-such-name", "-o", str(tmp_path / "new")]) == 2
    assert "no-such-name" in capsys.readouterr().err


def test_openvino_runs_them_as_well(tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    made = onnx.export(lit(), tmp_path / "out", "openvino")
    assert all(one.path.suffix == ".xml" and one.path.with_suffix(".bin").exists() for one in made)
    assert [(one.name, one.difference) for one in made if one.difference >= 1e-4] == []
