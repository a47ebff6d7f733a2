"""RSIS and RIS as graphs: of pictures of any size, and of objects in turn."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from conftest import TINY
from rotoscope.export import onnx
from rotoscope.methods import build_method
from rotoscope.methods.rsis.config import RIS_LEAVES, RIS_PERSONS
from rotoscope.methods.rsis.network import State, quarters

SMALL = {"hidden": 8, "slots": 3}


@pytest.mark.parametrize(
    "config",
    [
        TINY["rsis"],
        {**TINY["rsis"], "classes": 5, "box": True, "layers": 3, "skip": "none"},
        {**RIS_PERSONS, **SMALL, "trunk": "resnet18", "size": (64, 96)},
        {**RIS_LEAVES, **SMALL, "size": (42, 36)},
    ],
    ids=["rsis", "heads", "persons", "leaves"],
)
def test_graphs_find_as_many_objects_as_are_asked_for_as_the_network_does(
    config: dict[str, Any], tmp_path: Path
) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    torch.manual_seed(7)
    model = build_method("rsis", config).eval().requires_grad_(False)
    made = onnx.export(model, tmp_path / "out")
    assert max(one.difference for one in made) < 1e-4
    said = json.loads((tmp_path / "out" / "session.json").read_text())
    assert said["state"]["slots"] == 3
    encode, decode = (onnxruntime.InferenceSession(str(one.path)) for one in made)
    fixed = config.get("pooling") == "map"
    for size, objects in (((42, 36), 1), ((50, 71), 2), ((96, 64), 4)):
        image = torch.randn(1, 3, *((42, 36) if fixed else size))
        wanted = model.network.run(image, objects)  # type: ignore[operator, union-attr]
        features = encode.run(None, {"image": image.numpy()})
        shown = {port.name: array for port, array in zip(decode.get_inputs(), features, strict=False)}
        state = _nothing(decode, model.network, features)
        for number in range(objects):
            answer = dict(
                zip([port.name for port in decode.get_outputs()], decode.run(None, shown | state), strict=True)
            )
            state = {name: answer[f"new_{name}"] for name in state}
            mask = model.network.masks(torch.from_numpy(answer["logits"]), tuple(image.shape[-2:]))  # type: ignore[operator, union-attr]
            assert torch.allclose(mask[:, 0], wanted.masks[:, number], atol=1e-4)
            assert abs(float(answer["stop"][0] - wanted.stop[0, number])) < 1e-4
            if wanted.classes is not None:
                assert torch.allclose(torch.from_numpy(answer["classes"]), wanted.classes[:, number], atol=1e-4)
                assert torch.allclose(
                    torch.sigmoid(torch.from_numpy(answer["box"])), wanted.boxes[:, number], atol=1e-4
                )


def _nothing(decode: Any, network: Any, features: list[Any]) -> dict[str, Any]:
    """States before the first object: zeros, as large as the network's own after it."""
    state: State = network.decode([torch.from_numpy(f) for f in features], None).state
    names = [port.name for port in decode.get_inputs()[len(features) :]]
    return {n: torch.zeros_like(t).numpy() for n, t in zip(names, (*state.hidden, *state.cell), strict=True)}


@pytest.mark.parametrize("size", [(2, 2), (5, 4), (7, 9)])
def test_quarters_are_those_of_adaptive_pooling(size: tuple[int, int]) -> None:
    x = torch.randn(2, 3, *size)
    assert torch.equal(quarters(x).flatten(1), F.adaptive_max_pool2d(x, 2).flatten(1))
