"""Routing between capsules: by EM, and by attention (CapsuleVOS, section 3.2, and its released code).

Everything here is in float32 (or float64, if given): variances and costs do not survive half precision. Shapes: ``P``
places, ``I`` capsules below, ``J`` capsules above, ``D`` = 16 entries of a pose.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

EPSILON = 1e-7
STEPS = 3
"""One M-step, then two of E and M."""
TINY = 1e-20
"""Keeps the gradient of a root finite at 0; its root is far below :data:`EPSILON`, which it stands beside."""


class Fitted(NamedTuple):
    """Capsules above, fitted to votes.

    Attributes:
        pose: the mean pose of each of J capsules, ``[P, J, D]``.
        activation: how present each capsule is, ``[P, J]`` in [0, 1].
        variance: the variance of the votes around the mean, ``[P, J, D]``.
    """

    pose: Tensor
    activation: Tensor
    variance: Tensor


class Attended(NamedTuple):
    """What attention routing gives.

    Attributes:
        pose, activation: pose and activation of the capsules above, ``[P, J, D]`` and ``[P, J]``.
        query_pose, query_activation: query pose and query activation of the capsules that the frame's votes make.
        distance: from each key vote to the query, squared, ``[P, I, J]``.
        assignment: the share of each vote that each capsule gets, ``[P, I, J]`` in [0, 1].
    """

    pose: Tensor
    activation: Tensor
    query_pose: Tensor
    query_activation: Tensor
    distance: Tensor
    assignment: Tensor


def temperature(step: int) -> float:
    """The released schedule of lambda: 0.5, then 0.6, 0.7."""
    return 0.5 + 0.1 * step


def m_step(assignment: Tensor, votes: Tensor, beta_v: Tensor, beta_a: Tensor, sharpness: float, guard: float) -> Fitted:
    """Fit the capsules above to the votes assigned to them.

    Args:
        assignment: ``[P, I, J]``.
        votes: ``[P, I, J, D]``.
        beta_v, beta_a: learnt costs, ``[J, D]`` and ``[J]``.
        sharpness: lambda of the activation.
        guard: added under roots: the released code does so in some steps only.
    """
    mass = assignment.sum(dim=1) + EPSILON
    share = assignment / (mass + EPSILON)[:, None]
    pose = torch.einsum("pij,pijd->pjd", share, votes)
    variance = torch.einsum("pij,pijd->pjd", share, (votes - pose[:, None]).square())
    deviation = (variance + guard).clamp(min=TINY).sqrt()
    cost = (beta_v + torch.log(deviation + EPSILON)).sum(dim=-1) * mass
    mean = cost.mean(dim=-1, keepdim=True)
    spread = ((cost - mean).square().mean(dim=-1, keepdim=True) + guard).clamp(min=TINY).sqrt()
    activation = torch.sigmoid(sharpness * (beta_a + (mean - cost) / (spread + EPSILON)))
    return Fitted(pose, activation, variance)


def e_step(fitted: Fitted, votes: Tensor, activations: Tensor) -> Tensor:
    """Assign votes to the capsules above, ``[P, I, J]``; likelihoods stay logarithms until the softmax."""
    pose, activation, variance = (tensor[:, None] for tensor in fitted)
    scale = torch.log(2 * math.pi * variance + EPSILON).sum(dim=-1)
    apart = ((votes - pose).square() / (2 * variance + EPSILON)).sum(dim=-1)
    odds = torch.log(activation + EPSILON) - 0.5 * scale - apart
    return torch.softmax(odds, dim=-1) * activations[..., None]


def em_routing(
    votes: Tensor, activations: Tensor, beta_v: Tensor, beta_a: Tensor, *, guard: float = 0.0, steps: int = STEPS
) -> Fitted:
    """EM routing.

    Args:
        votes: ``[P, I, J, D]``.
        activations: the activations of the capsules below, ``[P, I]``.
        beta_v, beta_a: ``[J, D]`` and ``[J]``.
        guard: under the roots of the steps after the first; 0 in a plain layer, :data:`EPSILON` in a conditioned one
            (released code).
        steps: M-steps.
    """
    assignment = activations[..., None].expand(-1, -1, votes.shape[2]) / votes.shape[2]
    fitted = m_step(assignment, votes, beta_v, beta_a, temperature(0), EPSILON)
    for step in range(1, steps):
        assignment = e_step(fitted, votes, activations)
        fitted = m_step(assignment, votes, beta_v, beta_a, temperature(step), guard)
    return fitted


def attention_routing(
    keys: Tensor,
    values: Tensor,
    activations: Tensor,
    queries: Tensor,
    frame_activations: Tensor,
    betas: tuple[Tensor, Tensor],
    frame_betas: tuple[Tensor, Tensor],
) -> Attended:
    """Route the clip's capsules by what the frame's capsules ask for.

    Args:
        keys, values: votes of the clip's capsules, ``[P, I, J, D]``.
        activations: the activations of the clip's capsules, ``[P, I]``.
        queries: votes of the frame's capsules, ``[P, I', J, D]``.
        frame_activations: ``[P, I']``.
        betas: ``[J, D]`` and ``[J]`` of the M-step over values.
        frame_betas: the same of the EM routing over queries.
    """
    query = em_routing(queries, frame_activations, *frame_betas, guard=EPSILON)
    distance = (query.pose[:, None] - keys).square().sum(dim=-1)
    assignment = torch.softmax(-distance, dim=-1) * activations[..., None]
    fitted = m_step(assignment, values, *betas, temperature(0), EPSILON)
    return Attended(fitted.pose, fitted.activation, query.pose, query.activation, distance, assignment)
