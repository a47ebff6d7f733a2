"""How COSNet joins what cells find in references with what a frame shows by itself, by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from conftest import TINY
from cosnets import make, masks
from rotoscope.errors import InputError
from rotoscope.methods.cosnet import COSNetConfig, attention
from rotoscope.methods.cosnet.attention import CoAttention
from rotoscope.methods.cosnet.config import Joined
from rotoscope.methods.cosnet.network import enlarge


def test_an_answer_may_hold_a_share_of_what_the_frame_says_by_itself() -> None:
    """Between both answers, in logits; by itself at one; nothing is mixed where there are no references."""
    net, query, many = make().network, torch.randn(1, 16, 4, 5), torch.randn(3, 16, 4, 5)
    told, alone = net.logits(query, many, Joined("summary")), net.single(query)
    for share in (0.0, 0.25, 1.0):
        wanted = torch.sigmoid(enlarge((1 - share) * told + share * alone, (32, 40)))[0, 0]
        torch.testing.assert_close(net.segment(query, many, (32, 40), Joined("summary", share)), wanted)
        bare = net.segment(query, many[:0], (32, 40), Joined("summary", share))
        torch.testing.assert_close(bare, torch.sigmoid(enlarge(alone, (32, 40)))[0, 0])


def test_the_share_of_a_session_is_its_own(clip: np.ndarray) -> None:
    model = make()
    published, mixed = masks(model, clip), masks(model, clip, own_share=0.5)
    assert not all(torch.equal(ours, theirs) for ours, theirs in zip(mixed, published, strict=True))
    whole, bare = masks(model, clip, own_share=1.0), masks(model, clip, references=0)
    for ours, theirs in zip(whole, bare, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind", ["vanilla", "symmetric", "channel"])
def test_what_recurs_gains_by_hand(kind: str) -> None:
    """Means over references of the greatest cosine and of the saliency looked at, against those of the frame."""
    torch.manual_seed(0)
    net = make(attention=kind).network
    query, many = torch.randn(1, 16, 4, 5), torch.randn(3, 16, 4, 5)
    asks, likeness, seen = net.attention.queries(query)[0], torch.zeros(20), torch.zeros(20)
    for reference, keys in zip(many, net.attention.keys(many), strict=True):
        there = torch.sigmoid(net.single(reference[None])).flatten()
        for cell in range(20):
            likeness[cell] += max(float(torch.cosine_similarity(asks[cell], one, dim=0)) for one in keys) / 3
            seen[cell] += float(torch.softmax(net.attention.scale * keys @ asks[cell], dim=0) @ there) / 3
    judged = 7 * likeness + 5 * seen
    stands_out = torch.sigmoid(net.single(query)).flatten()
    usual = float((stands_out * judged).sum() / stands_out.sum())
    gained = (3 * torch.tanh((judged - usual) / 3)).view(1, 1, 4, 5)
    for fusion in ("summary", "prediction", "group"):
        told = net.logits(query, many, Joined(fusion, 0.5))  # type: ignore[arg-type]
        with_it = net.logits(query, many, Joined(fusion, 0.5, 7.0, 5.0))  # type: ignore[arg-type]
        torch.testing.assert_close(with_it, told + gained, atol=1e-5, rtol=1e-5)


def test_few_similarities_are_held_and_many_go_by_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both give the same."""
    net, query, many = make().network, torch.randn(1, 16, 4, 5), torch.randn(3, 16, 4, 5)
    with torch.no_grad():
        held = net.attention(query, many)
        monkeypatch.setattr(attention, "MOST_HELD", 0)
        torch.testing.assert_close(net.attention(query, many), held, atol=1e-6, rtol=1e-5)
        told = torch.rand(3, 1, 4, 5)
        one_by_one = net.attention.found(query, many, told)
        monkeypatch.setattr(attention, "MOST_HELD", 7 * 20)
        for ours, theirs in zip(net.attention.found(query, many, told), one_by_one, strict=True):
            torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=1e-5)
        torch.testing.assert_close(one_by_one.summary, held, atol=1e-6, rtol=1e-5)


def test_what_stands_out_on_one_frame_only_loses() -> None:
    """Of two things that stand out alike, the one that references show gains, whatever else they show."""
    net = make().network
    a, b, rest = torch.nn.functional.normalize(torch.randn(3, 16), dim=1)
    query = rest.repeat(20, 1)
    query[3], query[11] = a, b
    reference = rest.repeat(20, 1)
    reference[7] = a
    pictures = [x.T.reshape(1, 16, 4, 5) for x in (query, reference)]
    net.attention.similarity.weight.copy_(torch.eye(16))  # type: ignore[union-attr]

    def gained(query: Tensor, reference: Tensor) -> Tensor:
        found = net.attention.found(query, reference, torch.zeros(1, 1, 4, 5))
        return net.recurring(query, found, Joined("summary", recurrence=10.0)).flatten()

    told = gained(*pictures)
    assert told[3] > told[11] + 1
    alone = gained(pictures[0], pictures[0])  # its own only reference
    torch.testing.assert_close(alone, torch.zeros_like(alone), atol=1e-4, rtol=0)


def test_what_stands_out_in_references_gains_where_it_is_found() -> None:
    """Of two things that recur alike, the one that stands out in the references gains."""
    net = make(sharpness=30.0).network
    a, b, rest = torch.nn.functional.normalize(torch.randn(3, 16), dim=1)
    cells = rest.repeat(20, 1)
    cells[3], cells[11] = a, b
    picture = cells.T.reshape(1, 16, 4, 5)
    net.attention.similarity.weight.copy_(torch.eye(16))  # type: ignore[union-attr]
    told = torch.zeros(1, 1, 4, 5)
    told.view(-1)[3] = 1
    found = net.attention.found(picture, picture, told)
    gained = net.recurring(picture, found, Joined("summary", carried=10.0)).flatten()
    assert gained[3] > gained[11] + 1


@pytest.mark.parametrize("option", ["recurrence", "carried"])
def test_recurrence_of_a_session_is_its_own_and_needs_attention(clip: np.ndarray, option: str) -> None:
    model = make()
    published, told = masks(model, clip), masks(model, clip, **{option: 50.0})
    assert not all(torch.equal(ours, theirs) for ours, theirs in zip(told, published, strict=True))
    with pytest.raises(InputError, match=f"{option} needs a network that compares cells"):
        COSNetConfig(**{**TINY["cosnet"], "attention": "none", option: 5.0})  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["vanilla", "symmetric", "channel"])
def test_attention_by_hand(kind: str) -> None:
    torch.manual_seed(0)
    module = CoAttention(COSNetConfig(attention=kind, dim=16))  # type: ignore[arg-type]
    a, b = torch.randn(2, 1, 16, 12).unbind()
    pictures = a.unflatten(2, (3, 4)), b.unflatten(2, (3, 4))
    if kind == "vanilla":
        scores = (module.similarity.weight @ a[0]).T @ b[0]
    elif kind == "symmetric":
        p = module.project.weight
        torch.testing.assert_close(p @ p.T, torch.eye(16), atol=1e-5, rtol=0)
        assert module.irregularity() < 1e-6
        torch.nn.init.normal_(p)
        torch.nn.init.normal_(module.diagonal)
        expected = (p @ p.T - torch.eye(16)).abs().mean()
        torch.testing.assert_close(module.irregularity(), expected)
        scores = (p @ a[0]).T @ module.diagonal.diag() @ (p @ b[0])
    else:
        weights = [torch.sigmoid(module.excite(module.squeeze(x[0].mean(dim=1)).relu())) for x in (a, b)]
        scores = (a[0] * weights[0][:, None]).T @ (b[0] * weights[1][:, None])
    ahead = (torch.softmax(scores, dim=1) @ b[0].T).T.unflatten(1, (3, 4))[None]
    back = (torch.softmax(scores, dim=0).T @ a[0].T).T.unflatten(1, (3, 4))[None]
    torch.testing.assert_close(module(*pictures), ahead, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(module(*pictures[::-1], back=True), back, atol=1e-5, rtol=1e-4)
