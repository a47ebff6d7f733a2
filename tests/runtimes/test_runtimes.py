"""Sessions on a runtime answer as they do on PyTorch; graphs are made once; wrong requests are one line."""

from __future__ import annotations

import copy
import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest
import torch

from conftest import TINY, first_mask, moving, tiny
from rotoscope import InputError, load, segment
from rotoscope.cli import main
from rotoscope.masks.points import Placed
from rotoscope.methods import build_method, build_model
from rotoscope.methods.base import Method
from rotoscope.methods.model import Model
from rotoscope.prompts.answering import NetworkPrompter
from rotoscope.runtimes import choosing, engines, served, store, writing
from rotoscope.runtimes.choosing import Choice, fastest
from rotoscope.weights import load_prompter
from rotoscope.weights.running import put_on_runtime

pytest.importorskip("onnxruntime")
ModelType = TypeVar("ModelType", bound=Model)
CLIP = moving(7, (70, 44))


def on(runtime: str, model: ModelType, folder: Path) -> ModelType:
    model = copy.deepcopy(model)
    put_on_runtime(model, runtime, "exact", folder)
    return model


def labels(model: Method) -> np.ndarray:
    masks = {3: first_mask((70, 44)), 9: first_mask((70, 44))[::-1].copy()}
    return np.stack([p.labels for p in segment(CLIP, {0: masks} if model.task == "semi" else None, model)])


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.mark.parametrize("name", ["stcn:light", "stcn", "rvos", "agame", "cosnet", "giel", "rsis", "capsulevos"])
def test_sessions_on_onnxruntime_answer_as_on_torch(name: str, cache: Path) -> None:
    model = tiny(name)
    model.reconfigure(**({"include_last": True} if name == "stcn" else {}))
    ours = on("onnxruntime", model, cache)
    asked: list[str] = []
    answer = ours.served.ask  # type: ignore[union-attr]
    ours.served.ask = lambda graph, *t: (asked.append(graph), answer(graph, *t))[1]  # type: ignore[union-attr, method-assign]
    assert (labels(ours) != labels(model)).mean() < 2e-3
    assert {graph.name for graph in ours.served._graphs.values()} - {"decode_first"} == set(asked)  # type: ignore[union-attr]


def test_clicks_on_onnxruntime_are_answered_as_on_torch(cache: Path) -> None:
    torch.manual_seed(7)
    model = build_model("prompts", {"dims": (8, 8, 16, 16), "key_dim": 8, "short_side": 64}).eval()
    ours = on("onnxruntime", model.requires_grad_(False), cache)
    clicks = Placed(np.array([[20, 15], [50, 30]]), np.array([True, False]))
    answers = [NetworkPrompter(one).open(CLIP[0]).answer(clicks) for one in (model, ours)]  # type: ignore[arg-type]
    np.testing.assert_allclose(answers[1].mask, answers[0].mask, atol=1e-4)
    assert answers[1].confidence == pytest.approx(answers[0].confidence, abs=1e-4)
    assert {name for name, _ in ours.served._engines} == {"encode", "answer"}  # type: ignore[union-attr]
    with pytest.raises(InputError, match="grabcut has no network that onnxruntime could compute"):
        load_prompter("grabcut", runtime="onnxruntime")


@pytest.mark.parametrize("name", ["rvos", "agame", "capsulevos"])
def test_sessions_on_openvino_answer_as_on_torch(tmp_path: Path, name: str) -> None:
    pytest.importorskip("openvino")
    model = tiny(name)
    assert (labels(on("openvino", model, tmp_path)) != labels(model)).mean() < 2e-3


GONE = """
import gc, signal, sys
import numpy as np
import openvino
from openvino import opset8
from pathlib import Path
from rotoscope.runtimes.engines import open_graph

given = opset8.parameter([2], np.float32)
openvino.save_model(openvino.Model([opset8.add(given, given)], [given]), sys.argv[1])
graphs = [open_graph(Path(sys.argv[1]), 1) for _ in range(3)]
while graphs:
    graphs.pop(0)
    gc.collect()
heard = []
signal.signal(signal.SIGUSR1, lambda *_: heard.append(1))
signal.raise_signal(signal.SIGUSR1)
print(len(heard))
"""


def test_a_program_hears_signals_after_its_graphs_are_gone(tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    done = subprocess.run([sys.executable, "-c", GONE, str(tmp_path / "g.xml")], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "1\n"), done.stderr[-1000:]


def failing(sizes: object) -> list[np.ndarray]:
    """What a runtime does with a graph that it cannot compute."""
    raise RuntimeError("Exception from node.cpp:794:\n\n[CPU] shapes do not fit")


def test_a_runtime_that_cannot_compute_a_network_is_refused_in_a_line_and_never_chosen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "open_graph", lambda path, threads: failing)
    with pytest.raises(InputError, match=r"onnxruntime does not run this rvos\..*shapes do not fit.*torch") as raised:
        on("onnxruntime", tiny("rvos"), tmp_path)
    assert str(raised.value).isprintable()
    chosen = on("auto", tiny("rvos"), tmp_path)
    assert chosen.runtime == "torch"
    assert "onnxruntime cannot" in chosen.runtime_note


def test_what_is_saved_on_one_goes_on_to_the_same_answer(cache: Path) -> None:
    model = on("onnxruntime", tiny("stcn:light"), cache)
    whole, half = model.session(), model.session()
    for session in (whole, half):
        session.add({3: first_mask((70, 44))})
    for frame in CLIP[:4]:
        whole.push(frame), half.push(frame)
    again = model.session()
    again.restore(half.state())
    for frame in CLIP[4:]:
        assert torch.equal(whole.push(frame)[0].probabilities, again.push(frame)[0].probabilities)


def test_graphs_are_made_once_and_again_where_they_were_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[str] = []
    write = store.write_graph
    monkeypatch.setattr(store, "write_graph", lambda graph, *how: (written.append(graph.name), write(graph, *how))[1])
    model = tiny("cosnet")
    on("onnxruntime", model, tmp_path)
    assert sorted(written) == ["encode", "segment"]
    on("onnxruntime", model, tmp_path)
    assert len(written) == 2
    path = next(tmp_path.glob("graphs/*/encode.onnx"))
    path.write_bytes(path.read_bytes()[:-100])
    on("onnxruntime", model, tmp_path)
    assert len(written) == 4
    next(model.parameters()).add_(0.01)
    on("onnxruntime", model, tmp_path)
    assert len(written) == 6
    assert len(list(tmp_path.glob("graphs/*"))) == 2


def test_auto_measures_once_and_tells(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rotoscope.weights.running.installed_runtimes", lambda: ("torch", "onnxruntime"))
    assert "measured now and kept" in on("auto", tiny("rvos"), cache).runtime_note
    path = next(cache.glob("runtimes/*.json"))
    facts = json.loads(path.read_text())
    assert set(facts["seconds"]) == {"torch", "onnxruntime"}
    assert all(0 < seconds < 60 for seconds in facts["seconds"].values())
    monkeypatch.setattr(choosing, "_measured", lambda *given: pytest.fail("measured again"))
    path.write_text(json.dumps({**facts, "seconds": {"torch": 0.04, "onnxruntime": 0.02}}))
    quick = on("auto", tiny("rvos"), cache)
    assert quick.runtime == "onnxruntime"
    assert quick.runtime_note == "runtime onnxruntime: 20 ms a frame in the network (torch 40; measured earlier)"
    path.write_text(json.dumps({**facts, "seconds": {"torch": 1.0, "onnxruntime": 0.95}}))
    slow = on("auto", tiny("rvos"), cache)
    assert (slow.runtime, slow.served) == ("torch", None)


def test_torch_is_kept_unless_another_is_clearly_faster() -> None:
    assert fastest({"torch": 1.0, "onnxruntime": 0.91, "openvino": 2.0}) == "torch"
    assert fastest({"torch": 1.0, "onnxruntime": 0.8, "openvino": 0.7}) == "openvino"
    assert Choice("torch", {"torch": 0.1}).note.endswith("(no other is installed)")


def test_a_turn_gives_graphs_the_threads_and_torch_one(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = on("onnxruntime", tiny("rvos"), cache)
    given: list[tuple[int, int]] = []
    opened = served.open_graph

    def opening(path: Path, threads: int, **how: bool) -> engines.Engine:
        given.append((threads, torch.get_num_threads()))
        return opened(path, threads, **how)

    monkeypatch.setattr(served, "open_graph", opening)
    torch.set_num_threads(3)
    session = model.session()
    session.add({1: first_mask((70, 44))})
    session.push(CLIP[0])
    assert given == [(3, 1), (3, 1)]
    assert torch.get_num_threads() == 3


def test_wrong_requests_are_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(InputError, match="runtime 'onnx' is not known; use auto, torch, onnxruntime, openvino"):
        load("stcn-small", runtime="onnx")
    without = build_method("agame", {**TINY["agame"], "appearance": "none", "mean_scores": False})
    with pytest.raises(InputError, match="a network of A-GAME without appearance or propagation cannot be exported"):
        put_on_runtime(without, "onnxruntime", "exact", tmp_path)
    monkeypatch.setattr(Method, "device", torch.device("cuda"))
    with pytest.raises(InputError, match="computes on the CPU, not on cuda"):
        put_on_runtime(tiny("rvos"), "onnxruntime", "exact", tmp_path)
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "openvino" else found(name))
    assert main(["segment", "x.mp4", "--mask", "m.png", "-o", str(tmp_path / "o"), "--runtime", "openvino"]) == 2
    assert "pip install -e '.[openvino]'" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
