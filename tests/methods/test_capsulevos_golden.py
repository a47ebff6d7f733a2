"""CapsuleVOS against numbers computed by its authors' network, and its routing against a plain computation."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import rotoscope
from rotoscope.errors import CheckpointError
from rotoscope.methods.capsulevos import (
    CapsuleVOS,
    CapsuleVOSConfig,
    CapsuleVOSNetwork,
    branches,
    convolution,
    network,
    routing,
    sampling,
    zoom,
)
from rotoscope.methods.capsulevos import capsules as layers
from rotoscope.methods.capsulevos.capsules import Capsules, over_time
from rotoscope.methods.capsulevos.convolution import ConvLSTMCell, LSTMState
from rotoscope.methods.capsulevos.network import ClipAnswer, run_clip
from rotoscope.methods.capsulevos.routing import EPSILON, attention_routing, em_routing, m_step
from rotoscope.methods.capsulevos.sampling import crop_and_resize, paste
from rotoscope.methods.capsulevos.zoom import bounds, centre_of

GOLDEN = Path(__file__).parent.parent / "golden"
Golden = Callable[[str], Mapping[str, np.ndarray]]
Seeded = Callable[[str], dict[str, Tensor]]
TOLERANCE = {"third_caps_act": 2e-3, "decoder_logits": 5e-3, "probabilities": 5e-3}
"""Of all else 1e-4: the third layer's costs hardly differ, so rounding shows; the last two are stored as float16."""
STAGES = (
    "predicted_crop",
    "box",
    "hr_state",
    "lr_state",
    "video_features",
    "vid_caps_pose",
    "vid_caps_act",
    "frame_caps_pose",
    "frame_caps_act",
    "sec_query_pose",
    "sec_query_act",
    "sec_caps_pose",
    "sec_caps_act",
    "third_caps_pose",
    "third_caps_act",
    "decoder_logits",
    "probabilities",
)


@dataclass
class Pass:
    """One clip through the released network, with everything on the way."""

    frames: Tensor
    mask: Tensor
    centre: Tensor
    before: network.ClipState | None
    answer: ClipAnswer
    found: dict[str, Any] = field(default_factory=dict)


def released_state(seeded: Seeded) -> dict[str, np.ndarray]:
    state = seeded("capsulevos")
    for name, change in json.loads((GOLDEN / "capsulevos.overrides.json").read_text()).items():
        state[name] = state[name] * change["scale"] + change["add"]
    return {name: tensor.numpy() for name, tensor in state.items()}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory, seeded: Seeded) -> CapsuleVOS:
    path = tmp_path_factory.mktemp("capsulevos") / "model4_394.npz"
    np.savez(path, **released_state(seeded))
    loaded = rotoscope.load(path, precision="exact", device="cpu")
    assert isinstance(loaded, CapsuleVOS)
    assert loaded.config == CapsuleVOSConfig()
    return loaded


@pytest.fixture(scope="module")
def passes(model: CapsuleVOS, golden: Golden) -> list[Pass]:
    """Frames 0 to 7 with the given mask; frames 5 to 12 with what the first pass says of frame 5."""
    data = golden("capsulevos")
    frames = torch.from_numpy(data["frames"]).permute(0, 3, 1, 2)
    mask = torch.from_numpy(data["first_mask"]).float()[None, None]
    frames, mask = (x.repeat_interleave(4, dim=-2).repeat_interleave(4, dim=-1) for x in (frames, mask))
    net, found, made, state = model.network, {}, [], None
    assert net.zoom is not None
    watched = {
        "features": net.video.convs,
        "video": net.video.capsules,
        "frame": net.frame,
        "second": net.second,
        "third": net.third,
    }

    def keep(name: str) -> Callable[..., None]:
        return lambda module, given, out: found.update({name: out, f"{name} given": given})

    hooks = [module.register_forward_hook(keep(name)) for name, module in watched.items()]
    with torch.inference_mode():
        for start in (0, 5):
            clip = frames[None, start : start + 8].float() / 255
            centre = centre_of(bounds(mask[:, 0] > 0.5)[0])
            answer = run_clip(net, clip, mask, centre=centre, state=state)
            made.append(Pass(clip, mask, centre, state, answer, dict(found)))
            state = answer.state
            mask = torch.sigmoid(paste(answer.logits[:, 5:6], answer.boxes, (512, 896)))
    for hook in hooks:
        hook.remove()
    return made


def in_order(capsules: Capsules) -> tuple[Tensor, Tensor]:
    """Poses ``[T, H, W, I, 16]`` and activations ``[T, H, W, I]``, as the reference has them."""
    return capsules.pose[0].permute(2, 3, 4, 0, 1), capsules.activation[0].permute(1, 2, 3, 0)


def thinned(net: CapsuleVOSNetwork, ran: Pass) -> dict[str, Tensor]:
    """Everything that the golden file holds of a pass, thinned out as it is there."""
    answer, found = ran.answer, ran.found
    assert answer.region is not None
    assert answer.state.zoom is not None
    video, video_act = in_order(found["video"])
    frame, frame_act = in_order(found["frame"][0])
    second, second_act = in_order(found["second"])
    third, third_act = in_order(found["third"])
    asked = layers.pooled(found["second given"][1])
    query = em_routing(
        layers.votes(net.second.query, layers.by_place(asked)[0]),  # type: ignore[arg-type]
        layers.by_place(asked)[1],
        net.second.frame_beta_v,  # type: ignore[arg-type]
        net.second.frame_beta_a,  # type: ignore[arg-type]
        guard=EPSILON,
    )
    return {
        "predicted_crop": F.pad(answer.region[0], (0, 1)),
        "box": answer.boxes[0],
        "hr_state": torch.cat([part.flatten() for part in answer.state.zoom]),
        "lr_state": torch.cat(list(answer.state.frame), dim=1)[0].permute(1, 2, 0)[::4, ::4, ::8],
        "video_features": found["features"][0].permute(1, 2, 3, 0)[::3, ::8, ::8, ::8],
        "vid_caps_pose": video[::3, ::4, ::4],
        "vid_caps_act": video_act[::3, ::4, ::4],
        "frame_caps_pose": frame[0, ::4, ::4],
        "frame_caps_act": frame_act[0, ::4, ::4],
        "sec_query_pose": query.pose.reshape(4, 8, 14, 16, 16)[:, ::2, ::2],
        "sec_query_act": query.activation.reshape(4, 8, 14, 16)[:, ::2, ::2],
        "sec_caps_pose": second[:, ::2, ::2],
        "sec_caps_act": second_act[:, ::2, ::2],
        "third_caps_pose": third,
        "third_caps_act": third_act,
        "decoder_logits": answer.logits[0][:, ::2, ::2],
        "probabilities": torch.sigmoid(paste(answer.logits, answer.boxes, (512, 896)))[0][:, ::8, ::8],
    }


@pytest.mark.parametrize("clip", [0, 1])
@torch.inference_mode()
def test_every_stage_of_two_clips(model: CapsuleVOS, passes: list[Pass], golden: Golden, clip: int) -> None:
    data = golden("capsulevos")
    found = thinned(model.network, passes[clip])
    centre = torch.from_numpy(data[f"clip{clip}_center"][:2])
    torch.testing.assert_close(passes[clip].centre[0], centre, atol=1e-6, rtol=0)
    assert tuple(found) == tuple(STAGES)
    for name, ours in found.items():
        theirs = torch.from_numpy(data[f"clip{clip}_{name}"].astype(np.float32))
        torch.testing.assert_close(
            ours, theirs, atol=TOLERANCE.get(name, 1e-4), rtol=0, msg=lambda text, name=name: f"{name}: {text}"
        )


def wrong_attention(mistake: str) -> Callable[..., routing.Attended]:
    def routed(
        keys: Tensor,
        values: Tensor,
        activations: Tensor,
        queries: Tensor,
        frame_activations: Tensor,
        betas: tuple[Tensor, Tensor],
        frame_betas: tuple[Tensor, Tensor],
    ) -> routing.Attended:
        if mistake == "frame betas for video":
            betas = frame_betas
        if mistake == "keys are the values":
            values = keys
        right = attention_routing(keys, values, activations, queries, frame_activations, betas, frame_betas)
        if mistake != "sign of the distance":
            return right
        assignment = torch.softmax(right.distance, dim=-1) * activations[..., None]
        fitted = m_step(assignment, values, *betas, 0.5, EPSILON)
        return right._replace(pose=fitted.pose, activation=fitted.activation)

    return routed


def pooled_inside(capsules: Capsules) -> Capsules:
    pose = F.avg_pool3d(capsules.flat, 3, 2, 1, count_include_pad=False)
    activation = F.avg_pool3d(capsules.activation, 3, 2, 1, count_include_pad=False)
    return Capsules(pose.unflatten(1, capsules.pose.shape[1:3]), activation)


@pytest.mark.parametrize(
    "mistake",
    [
        "none",
        "matrices on the left",
        "columns before rows",
        "no time",
        "pooling without the border",
        "sign of the distance",
        "frame betas for video",
        "keys are the values",
        "constant temperature",
        "one step less",
    ],
)
@torch.inference_mode()
def test_single_mistakes_of_the_conditioned_layer_are_seen(
    model: CapsuleVOS, passes: list[Pass], golden: Golden, monkeypatch: pytest.MonkeyPatch, mistake: str
) -> None:
    video, frame = passes[0].found["video"], passes[0].found["frame"][0]
    asked = over_time(frame, 8)
    if mistake == "matrices on the left":
        swapped = lambda weight, pose: torch.einsum("pikc,ijca->pijka", pose, weight).flatten(-2)  # noqa: E731
        monkeypatch.setattr(layers, "votes", swapped)
    elif mistake == "columns before rows":
        turned = lambda weight, pose: torch.einsum("ijak,pick->pijac", weight, pose).flatten(-2)  # noqa: E731
        monkeypatch.setattr(layers, "votes", turned)
    elif mistake == "no time":
        still = frame.pose.expand(-1, -1, -1, 8, -1, -1)
        asked = asked._replace(pose=still)
    elif mistake == "pooling without the border":
        monkeypatch.setattr(layers, "pooled", pooled_inside)
    elif mistake == "constant temperature":
        monkeypatch.setattr(routing, "temperature", lambda step: 0.5)
    elif mistake == "one step less":
        monkeypatch.setattr(routing, "em_routing", lambda *a, **k: em_routing(*a, **k, steps=2))
    elif mistake != "none":
        monkeypatch.setattr(layers, "attention_routing", wrong_attention(mistake))
    pose, activation = in_order(model.network.second(video, asked))
    data = golden("capsulevos")
    apart = max(
        np.abs(pose[:, ::2, ::2].numpy() - data["clip0_sec_caps_pose"]).max(),
        np.abs(activation[:, ::2, ::2].numpy() - data["clip0_sec_caps_act"]).max(),
    )
    small = layers.pooled(asked)
    with_steps = routing.em_routing(
        layers.votes(model.network.second.query, layers.by_place(small)[0]),  # type: ignore[arg-type]
        layers.by_place(small)[1],
        model.network.second.frame_beta_v,  # type: ignore[arg-type]
        model.network.second.frame_beta_a,  # type: ignore[arg-type]
        guard=EPSILON,
    )
    query = with_steps.activation.reshape(4, 8, 14, 16)[:, ::2, ::2].numpy()
    apart = max(apart, np.abs(query - data["clip0_sec_query_act"]).max())
    assert apart < 1e-4 if mistake == "none" else apart > 1e-2


@pytest.mark.parametrize(
    "mistake", ["none", "even padding", "gates in another order", "forget bias", "corners of pixels"]
)
@torch.inference_mode()
def test_single_mistakes_of_the_frame_branch_are_seen(
    model: CapsuleVOS, passes: list[Pass], golden: Golden, monkeypatch: pytest.MonkeyPatch, mistake: str
) -> None:
    ran = passes[1]
    assert ran.before is not None
    crops = crop_and_resize(torch.cat([ran.frames[:, 0], ran.mask], dim=1), ran.answer.boxes, (128, 224))
    if mistake == "even padding":
        monkeypatch.setattr(convolution, "same_padding", lambda side, kernel, stride: (1, 1))
    elif mistake == "corners of pixels":
        whole = crop_and_resize(torch.cat([ran.frames[:, 0], ran.mask], dim=1), ran.answer.boxes, (256, 448))
        crops = F.interpolate(whole, size=(128, 224), mode="bilinear", align_corners=False)
    elif mistake != "none":

        def wrong(self: ConvLSTMCell, x: Tensor, state: LSTMState) -> LSTMState:
            gates = self.gates(torch.cat([x, state.hidden], dim=1)).chunk(4, dim=1)
            order = (0, 2, 1, 3) if mistake == "gates in another order" else (0, 1, 2, 3)
            enter, new, keep, leave = (gates[i] for i in order)
            bias = 1.0 if mistake == "forget bias" else 0.0
            cell = torch.sigmoid(keep + bias) * state.cell + torch.sigmoid(enter) * torch.tanh(new)
            return LSTMState(cell, torch.tanh(cell) * torch.sigmoid(leave))

        monkeypatch.setattr(ConvLSTMCell, "forward", wrong)
    _, state = model.network.frame(crops[:, :3], crops[:, 3:], ran.before.frame)
    ours = torch.cat(list(state), dim=1)[0].permute(1, 2, 0)[::4, ::4, ::8]
    apart = np.abs(ours.numpy() - golden("capsulevos")["clip1_lr_state"]).max()
    assert apart < 1e-4 if mistake == "none" else apart > 5e-3


@pytest.mark.parametrize("mistake", ["none", "aligned corners", "half a pixel", "zeros outside"])
@torch.inference_mode()
def test_single_mistakes_of_pasting_are_seen(
    passes: list[Pass], golden: Golden, monkeypatch: pytest.MonkeyPatch, mistake: str
) -> None:
    answer = passes[0].answer
    if mistake in ("aligned corners", "half a pixel"):
        aligned = mistake == "aligned corners"
        monkeypatch.setattr(
            sampling, "resize", lambda x, size: F.interpolate(x, size=size, mode="bilinear", align_corners=aligned)
        )
    outside = 0.0 if mistake == "zeros outside" else sampling.OUTSIDE
    ours = torch.sigmoid(paste(answer.logits, answer.boxes, (512, 896), outside))[0][:, ::8, ::8]
    apart = np.abs(ours.numpy() - golden("capsulevos")["clip0_probabilities"].astype(np.float32)).max()
    assert apart < 5e-3 if mistake == "none" else apart > 2e-2


@pytest.mark.parametrize("mistake", ["none", "predicted corner", "no least side", "no margin", "cut before the margin"])
def test_single_mistakes_of_the_box_are_seen(
    passes: list[Pass], golden: Golden, monkeypatch: pytest.MonkeyPatch, mistake: str
) -> None:
    region, centre = passes[0].answer.region, passes[0].centre
    assert region is not None
    side = region[:, 2]
    if mistake == "no least side":
        side = (side - zoom.LEAST_SIDE) / (1 - zoom.LEAST_SIDE)
    if mistake == "no margin":
        monkeypatch.setattr(zoom, "MARGIN", 0.0)
    box = zoom.box_around(centre, side)
    if mistake == "predicted corner":
        box = zoom.widened(region[:, :2], side)
    if mistake == "cut before the margin":
        near = (centre - side[:, None] / 2).clamp(0, 1)
        box = torch.cat([(near - 0.05).clamp(0, 1), (near - 0.05).clamp(0, 1) + side[:, None] + 0.1], dim=1)
    apart = np.abs(box[0].numpy() - golden("capsulevos")["clip0_box"]).max()
    assert apart < 1e-5 if mistake == "none" else apart > 5e-3


@pytest.mark.parametrize("mistake", ["bias before the first ReLU", "first row cut off"])
@torch.inference_mode()
def test_single_mistakes_of_the_decoder_are_seen(
    model: CapsuleVOS, passes: list[Pass], golden: Golden, monkeypatch: pytest.MonkeyPatch, mistake: str
) -> None:
    found = passes[0].found
    if mistake == "bias before the first ReLU":
        monkeypatch.setattr(branches, "_biased", lambda x, bias: F.relu(x + bias.view(-1, *[1] * (x.ndim - 2))))
    else:

        def cut(self: convolution.SameConvTranspose3d, x: Tensor, output_size: list[int] | None = None) -> Tensor:
            whole = torch.nn.ConvTranspose3d.forward(self, x)
            sides = [side * stride for side, stride in zip(x.shape[2:], self.stride, strict=True)]
            return whole[:, :, -sides[0] :, -sides[1] :, -sides[2] :]

        def cut_flat(self: convolution.SameConvTranspose3d, x: Tensor) -> Tensor:
            return cut(self, x[:, :, None])[:, :, 0]

        monkeypatch.setattr(convolution.SameConvTranspose3d, "forward", cut)
        monkeypatch.setattr(convolution.SameConvTranspose3d, "flat", cut_flat)
    third, second, video = (found[name].flat for name in ("third", "second", "video"))
    logits = model.network.decoder(third, second, video)[0][:, ::2, ::2]
    apart = np.abs(logits.numpy() - golden("capsulevos")["clip0_decoder_logits"].astype(np.float32)).max()
    assert apart > 0.1


def test_what_an_optimiser_left_is_ignored(model: CapsuleVOS, tmp_path: Path, seeded: Seeded) -> None:
    state = released_state(seeded)
    slots = {f"{name}/{slot}": array for name, array in state.items() for slot in ("Adam", "Adam_1")}
    np.savez(tmp_path / "trained.npz", **state, **slots, beta1_power=np.float32(0.1), global_step=np.int64(7))
    loaded = rotoscope.load(tmp_path / "trained.npz", precision="exact", device="cpu")
    ours = model.state_dict()
    assert all(torch.equal(tensor, ours[name]) for name, tensor in loaded.state_dict().items())


def test_files_that_do_not_fit_are_named(tmp_path: Path, seeded: Seeded) -> None:
    state = released_state(seeded)
    whole = dict(state)
    del state["network/skip_1/kernel"]
    state["network/head/kernel"] = np.zeros((1, 1, 2, 2), np.float32)
    np.savez(tmp_path / "other.npz", **state)
    with pytest.raises(CheckpointError, match=r"skip1\.weight is missing; head/weight is not expected"):
        rotoscope.load(tmp_path / "other.npz", device="cpu")
    np.savez(tmp_path / "foreign.npz", a=np.zeros(3))
    with pytest.raises(CheckpointError, match="of no network known here"):
        rotoscope.load(tmp_path / "foreign.npz", device="cpu")
    with pytest.raises(CheckpointError, match="vid_caps_pose/kernel is missing"):
        rotoscope.load(tmp_path / "foreign.npz", method="capsulevos", device="cpu")
    np.savez(tmp_path / "whole.npz", **{name: whole[name] for name in list(whole)[:4]})
    (tmp_path / "cut.npz").write_bytes((tmp_path / "whole.npz").read_bytes()[:500])
    with pytest.raises(CheckpointError, match="truncated"):
        rotoscope.load(tmp_path / "cut.npz", device="cpu")
    np.savez(tmp_path / "objects.npz", a=np.array([{}], dtype=object))
    with pytest.raises(CheckpointError, match="truncated, or not a table of arrays"):
        rotoscope.load(tmp_path / "objects.npz", device="cpu")
