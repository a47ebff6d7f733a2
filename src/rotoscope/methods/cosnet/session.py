"""One video's state under COSNet: features of the frames that others look at."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from rotoscope.errors import InputError
from rotoscope.masks.guided import settle
from rotoscope.methods.base import Session, VideoLike
from rotoscope.methods.cosnet import crf
from rotoscope.methods.cosnet.config import COSNetConfig
from rotoscope.methods.cosnet.network import COSNetNetwork, as_input
from rotoscope.methods.cosnet.references import PastFrames, References, WholeVideo
from rotoscope.methods.prediction import Prediction
from rotoscope.video.arrays import as_bytes
from rotoscope.video.frame import Frame

OBJECT = 1
"""Id of the primary object."""


class COSNetSession(Session):
    """Segments one video: object 1 is the primary object, on every frame; no mask is given.

    Between frames it holds the features of references (see :mod:`~rotoscope.methods.cosnet.references`), one tensor of
    ``kept_dim`` channels at the output stride for each, of a bounded number of frames. The answer on a frame depends on
    the frame and on its references alone: with the whole video at hand frames may be pushed in any order.
    """

    network: COSNetNetwork
    config: COSNetConfig

    def __init__(self, network: COSNetNetwork, config: COSNetConfig, video: VideoLike | None) -> None:
        super().__init__(network, config)
        if config.crf:
            crf.library()
        self.references: References
        if video is None or not getattr(video, "indexable", True):
            self.references = PastFrames(config)
        else:
            self.references = WholeVideo(video, self.encode, config)

    @property
    def notes(self) -> tuple[str, ...]:
        """Where references come from, if not from the whole video, and which could not be read."""
        return self.references.notes

    @property
    def frames_remembered(self) -> float:
        """Frames whose features are held."""
        return float(self.references.kept)

    def advance(self, frame: Frame, prompts: dict[int, Tensor]) -> list[Prediction]:
        """Answer the frame."""
        if prompts:
            raise InputError("masks are given, but this method finds objects by itself. Leave the masks out.")
        self.objects.replace([OBJECT])
        with self.timings.part("encode"):
            known = self.references.recall(frame)
            features = self.encode(frame) if known is None else known
        whole = isinstance(self.references, WholeVideo)
        if whole:
            self.references.observe(frame, features)
        with self.timings.part("references"):
            references = self.references.of(frame.index) if self.config.references else {}
            if self.config.references and not references:
                references = {frame.index: features}
        with self.timings.part("attend"):
            probability = self.attend(frame, features, references)
        if self.config.guided:
            with self.timings.part("guided"):
                settled = settle(self._picture(frame), probability.float().cpu().numpy(), self.config.guided)
                probability = torch.from_numpy(settled).to(probability.device)
        if not whole:
            self.references.observe(frame, features)
        with self.timings.part("restore"):
            full = F.interpolate(probability[None, None], size=frame.size[::-1], mode="bilinear", align_corners=False)
        if self.config.crf:
            with self.timings.part("crf"):
                refined = crf.refine(
                    as_bytes(frame.image),
                    full[0, 0].cpu().numpy(),
                    self.config.crf_position,
                    self.config.crf_compat,
                )
                full = torch.from_numpy(refined)[None, None].to(full.device)
        return [Prediction.from_probabilities(frame, (OBJECT,), torch.cat([1 - full[0], full[0]]))]

    def attend(self, frame: Frame, features: Tensor, references: Mapping[int, Tensor]) -> Tensor:
        """The probability of the primary object at the working size, ``[H', W']``."""
        others = torch.cat(list(references.values())) if references else features[:0]
        return self.network.segment(features, others, self.config.working_size(frame.size), self.config.joined)

    def forget(self, object_id: int) -> None:
        """Refuse: the object is the session's own."""
        raise InputError("the primary object is found by the method; it cannot be removed.")

    def memory_state(self) -> dict[str, Any]:
        """Of a stream the features of past frames."""
        return self.references.state()

    def restore_memory(self, memory: Mapping[str, Any]) -> None:
        """Continue where :meth:`memory_state` was taken."""
        self.references.restore(memory)

    def _picture(self, frame: Frame) -> NDArray[np.uint8]:
        """The frame at the working size: bilinear on 8 bits, as OpenCV does it."""
        height, width = self.config.working_size(frame.size)
        resized = cv2.resize(as_bytes(frame.image), (width, height), interpolation=cv2.INTER_LINEAR)
        return np.asarray(resized, np.uint8)

    def encode(self, frame: Frame) -> Tensor:
        """A frame's features, ``[1, C, h, w]``; one at a time, so that they do not depend on what else is computed."""
        weight = self.network.saliency.weight
        image = torch.from_numpy(self._picture(frame)).to(weight.device).permute(2, 0, 1)[None]
        return self.network.encode(as_input(image, self.network.caffe).to(weight.dtype))
