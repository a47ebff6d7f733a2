"""CapsuleVOS as graphs: with its routing, at any size of crops and for any number of objects."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from conftest import TINY
from rotoscope.export import onnx
from rotoscope.methods import build_method
from rotoscope.runtimes.engines import open_graph
from rotoscope.runtimes.writing import compare

pytest.importorskip("onnxruntime")


@pytest.mark.parametrize(
    ("changes", "graphs"),
    [
        ({"trunk": "resnet18", "skips": "fine"}, ["zoom", "crop", "see", "segment"]),
        ({"routing": "concatenation", "zoom": "none"}, ["crop", "see", "segment"]),
        ({"capsules": False, "zoom": "crafted"}, ["crop", "see", "segment"]),
    ],
)
def test_graphs_equal_the_network_at_three_sizes_and_numbers_of_objects(
    changes: dict[str, Any], graphs: list[str], tmp_path: Path
) -> None:
    torch.manual_seed(7)
    model = build_method("capsulevos", {**TINY["capsulevos"], **changes}).eval().requires_grad_(False)
    whole = onnx.portable(model)
    tried = (whole.sizes, *whole.others)
    assert all(len({sizes[axis] for sizes in tried}) == 3 for axis in ("h", "N"))
    made = onnx.export(model, tmp_path / "out")
    assert [one.name for one in made] == graphs
    assert max(one.difference for one in made) < 1e-4
    further = {"h": 2, "w": 1, "N": 3}
    for graph in whole.graphs:
        assert compare(graph, open_graph(tmp_path / "out" / f"{graph.name}.onnx", 1), further) < 1e-4
    said = json.loads((tmp_path / "out" / "session.json").read_text())
    assert said["method"] == "capsulevos"
    assert said["crop"]["zoom"] == model.config.zoom
