"""Recordings give the bits of the network they were made of, and are not used where they would not."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import is_in_torch_dispatch_mode

import rotoscope
from rotoscope.errors import GraphError
from rotoscope.experiments.speed import moving_frames, squares
from rotoscope.masks.points import Points
from rotoscope.prompts import Prompts
from rotoscope.prompts.answering import NetworkPrompter
from rotoscope.runtimes.recording import can_record, record
from rotoscope.runtimes.replayed import KEPT, Replayed
from rotoscope.weights.load import load_exact

METHODS = [
    "stcn-small",
    "agame-small",
    "rvos-small",
    "rvos-small-zeroshot",
    "giel-small",
    "capsulevos-small",
    "cosnet-small",
    "rsis-small",
]
SIZE = (208, 128)
SMALLER = {name: {"size": (96, 160)} for name in ("cosnet-small", "rvos-small", "rvos-small-zeroshot")}
"""Working sizes of methods that have one of their own, whatever a frame's size; theirs would take a minute."""


def labels_of(
    model: Any, size: tuple[int, int], objects: int, frames: int, options: dict[str, Any]
) -> list[np.ndarray[Any, Any]]:
    """What a session answers to a clip; another object comes on its third frame."""
    images = moving_frames(frames, size)
    if model.task != "semi":
        return [answer.labels for answer in rotoscope.segment(np.stack(images), None, model, **options)]
    masks = squares(objects + 1, size)
    late = max(masks)
    first = {i: mask for i, mask in masks.items() if i != late}
    given = {0: first, 2: {late: masks[late]}}
    return [answer.labels for answer in rotoscope.segment(np.stack(images), given, model, **options)]


def test_this_pytorch_has_what_recordings_are_made_of() -> None:
    assert can_record()


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize("precision", ["fast", "exact"])
@pytest.mark.parametrize("name", METHODS)
def test_a_method_answers_the_same_bits_as_without(name: str, precision: str) -> None:
    """On sizes and numbers of objects that change, by one model, so that recordings of one video serve the next."""
    model: Any = rotoscope.load(name, device="cpu", precision=precision)
    plain = copy.deepcopy(model)
    plain.replayed = None
    assert isinstance(model.functions, Replayed)
    assert not isinstance(plain.functions, Replayed)
    frames = 9 if name == "capsulevos-small" else 6
    clips = ((SIZE, 1), ((160, 160), 2))
    wanted = [labels_of(plain, *clip, frames, SMALLER.get(name, {})) for clip in clips]
    for number in (0, 1, 0):
        answers = labels_of(model, *clips[number], frames, SMALLER.get(name, {}))
        assert len(answers) == frames
        for one, other in zip(answers, wanted[number], strict=True):
            np.testing.assert_array_equal(one, other)
    recorded = {key[0] for key, kept in model.replayed._kept.items() if isinstance(kept, tuple)}
    assert recorded >= needed(model)
    assert "never" not in model.replayed._kept.values()


def needed(model: Any) -> set[str]:
    """Functions that every video calls often; others are for few frames, or for some options."""
    rare = {"begin", "encode_support", "encode_labels", "find_fast", "find_all", "find_fine"}
    return set(model.network.pure) - rare


class Small(nn.Module):
    """A network of one layer, and of what recordings have to get right beside layers."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(2, 3, 3, padding=1)
        self.calls = 0

    def mixed(self, x: Tensor, pair: Sequence[Tensor | None], share: float = 0.5) -> tuple[Tensor, list[Tensor]]:
        """Writes in place, splits, joins, counts in other types, and takes constants that are no numbers."""
        self.calls += 1
        y = self.layer(x).relu_()
        y[:, :, :1] = 0
        y[..., 0] += share
        masked = y.masked_fill(y > 1, float("-inf")).amax(dim=1, keepdim=True).clamp(min=-5)
        low, high = y.to(torch.bfloat16).float().split(2, dim=-1)[:2]
        index = torch.arange(x.shape[-1]).flip(0)
        other = y if pair[1] is None else y + pair[1]
        return torch.cat([low, high], dim=2), [masked, other[..., index], pair[0] * 2]  # type: ignore[operator]

    def asks(self, x: Tensor) -> Tensor:
        """Asks for a value, which depends on the input."""
        return x * 2 if x.sum().item() > 0 else x - 1

    def counts(self, x: Tensor) -> Tensor:
        """Changes what it has."""
        self.layer.weight.data.add_(1)
        return x + 1


@pytest.fixture
def small() -> tuple[Small, Replayed]:
    torch.manual_seed(0)
    network = Small().requires_grad_(False).eval()
    return network, Replayed(network, ("mixed", "asks", "counts"))


def ask(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    with torch.inference_mode():
        return function(*args, **kwargs)


def test_every_call_gives_what_the_network_gives(small: tuple[Small, Replayed]) -> None:
    network, replayed = small
    for number in range(5):
        x, other = torch.randn(1, 2, 4, 6), torch.randn(1, 3, 4, 6)
        for pair in ((x, None), (x, other), (other, other)):
            for share in (0.5, 2.0, 2):
                one, more = ask(replayed.mixed, x, pair, share=share)
                own, rest = ask(network.mixed, x, pair, share=share)
                assert isinstance(more, list)
                for ours, theirs in zip((one, *more), (own, *rest), strict=True):
                    assert torch.equal(ours, theirs), (number, share)
    assert network.calls == 45 + 2 * 9  # its own, and the first two of each of nine kinds


def test_threads_may_call_at_once(small: tuple[Small, Replayed]) -> None:
    """Whoever comes first records; nothing of PyTorch's stays as a recording has it."""
    network, replayed = small

    def work(number: int) -> bool:
        inputs = [torch.full((1, 2, 4, 4 + 2 * width), float(number)) for width in range(12)] * 4
        pairs = [(ask(f.mixed, x, (x, None))[0] for f in (network, replayed)) for x in inputs]
        return all(torch.equal(*pair) for pair in pairs)

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(work, range(8)))
    assert not is_in_torch_dispatch_mode()


def test_inputs_are_left_as_they_were(small: tuple[Small, Replayed]) -> None:
    _, replayed = small
    x = torch.randn(1, 2, 4, 6)
    before = x.clone()
    for _ in range(3):
        ask(replayed.mixed, x, (x, None))
    assert torch.equal(x, before)


def test_a_function_that_asks_for_values_is_called_itself(small: tuple[Small, Replayed]) -> None:
    _, replayed = small
    values = [2.0, -2.0] * 3
    with pytest.warns(RuntimeWarning, match="asks is called from Python on every frame: aten.item"):
        found = [ask(replayed.asks, torch.tensor([value])).item() for value in values]
    assert found == [4, -3] * 3


def test_a_pytorch_without_recordings_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rotoscope.methods.model.can_record", lambda: False)
    with pytest.warns(RuntimeWarning, match=r"PyTorch \S+ cannot replay"):
        model: Any = rotoscope.load("stcn-small", device="cpu")
    assert model.functions is model.network


def test_a_function_that_changes_weights_is_refused(small: tuple[Small, Replayed]) -> None:
    network, _ = small
    with pytest.raises(GraphError, match="writes to what was there before"), torch.inference_mode():
        record(lambda x: [network.counts(x)], (torch.ones(2),))


def test_a_function_that_keeps_its_answers_is_not_replayed(small: tuple[Small, Replayed]) -> None:
    network, replayed = small
    kept: dict[float, Tensor] = {}
    network.mixed = lambda x, _: (kept.setdefault(x.shape[0], x * 2), [])  # type: ignore[method-assign, assignment]
    with pytest.warns(RuntimeWarning, match="answers what was there before"):
        found = [ask(replayed.mixed, torch.ones(1 + number % 2), None)[0].tolist() for number in range(8)]
    assert found == [[2.0], [2.0, 2.0]] * 4


def test_changed_weights_are_seen_by_the_next_video(small: tuple[Small, Replayed]) -> None:
    network, replayed = small
    x = torch.randn(1, 2, 4, 6)
    for _ in range(3):
        ask(replayed.mixed, x, (x, None))
    with torch.no_grad():
        network.layer.weight.mul_(3)
    replayed.refresh()
    for _ in range(3):
        assert torch.equal(ask(replayed.mixed, x, (x, None))[0], ask(network.mixed, x, (x, None))[0])


def test_hooks_of_the_next_video_are_called_on_every_frame(small: tuple[Small, Replayed]) -> None:
    network, replayed = small
    x = torch.randn(1, 2, 4, 6)
    for _ in range(3):
        ask(replayed.mixed, x, (x, None))
    seen: list[Tensor] = []
    handle = network.layer.register_forward_hook(lambda *a: seen.append(a[2]))
    replayed.refresh()
    for _ in range(4):
        ask(replayed.mixed, x, (x, None))
    assert len(seen) == 4
    handle.remove()
    replayed.refresh()
    before = network.calls
    ask(replayed.mixed, x, (x, None))
    assert network.calls == before  # the recording of before serves again


def test_a_function_put_in_anothers_place_is_called(
    small: tuple[Small, Replayed], monkeypatch: pytest.MonkeyPatch
) -> None:
    network, replayed = small
    x = torch.randn(1, 2, 4, 6)
    for _ in range(3):
        ask(replayed.mixed, x, (x, None))
    monkeypatch.setattr(network, "mixed", lambda *_: (x + 5, []))
    for _ in range(3):
        assert torch.equal(ask(replayed.mixed, x, (x, None))[0], x + 5)


def test_gradients_are_the_networks_own(small: tuple[Small, Replayed]) -> None:
    network, replayed = small
    network.requires_grad_(True)
    for _ in range(3):
        out, _ = replayed.mixed(torch.randn(1, 2, 4, 6), (torch.ones(1), None))
        assert out.requires_grad


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_the_click_network_is_replayed_and_gives_the_same_bits() -> None:
    with_them = load_exact("prompts-small")
    without = copy.deepcopy(with_them)
    without.replayed = None
    assert isinstance(with_them, Prompts)
    assert isinstance(without, Prompts)
    image = moving_frames(1, SIZE)[0]
    pictures = [[NetworkPrompter(model).open(image) for _ in range(3)] for model in (with_them, without)]
    for points in (Points([(50, 60)]), Points([(120, 30), (90, 90)], [(20, 100)]), Points(box=(20, 20, 90, 80))):
        for one, other in zip(*pictures, strict=True):
            placed = points.placed(SIZE)
            np.testing.assert_array_equal(one.answer(placed).mask, other.answer(placed).mask)
    assert with_them.replayed is not None
    assert {key[0] for key, kept in with_them.replayed._kept.items() if isinstance(kept, tuple)} == {"encode", "answer"}


def test_not_more_than_so_many_are_kept(small: tuple[Small, Replayed]) -> None:
    _, replayed = small
    for width in range(3, KEPT + 10):
        ask(replayed.asks, torch.ones(width))
    assert len(replayed._kept) == KEPT


def test_a_session_of_a_hooked_model_calls_its_hooks() -> None:
    model: Any = rotoscope.load("stcn-small", device="cpu")
    frames = moving_frames(5, SIZE)
    list(rotoscope.segment(np.stack(frames), {0: squares(1, SIZE)}, model))
    seen: list[int] = []
    handle = model.network.decoder.register_forward_hook(lambda *_: seen.append(1))
    list(rotoscope.segment(np.stack(frames), {0: squares(1, SIZE)}, model))
    handle.remove()
    assert len(seen) == 4
