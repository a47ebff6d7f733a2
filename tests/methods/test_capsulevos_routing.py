"""CapsuleVOS's routing against a plain computation in float64."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pytest
import torch

from rotoscope.methods.capsulevos import capsules as layers
from rotoscope.methods.capsulevos.capsules import Capsules
from rotoscope.methods.capsulevos.routing import attention_routing, em_routing

Golden = Callable[[str], Mapping[str, np.ndarray]]


def test_em_routing_step_by_step(golden: Golden) -> None:
    data = {name: torch.from_numpy(array) for name, array in golden("routing").items()}
    for steps in (1, 2, 3):
        found = em_routing(
            data["em_votes"], data["em_act_in"][..., 0], data["em_beta_v"], data["em_beta_a"][:, 0], steps=steps
        )
        assert found.pose.dtype == torch.float64
        torch.testing.assert_close(found.pose, data[f"em_pose_{steps - 1}"], atol=1e-9, rtol=0)
        torch.testing.assert_close(found.activation, data[f"em_act_{steps - 1}"][..., 0], atol=1e-9, rtol=0)


def test_attention_routing(golden: Golden) -> None:
    data = {name.removeprefix("att_"): torch.from_numpy(array) for name, array in golden("routing").items()}
    found = attention_routing(
        data["key_votes"],
        data["value_votes"],
        data["act_video"][..., 0],
        data["query_votes"],
        data["act_frame"][..., 0],
        (data["beta_v_video"], data["beta_a_video"][:, 0]),
        (data["beta_v_frame"], data["beta_a_frame"][:, 0]),
    )
    for name, ours in (
        ("pose", found.pose),
        ("act", found.activation[..., None]),
        ("frame_pose", found.query_pose),
        ("frame_act", found.query_activation[..., None]),
        ("distance", found.distance),
        ("assignment", found.assignment),
    ):
        torch.testing.assert_close(ours, data[name], atol=1e-9, rtol=0)


@pytest.mark.parametrize("scale", [0.0, 1e-6, 1.0, 1e4, 1e8])
def test_routing_stays_finite(golden: Golden, scale: float) -> None:
    """Also its gradients, in float32, for votes of any size and for votes that all agree."""
    data = {name: torch.from_numpy(array).float() for name, array in golden("routing").items()}
    votes = (data["em_votes"] * scale).requires_grad_(True)
    found = em_routing(votes, data["em_act_in"][..., 0], data["em_beta_v"], data["em_beta_a"][:, 0])
    assert torch.isfinite(found.pose).all()
    assert ((found.activation >= 0) & (found.activation <= 1)).all()
    (found.pose.sum() / max(scale, 1e-6) + found.activation.sum()).backward()
    assert votes.grad is not None
    assert torch.isfinite(votes.grad).all()


def test_routing_is_in_float32_under_bfloat16() -> None:
    torch.manual_seed(0)
    below = Capsules(torch.randn(1, 3, 16, 4, 4, 4), torch.rand(1, 3, 4, 4, 4))
    above = Capsules(torch.randn(1, 2, 16, 4, 4, 4), torch.rand(1, 2, 4, 4, 4))
    layer = layers.ConditionedLayer(3, 2, 4)
    plain = layer(below, above)
    with torch.autocast("cpu", torch.bfloat16):
        under = layer(below, above)
    assert torch.equal(plain.pose, under.pose)
    assert torch.equal(plain.activation, under.activation)
