"""The light STCN: what its decoder is told of the frame before, its scores, and its training."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from rotoscope.errors import InputError
from rotoscope.layers.spoiling import KINDS, _spoilt, spoil
from rotoscope.methods.clip_loss import ClipBatch
from rotoscope.methods.stcn import STCN, STCNConfig
from rotoscope.methods.stcn.light import nearby_affinity, previous_places
from rotoscope.methods.stcn.training import clip_loss, score_loss

LIGHT = STCNConfig(
    trunk="efficientnet-lite0",
    value_encoder="light",
    value_width=4,
    key_dim=8,
    value_dim=16,
    thin_dim=8,
    decoder="light",
    decoder_dims=(16, 8, 8),
    subpixel=2,
    previous="matched",
    scores=True,
    mem_every=2,
)


def light(**changes: object) -> STCN:
    torch.manual_seed(0)
    return STCN(dataclasses.replace(LIGHT, **changes)).eval()  # type: ignore[arg-type]


def frames(count: int, height: int = 48, width: int = 64) -> list[np.ndarray]:
    rng = np.random.default_rng(3)
    return [rng.integers(0, 256, (height, width, 3), dtype=np.uint8) for _ in range(count)]


def square(top: int, left: int, height: int = 48, width: int = 64) -> np.ndarray:
    mask = np.zeros((height, width), bool)
    mask[top : top + 16, left : left + 16] = True
    return mask


def test_many_objects_in_one_batch_are_each_as_alone() -> None:
    network = light().network
    image = torch.randn(1, 3, 48, 64)
    with torch.inference_mode():
        features = network.encode_key(image)
        masks, others = torch.rand(3, 1, 48, 64), torch.rand(3, 1, 48, 64)
        values = network.encode_value(image, features, masks, others)
        places = torch.rand(3, 4, 12, 16)
        together = network.decode(values, features, places)
        for i in range(3):
            alone = network.encode_value(image, features, masks[i : i + 1], others[i : i + 1])
            torch.testing.assert_close(values[i : i + 1], alone, atol=1e-5, rtol=1e-4)
            decoded = network.decode(values[i : i + 1], features, places[i : i + 1])
            torch.testing.assert_close(together.logits[i : i + 1], decoded.logits, atol=1e-4, rtol=1e-4)
            assert together.scores is not None
            torch.testing.assert_close(together.scores[i : i + 1], decoded.scores, atol=1e-4, rtol=1e-4)


def test_a_batch_of_clips_is_each_as_alone() -> None:
    network = light().network
    images, masks = torch.randn(2, 3, 48, 64), torch.rand(2, 3, 48, 64)
    with torch.inference_mode():
        before, now = network.encode_key(images), network.encode_key(images.flip(0))
        places = network.places(masks, before.key.flatten(2), now)
        one = network.places(masks[1:], before.key[1:].flatten(2), now.select(slice(1, 2)))
        assert places is not None
        torch.testing.assert_close(places[3:], one, atol=1e-5, rtol=1e-4)
        readout = torch.randn(6, 16, 3, 4)
        torch.testing.assert_close(
            network.decode(readout, now, places).logits[3:],
            network.decode(readout[3:], now.select(slice(1, 2)), one).logits,
            atol=1e-4,
            rtol=1e-4,
        )


def test_a_moved_picture_moves_the_matched_mask() -> None:
    grid = (6, 8)
    before = torch.randn(1, 16, *grid) * 6
    now = before.roll(2, dims=3)
    masks = torch.zeros(1, 1, 96, 128)
    masks[..., 32:64, 16:48] = 1
    places = previous_places(masks, before.flatten(2), now.flatten(2), 3, grid)
    moved = torch.zeros(24, 32)
    moved[8:16, 12:20] = 1
    assert (places[0, 2, :, 8:] - moved[:, 8:]).abs().max() < 0.02  # the first two columns of cells came round
    assert places[0, 1].abs().max() == 0  # there is no other object


def test_matching_stays_within_reach() -> None:
    affinity = nearby_affinity(torch.randn(1, 4, 48), torch.randn(1, 4, 48), 1, (6, 8))[0]
    assert torch.allclose(affinity.sum(dim=1), torch.ones(48), atol=1e-5)
    rows, columns = torch.arange(48) // 8, torch.arange(48) % 8
    far = ((rows[:, None] - rows).abs() > 1) | ((columns[:, None] - columns).abs() > 1)
    assert affinity[far].abs().max() == 0


def test_between_cells_that_look_alike_the_nearer_one_is_matched() -> None:
    alike = torch.ones(1, 4, 48)
    even, near = (nearby_affinity(alike, alike, 2, (6, 8), nearness)[0] for nearness in (0.0, 0.5))
    here = 2 * 8 + 3  # its 25 neighbours all lie in the grid
    assert torch.allclose(even[here][even[here] > 0], torch.tensor(1 / 25), atol=1e-6)
    expected = torch.exp(torch.tensor([0.0, -0.5, -1.0, -2.0]))
    found = near[here, torch.tensor([here, here + 1, here + 9, here + 2])]
    assert torch.allclose(found / found[0], expected, atol=1e-5)


def test_given_masks_are_the_answer_at_full_size() -> None:
    model = light(max_short_side=32)
    model.precision = "fast"
    session = model.session()
    first, second = square(3, 5, 100, 130), square(8, 11, 100, 130)
    session.add({4: first, 9: second})
    images = frames(3, 100, 130)
    labels = session.push(images[0])[0].labels
    assert np.array_equal(labels == 9, second)
    assert np.array_equal(labels == 4, first & ~second)
    session.push(images[1])
    session.add({4: second})
    prediction = session.push(images[2])[0]
    assert np.array_equal(prediction.labels == 4, second)
    assert prediction.confidence[prediction.object_ids.index(4)] == 1


def test_exact_answers_given_frames_through_the_working_size() -> None:
    session = light(max_short_side=32).session()
    mask = square(3, 5, 100, 130)
    session.add({1: mask})
    assert not np.array_equal(session.push(frames(1, 100, 130)[0])[0].labels == 1, mask)


@pytest.mark.parametrize("previous", ["none", "mask", "matched"])
def test_a_restored_session_goes_on_alike(previous: str) -> None:
    model = light(previous=previous)
    images = frames(6)
    whole, begun = model.session(), model.session()
    for session in (whole, begun):
        session.add({1: square(4, 4), 300: square(20, 30)})
    expected = [whole.push(image)[0] for image in images]
    for image in images[:3]:
        begun.push(image)
    after = model.session()
    after.restore(begun.state())
    for image, prediction in zip(images[3:], expected[3:], strict=True):
        found = after.push(image)[0]
        assert torch.equal(found.probabilities, prediction.probabilities)
        assert found.confidence == prediction.confidence


def test_a_removed_object_leaves_the_others_in_their_places() -> None:
    model = light()
    session = model.session()
    session.add({1: square(4, 4), 2: square(20, 30), 3: square(4, 40)})
    images = frames(4)
    session.push(images[0])
    session.push(images[1])
    session.remove(2)
    assert session.push(images[2])[0].object_ids == (1, 3)
    session.add({5: square(20, 4)})
    assert session.push(images[3])[0].object_ids == (1, 3, 5)
    for object_id in (1, 3, 5):
        session.remove(object_id)
    assert session.push(images[3])[0].object_ids == ()


def test_an_object_that_is_not_there_has_no_mask() -> None:
    model = light(least_presence=0.5)
    score = model.network.decoder.score
    for presence in (-20.0, 20.0):
        with torch.no_grad():
            score[-1].bias.copy_(torch.tensor([presence, 0.0]))
            score[-1].weight.zero_()
            model.network.decoder.pred.bias.fill_(50.0)
        session = model.session()
        session.add({1: square(4, 4)})
        images = frames(2)
        session.push(images[0])
        assert (session.push(images[1])[0].labels > 0).any() == (presence > 0)


def test_a_frame_that_is_not_sure_does_not_enter_memory() -> None:
    model = light(least_quality=0.5)
    score = model.network.decoder.score
    with torch.no_grad():
        score[-1].weight.zero_()
    for quality, frames_held in ((-20.0, 1.0), (20.0, 3.0)):
        with torch.no_grad():
            score[-1].bias.copy_(torch.tensor([20.0, quality]))
        session = model.session()
        session.add({1: square(4, 4)})
        for image in frames(5):
            session.push(image)
        assert session.frames_remembered == frames_held


@pytest.mark.parametrize(
    "changes",
    [
        {"decoder": "released"},
        {"decoder": "thin"},
        {"value_encoder": "heavy"},
        {"previous": "last"},
        {"trunk": "resnet17"},
        {"subpixel": 3},
        {"reach": 0},
        {"least_presence": 2.0},
        {"scores": False, "least_quality": 0.5},
        {"usage": "nonsense"},
        {"resizing": "nearest"},
    ],
)
def test_what_no_network_could_do_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(InputError):
        dataclasses.replace(LIGHT, **changes)  # type: ignore[arg-type]


def test_the_whole_learns_a_clip_with_two_objects() -> None:
    torch.manual_seed(0)
    network = light().network
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eval()
    images = torch.rand(1, 3, 3, 64, 64)
    labels = torch.zeros(1, 3, 64, 64, dtype=torch.int64)
    for t in range(3):
        labels[:, t, 8 + 4 * t : 32 + 4 * t, 8:28] = 1
        labels[:, t, 24:56, 40 - 4 * t : 60 - 4 * t] = 2
    images[:, :, 0] += 2 * (labels == 1)
    images[:, :, 1] += 2 * (labels == 2)
    optimiser = torch.optim.Adam(network.parameters(), 3e-3)
    losses = []
    for _ in range(25):
        found = clip_loss(network, ClipBatch(images, labels, 2), corruption=0.3)
        optimiser.zero_grad()
        found.loss.backward()
        optimiser.step()
        losses.append(found.loss.item())
    assert all(np.isfinite(losses))
    assert losses[-1] < 0.4 * losses[0]
    assert set(found.parts) == {"cross_entropy", "dice", "scores"}


def test_score_loss_by_hand() -> None:
    targets = torch.zeros(1, 2, 4, 4)
    targets[0, 0, :2] = 1  # the second object is absent
    probabilities = torch.zeros(1, 3, 4, 4)
    probabilities[0, 0] = 0.9
    probabilities[0, 1, :1] = 2.0  # half of the first object is found: IoU 0.5
    scores = torch.zeros(1, 2, 2)
    zero = np.log(2)
    both = score_loss(scores, probabilities, targets, torch.ones(1, 2))
    assert both.item() == pytest.approx(2 * zero, rel=1e-5)
    scores[0, 1] = torch.tensor([-4.0, 4.0])  # right: absent, and its empty mask is as it should be
    right = np.log1p(np.exp(-4.0))
    alone = score_loss(scores, probabilities, targets, torch.tensor([[0.0, 1.0]]))
    assert alone.item() == pytest.approx(2 * right, rel=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_spoilt_masks_differ_and_stay_masks(kind: str) -> None:
    torch.manual_seed(1)
    masks = torch.zeros(2, 64, 64)
    masks[0, 10:30, 10:30] = 1
    masks[1, 35:55, 30:60] = 1
    out = _spoilt(masks, kind)
    assert out.shape == masks.shape
    assert not torch.equal(out, masks)
    assert out.min() >= 0
    assert out.max() <= 1


def test_spoiling_leaves_what_it_was_given_and_most_clips() -> None:
    torch.manual_seed(0)
    masks = torch.rand(400, 1, 8, 8)
    kept = masks.clone()
    out = spoil(masks, 0.25)
    assert torch.equal(masks, kept)
    changed = (out != masks).flatten(1).any(dim=1).float().mean().item()
    assert 0.15 < changed < 0.32
    assert torch.equal(spoil(masks, 0.0), masks)


def test_a_frame_that_is_not_sure_is_not_kept_as_the_previous_one_either() -> None:
    model = light(include_last=True, least_quality=0.5, mem_every=50)
    score = model.network.decoder.score
    with torch.no_grad():
        score[-1].weight.zero_()
    session = model.session()
    session.add({1: square(4, 4)})
    for number, (image, quality) in enumerate(zip(frames(5), (20.0, 20.0, -20.0, 20.0, -20.0), strict=True)):
        with torch.no_grad():
            score[-1].bias.copy_(torch.tensor([20.0, quality]))
        session.push(image)
        held = bool(session.bank.temporary)  # type: ignore[attr-defined]
        assert held == (number > 0 and quality > 0)  # the first frame is kept for good
