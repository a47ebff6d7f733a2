"""The whole of CapsuleVOS: tensors in, tensors out (Duarte, Rawat, Shah, ICCV 2019; released code: facts).

The video branch sees the clip through a box around the object, so its features belong to the object: with zooming they
are computed once for each object, without (``zoom="none"``) once for all.
"""

from __future__ import annotations

from typing import ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rotoscope.layers.normalise import normalise
from rotoscope.layers.trunks import build_trunk
from rotoscope.methods.capsulevos import zoom
from rotoscope.methods.capsulevos.branches import Decoder, FineSkip, FrameBranch, FrameFeatures, VideoBranch
from rotoscope.methods.capsulevos.capsules import (
    POSE,
    CapsuleLayer,
    Capsules,
    ConcatenatedLayer,
    ConditionedLayer,
    ConvolutionalLayer,
    over_time,
)
from rotoscope.methods.capsulevos.config import CapsuleVOSConfig
from rotoscope.methods.capsulevos.convolution import LSTMState, divided
from rotoscope.methods.capsulevos.sampling import crop_and_resize

TRUNK_STAGES = 3
"""Of a trunk; the finest has the stride that the video branch's first convolutions end with."""


class Seen(NamedTuple):
    """What a clip shows, whatever the mask.

    Attributes:
        capsules: the capsules of all frames.
        features: the features of all frames that the trunk gives, ``[B, T, C, h / 4, w / 4]``; None without a trunk.
    """

    capsules: Capsules
    features: Tensor | None


class ClipState(NamedTuple):
    """What an object leaves behind after a clip.

    Attributes:
        zoom: states of the zoom branch, ``[B, C, 1, 1]`` each; None if the zoom is not learnt.
        frame: states of the frame branch, ``[B, C, h / 4, w / 4]`` of the crop's size.
    """

    zoom: LSTMState | None
    frame: LSTMState


class ClipAnswer(NamedTuple):
    """What a clip gives for one object of each batch entry.

    Attributes:
        logits: the logits of the crops, ``[B, T, h, w]``, float32.
        boxes: where the crops are, ``[B, 4]``; see :func:`~rotoscope.methods.capsulevos.sampling.paste`.
        region: corner and side that the zoom branch predicts, ``[B, 3]``; None if the zoom is not learnt.
        state: the state that the next clip begins with.
    """

    logits: Tensor
    boxes: Tensor
    region: Tensor | None
    state: ClipState


class CapsuleVOSNetwork(nn.Module):
    """Zoom, video and frame branch, two layers of capsules, decoder."""

    pure: ClassVar[tuple[str, ...]] = ("see", "segment")
    """Functions that may be replayed (:class:`~rotoscope.runtimes.replayed.Replayed`)."""

    def __init__(self, config: CapsuleVOSConfig) -> None:
        super().__init__()
        self.config = config
        video, frame, types = config.video_types, config.frame_types, config.types
        self.zoom = zoom.ZoomBranch(config) if config.zoom == "learnt" else None
        self.trunk = build_trunk(config.trunk, stages=TRUNK_STAGES) if config.trunk else None
        self.features = FrameFeatures(config, self.trunk.channels) if self.trunk is not None else None
        self.video = VideoBranch(config)
        self.frame = FrameBranch(config)
        self.skip = FineSkip(config) if config.skips == "fine" else None
        self.second: nn.Module
        self.third: nn.Module
        if not config.capsules:
            self.second = ConvolutionalLayer((video + frame) * POSE, types)
            self.third = ConvolutionalLayer(types * POSE, types)
        else:
            conditioned = ConditionedLayer if config.routing == "attention" else ConcatenatedLayer
            self.second = conditioned(video, frame, types)
            self.third = CapsuleLayer(types, types)
        self.decoder = Decoder(config, types * POSE, types * POSE, video * POSE)

    @property
    def dtype(self) -> torch.dtype:
        """Of the convolutions; routing and states are in float32 whatever it is."""
        return self.decoder.segment.weight.dtype

    def see(self, clip: Tensor) -> Seen:
        """The clip's capsules; the part that does not depend on the mask.

        Args:
            clip: crops, RGB in [0, 1], ``[B, T, 3, h, w]``.
        """
        if self.trunk is None or self.features is None:
            return Seen(self.video(clip.to(self.dtype).transpose(1, 2)), None)
        frames = normalise(clip.flatten(0, 1)).to(self.dtype)
        features = divided(self.features(self.trunk(frames)), 0, clip.shape[0], clip.shape[1])
        return Seen(self.video(features.transpose(1, 2)), features)

    def segment(self, seen: Seen, frame: Tensor, mask: Tensor, state: LSTMState | None) -> tuple[Tensor, LSTMState]:
        """Masks of a clip of crops.

        Args:
            seen: the clip's capsules; of one clip, they may stand for all B.
            frame: the first crop, RGB in [0, 1], ``[B, 3, h, w]``.
            mask: the frame's mask, ``[B, 1, h, w]``.
            state: the state of the frame branch after the clip before; zeros if None.
        Returns: logits ``[B, T, h, w]``, and the state.
        """
        video = seen.capsules
        features = seen.features
        first = None if features is None else features[:, 0]
        asked, state = self.frame(frame.to(self.dtype), mask.to(self.dtype), state, first)
        asked = over_time(asked, video.pose.shape[3])
        if self.config.capsules:
            second = self.second(video, asked)
            middle, coarse, fine = second.flat, self.third(second).flat, video.flat
        else:
            fine = F.relu(video.flat).to(self.dtype)
            middle = self.second(torch.cat([fine, F.relu(asked.flat).to(self.dtype)], dim=1))
            coarse = self.third(middle)
        skip = None
        if self.skip is not None and features is not None:
            skip = self.skip(features, state.hidden.to(features.dtype))
        return self.decoder(*(poses.to(self.dtype) for poses in (coarse, middle, fine)), skip), state


def run_clip(
    network: CapsuleVOSNetwork,
    frames: Tensor,
    mask: Tensor,
    *,
    centre: Tensor,
    boxes: Tensor | None = None,
    state: ClipState | None = None,
    seen: Seen | None = None,
) -> ClipAnswer:
    """One object through one clip.

    Args:
        network: the layers.
        frames: RGB in [0, 1] at the config's size, ``[B, T, 3, H, W]``.
        mask: the mask of the first of them, in [0, 1], ``[B, 1, H, W]``.
        centre: the centre of the box in testing, y and x as shares of the frame, ``[B, 2]``.
        boxes: use these instead (training), ``[B, 4]``.
        state: after the clip before; zeros if None.
        seen: the clip's capsules, if they are known already; only without zooming.
    """
    config, region, zoom_state = network.config, None, None
    first = frames[:, 0]
    if network.zoom is not None:
        before = None if state is None else state.zoom
        region, zoom_state = network.zoom(first.to(network.dtype), mask.to(network.dtype), before)
    if boxes is None:
        boxes = choose_box(config, region, mask[:, 0], centre)
    crops = crop_and_resize(torch.cat([frames.flatten(1, 2), mask], dim=1), boxes, config.crop)
    clip = crops[:, :-1].unflatten(1, (-1, 3))
    if seen is None:
        seen = network.see(clip)
    logits, frame_state = network.segment(seen, clip[:, 0], crops[:, -1:], None if state is None else state.frame)
    return ClipAnswer(logits, boxes, region, ClipState(zoom_state, frame_state))


def choose_box(config: CapsuleVOSConfig, region: Tensor | None, mask: Tensor, centre: Tensor) -> Tensor:
    """Boxes in testing, ``[B, 4]``, for masks ``[B, H, W]`` and centres ``[B, 2]``.

    Of what the zoom branch predicts only the side is used: the centre is the last mask's (released code).
    """
    if config.zoom == "none":
        return zoom.whole(len(mask), mask.device)
    side = zoom.crafted_side(*zoom.bounds(mask > 0.5)) if region is None else region[:, 2]
    return zoom.box_around(centre, side)
