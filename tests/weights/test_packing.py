"""Weights in eight bits and means of weights: how near they are, what is refused, and the command that stores them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from conftest import TINY, tiny
from rotoscope.cli import main
from rotoscope.errors import CheckpointError
from rotoscope.methods import build_method
from rotoscope.weights import load
from rotoscope.weights.files import read_own, save_method
from rotoscope.weights.packing import LEAST, LEVELS, SCALE, packed, unpacked


def wide(*shape: int) -> torch.Tensor:
    """Numbers whose rows differ a thousandfold in size, as those of trained layers may."""
    size = 10 ** torch.linspace(-2, 1, shape[0])
    return torch.randn(shape, generator=torch.Generator().manual_seed(0)) * size.view(-1, *[1] * (len(shape) - 1))


@pytest.mark.parametrize("shape", [(40, 30), (16, 8, 3, 3), (64, 1, 5, 5), (8, 4, 3, 3, 4)])
def test_each_row_is_as_near_as_its_own_scale(tmp_path: Path, shape: tuple[int, ...]) -> None:
    weight = wide(*shape)
    stored = packed({"w": weight})
    assert stored["w"].dtype == torch.int8
    assert stored["w"].shape == weight.shape
    again = unpacked(tmp_path, stored)["w"]
    assert again.shape == weight.shape
    most = weight.flatten(1).abs().amax(dim=1) / LEVELS / 2
    assert ((again - weight).flatten(1).abs() <= most[:, None] * 1.0001).all()


def test_packing_what_was_packed_changes_nothing(tmp_path: Path) -> None:
    once = unpacked(tmp_path, packed({"w": wide(64, 32)}))
    again = unpacked(tmp_path, packed(once))
    assert torch.allclose(again["w"], once["w"], rtol=1e-6, atol=0)


def test_rows_of_zeros_stay_zeros(tmp_path: Path) -> None:
    weight = wide(64, 32)
    weight[3] = 0
    assert (unpacked(tmp_path, packed({"w": weight}))["w"][3] == 0).all()


def test_only_large_tensors_of_weights_are_packed() -> None:
    stored = packed(
        {"bias": torch.ones(2 * LEAST), "small": torch.ones(2, LEAST // 4), "count": torch.ones(64, 64).long()}
    )
    assert {name: tensor.dtype for name, tensor in stored.items()} == {
        "bias": torch.float16,
        "small": torch.float16,
        "count": torch.int64,
    }


@pytest.mark.parametrize(
    "state", [{"w": torch.ones(64, 64, dtype=torch.int8)}, {"w": wide(64, 32), "w" + SCALE: wide(2)}]
)
def test_names_that_could_not_be_told_apart(state: dict[str, torch.Tensor]) -> None:
    with pytest.raises(ValueError, match="cannot be told"):
        packed(state)


def test_a_packed_file_opens_as_any_other_at_a_quarter_of_the_size(tmp_path: Path) -> None:
    model = tiny("stcn")
    for store in ("float32", "int8"):
        save_method(tmp_path / f"{store}.safetensors", "stcn", model.config, model.state_dict(), store=store)
    sizes = {path.stem: path.stat().st_size for path in tmp_path.iterdir()}
    assert sizes["int8"] < 0.4 * sizes["float32"]
    with safe_open(tmp_path / "int8.safetensors", "pt") as file:
        assert file.metadata()["format"] == "rotoscope-2"
    state = load(tmp_path / "int8.safetensors", device="cpu", precision="exact").state_dict()
    for name, tensor in load(tmp_path / "float32.safetensors", device="cpu", precision="exact").state_dict().items():
        assert state[name].dtype == tensor.dtype
        assert torch.allclose(state[name].float(), tensor.float(), atol=float(tensor.abs().amax()) / 200 + 1e-3), name


def with_scale(path: Path, change: Callable[[torch.Tensor], torch.Tensor | None]) -> None:
    """Write a packed file, one of whose scales was changed, or left out."""
    model = tiny("stcn")
    save_method(path, "stcn", model.config, model.state_dict(), store="int8")
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    tensors = load_file(path)
    name = next(name for name in tensors if name.endswith(SCALE))
    changed = change(tensors.pop(name))
    save_file(tensors if changed is None else tensors | {name: changed}, path, metadata)


@pytest.mark.parametrize("change", [lambda scale: None, lambda scale: scale[:-1].clone(), lambda scale: scale.half()])
def test_scales_that_do_not_fit(tmp_path: Path, change: Callable[[torch.Tensor], torch.Tensor | None]) -> None:
    with_scale(tmp_path / "a.safetensors", change)
    with pytest.raises(CheckpointError, match="eight bits without scales that fit"):
        load(tmp_path / "a.safetensors", device="cpu")


def test_scales_that_are_not_finite(tmp_path: Path) -> None:
    with_scale(tmp_path / "a.safetensors", lambda scale: scale * float("nan"))
    with pytest.raises(CheckpointError, match="holds NaN or infinity"):
        load(tmp_path / "a.safetensors", device="cpu")


def test_convert_stores_in_eight_bits(tmp_path: Path, capsys: pytest.CaptureFixture[str], tiny_weights: Path) -> None:
    packed_file = tmp_path / "a.safetensors"
    assert main(["convert", str(tiny_weights), "-o", str(packed_file), "--store", "int8"]) == 0
    assert "M parameters" in capsys.readouterr().out
    assert read_own(packed_file)[0] == read_own(tiny_weights)[0]
    assert main(["convert", str(tiny_weights), "-o", str(tmp_path / "b.safetensors"), "--store", "int4"]) == 2
    assert "float32, float16, int8" in capsys.readouterr().err
    assert not (tmp_path / "b.safetensors").exists()


def other(tmp_path: Path, seed: int, **config: Any) -> Path:
    """Weights of a tiny STCN of its own."""
    torch.manual_seed(seed)
    path = tmp_path / f"{seed}.safetensors"
    model = build_method("stcn", {**TINY["stcn"], **config})
    save_method(path, "stcn", model.config, model.state_dict())
    return path


def test_the_mean_of_weights_is_taken_tensor_by_tensor(tmp_path: Path) -> None:
    one, two = other(tmp_path, 1), other(tmp_path, 2)
    assert main(["convert", str(one), str(two), "-o", str(tmp_path / "even.safetensors")]) == 0
    assert (
        main(["convert", str(one), str(two), "--shares", "0.75,0.25", "-o", str(tmp_path / "three.safetensors")]) == 0
    )
    first, second = read_own(one)[2], read_own(two)[2]
    assert any(not torch.equal(first[name], second[name]) for name in first)
    for name in first:
        even, three = (
            read_own(tmp_path / "even.safetensors")[2][name],
            read_own(tmp_path / "three.safetensors")[2][name],
        )
        torch.testing.assert_close(even, (first[name] + second[name]) / 2)
        torch.testing.assert_close(three, 0.75 * first[name] + 0.25 * second[name])


@pytest.mark.parametrize(
    ("shares", "message"),
    [
        ("0.5", "1 shares for 2 weights"),
        ("0.5,0.6", "must be above 0 and sum to 1"),
        ("1.5,-0.5", "must be above 0 and sum to 1"),
        ("half,half", "give numbers with commas between"),
        ("nan,1", "must be above 0 and sum to 1"),
    ],
)
def test_shares_that_cannot_be(tmp_path: Path, capsys: pytest.CaptureFixture[str], shares: str, message: str) -> None:
    one, two, mean = other(tmp_path, 1), other(tmp_path, 2), tmp_path / "mean.safetensors"
    assert main(["convert", str(one), str(two), "--shares", shares, "-o", str(mean)]) == 2
    assert message in capsys.readouterr().err
    assert not mean.exists()


def test_only_weights_of_one_config_have_a_mean(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, mean = other(tmp_path, 1), tmp_path / "mean.safetensors"
    wider = other(tmp_path, 2, key_dim=32)
    assert main(["convert", str(one), str(wider), "-o", str(mean)]) == 2
    assert "its key_dim is" in capsys.readouterr().err
    model = tiny("cosnet")
    save_method(tmp_path / "cosnet.safetensors", "cosnet", model.config, model.state_dict())
    assert main(["convert", str(one), str(tmp_path / "cosnet.safetensors"), "-o", str(mean)]) == 2
    assert "weights of cosnet, while" in capsys.readouterr().err
    assert not mean.exists()
