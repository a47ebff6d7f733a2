"""The click network: shapes, what clicks do, what is computed once, and its training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from rotoscope import InputError, Points, load_prompter
from rotoscope.errors import CheckpointError
from rotoscope.evaluation import region_similarity
from rotoscope.layers.precision import apply_precision
from rotoscope.masks.points import Placed
from rotoscope.methods import build_model
from rotoscope.methods.clip_loss import ClipBatch
from rotoscope.prompts import Prompts
from rotoscope.prompts.answering import NetworkPrompter
from rotoscope.prompts.blocks import click_maps
from rotoscope.prompts.clicks import next_click
from rotoscope.prompts.network import Asked
from rotoscope.prompts.training import clip_loss, normalised_focal_loss
from rotoscope.weights import load, save_method

TINY = {"dims": (8, 8, 16, 16), "key_dim": 8, "short_side": 64}


@pytest.fixture(scope="module")
def model() -> Prompts:
    torch.manual_seed(3)
    built = build_model("prompts", TINY)
    assert isinstance(built, Prompts)
    return built.requires_grad_(False).eval()


@pytest.fixture
def picture() -> np.ndarray:
    image = np.random.default_rng(0).integers(0, 90, (75, 100, 3), dtype=np.uint8)
    image[20:50, 30:70] = (220, 60, 40)
    return image


def asked(points: list[tuple[float, float]], signs: list[float], size: int = 64) -> Asked:
    return Asked(
        torch.tensor([points]), torch.tensor([signs]), torch.zeros(1, 4), torch.zeros(1, 1, size // 2, size // 2)
    )


def test_maps_are_highest_where_was_clicked_and_empty_without_clicks() -> None:
    maps = click_maps(torch.tensor([[[18.0, 10.0]]]), torch.tensor([[1.0]]), torch.zeros(1, 4), 16, 16, 4)
    for channel in range(3):
        assert divmod(int(maps[0, channel].argmax()), 16) == (2, 4)
    assert not maps[0, 3:].any()
    box = click_maps(torch.zeros(1, 1, 2), torch.zeros(1, 1), torch.tensor([[8.0, 8.0, 40.0, 24.0]]), 16, 16, 4)
    assert not box[0, :6].any()
    assert (box[0, 6] > 0.5).nonzero().min(dim=0).values.tolist() == [2, 2]
    assert (box[0, 6] > 0.5).sum() == 8 * 4


def test_empty_room_for_clicks_changes_nothing(model: Prompts) -> None:
    scene = model.network.encode(torch.randn(1, 3, 64, 64))
    short = model.network.answer(scene, asked([(20.0, 30.0)], [1.0]))
    long = model.network.answer(scene, asked([(20.0, 30.0), (50.0, 2.0)], [1.0, 0.0]))
    torch.testing.assert_close(short.logits, long.logits)
    assert short.logits.shape == (1, 1, 32, 32)
    other = model.network.answer(scene, asked([(20.0, 30.0), (50.0, 2.0)], [1.0, -1.0]))
    assert not torch.allclose(short.logits, other.logits)


def test_answers_have_the_pictures_size_and_follow_one_another(model: Prompts, picture: np.ndarray) -> None:
    opened = NetworkPrompter(model).open(picture)
    one, two = Points((50, 35)).placed((100, 75)), Points((50, 35), (5, 5)).placed((100, 75))
    first = opened.answer(one)
    assert first.mask.shape == (75, 100)
    assert first.confidence is not None
    assert 0 <= first.confidence <= 1
    passes = []
    hook = model.network.head.register_forward_hook(lambda *_: passes.append(1))
    step = opened.answer(two)
    again = opened.answer(two)
    hook.remove()
    assert len(passes) == 1  # a click more is one pass more, and the same clicks are none
    fresh = NetworkPrompter(model).open(picture).answer(two)
    for other in (again, fresh):
        np.testing.assert_array_equal(step.mask, other.mask)


def test_a_mask_to_correct_and_a_box_count(model: Prompts, picture: np.ndarray) -> None:
    opened = NetworkPrompter(model).open(picture)
    click = Points((50, 35)).placed((100, 75))
    before = np.zeros((75, 100), bool)
    before[20:50, 30:70] = True
    plain, corrected = opened.answer(click), opened.answer(click, before)
    boxed = opened.answer(Placed(click.places, click.wanted, (30, 20, 70, 50)))
    assert not np.allclose(plain.mask, corrected.mask)
    assert not np.allclose(plain.mask, boxed.mask)
    with pytest.raises(InputError, match="50x40 but the picture is 100x75"):
        opened.answer(click, np.zeros((40, 50), bool))


def test_the_same_clicks_get_the_same_answer_in_bfloat16(picture: np.ndarray) -> None:
    """Whatever lay in memory before: PyTorch samples features at points wrongly in bfloat16."""
    torch.manual_seed(3)
    fast = build_model("prompts", TINY).requires_grad_(False).eval()
    assert isinstance(fast, Prompts)
    apply_precision(fast, "fast", bfloat16=True)
    answers = []
    for _ in range(3):
        rubbish = [torch.full((count,), float("nan"), dtype=torch.bfloat16) for count in (48, 96, 1000, 10_000)]
        del rubbish
        answers.append(NetworkPrompter(fast).open(picture).answer(Points((50, 35)).placed((100, 75))))
    assert np.isfinite(answers[0].mask).all()
    for answer in answers[1:]:
        np.testing.assert_array_equal(answer.mask, answers[0].mask)
        assert answer.confidence == answers[0].confidence


def test_a_step_lowers_the_loss_and_leaves_the_trunks_statistics() -> None:
    torch.manual_seed(0)
    model = build_model("prompts", TINY)
    network = model.network
    images = torch.randn(2, 1, 3, 64, 64)
    labels = torch.zeros(2, 1, 64, 64, dtype=torch.long)
    labels[:, :, 16:48, 16:40] = 1
    images[labels[:, :, None].expand_as(images) == 1] += 3
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-3)
    before = {name: tensor.clone() for name, tensor in network.named_buffers()}
    costs = []
    for step in range(8):
        network.train()
        torch.manual_seed(step % 2)
        loss = clip_loss(network, ClipBatch(images, labels, 2), rounds=1)
        optimiser.zero_grad()
        loss.loss.backward()
        optimiser.step()
        costs.append(loss.parts["dice"])
    assert loss.probabilities.shape == (2, 1, 3, 64, 64)
    assert np.mean(costs[-2:]) < np.mean(costs[:2])
    moved = {name.split(".")[0] for name, now in network.named_buffers() if not torch.equal(now, before[name])}
    assert moved == {"neck", "head"}


def test_the_focal_loss_keeps_its_size_as_answers_get_good() -> None:
    targets = torch.zeros(1, 1, 8, 8)
    targets[..., :4] = 1
    good = (targets * 2 - 1) * 8
    wrong = good.clone()
    wrong[..., 0, 0] *= -1
    assert normalised_focal_loss(good, targets) < 0.01
    assert normalised_focal_loss(wrong, targets) > 5  # the one wrong pixel has all the weight


def test_weights_go_to_a_file_and_back(model: Prompts, tmp_path: Path, picture: np.ndarray) -> None:
    path = tmp_path / "mine.safetensors"
    save_method(path, "prompts", model.config, model.state_dict())
    placed = Points((50, 35)).placed((100, 75))
    opened = load_prompter(path, "cpu", "exact").open(picture).answer(placed)
    np.testing.assert_allclose(opened.mask, NetworkPrompter(model).open(picture).answer(placed).mask, atol=1e-5)
    with pytest.raises(CheckpointError, match="which follow nothing"):
        load(path, device="cpu")


def test_what_answers_no_clicks_is_refused(tiny_weights: Path) -> None:
    with pytest.raises(CheckpointError, match="weights of stcn, which answers no clicks"):
        load_prompter(tiny_weights, "cpu")
    with pytest.raises(InputError, match=r"neither a file nor what answers clicks \(did you mean 'grabcut'\?\)"):
        load_prompter("grabcat", "cpu")


def test_the_built_in_weights_find_what_is_clicked_on() -> None:
    """After three clicks, on a drawn scene of two disks on a ground of noise, in float32."""
    rng = np.random.default_rng(1)
    ys, xs = np.mgrid[:180, :240]
    image = np.clip(rng.normal(0, 5, (180, 240, 3)) + np.array((70, 110, 70)), 0, 255)
    disks = [(xs - 70) ** 2 + (ys - 90) ** 2 < 40**2, (xs - 170) ** 2 + (ys - 90) ** 2 < 40**2]
    for disk, colour in zip(disks, ((200, 60, 40), (40, 70, 210)), strict=True):
        image[disk] = colour
    picture = load_prompter("prompts-small", "cpu", "exact").open(image.astype(np.uint8))
    for disk in disks:
        found, clicks = np.zeros_like(disk), []
        for _ in range(3):
            clicks.append(next_click(found, disk))
            places, wanted = np.array([(c.x, c.y) for c in clicks]), np.array([c.wanted for c in clicks])
            found = picture.answer(Placed(places, wanted)).chosen
        assert region_similarity(found, disk) > 0.9
