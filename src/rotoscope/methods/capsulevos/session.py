"""One video's state under CapsuleVOS: the frames of the clip that is not full yet, and what each object left behind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from rotoscope.layers.aggregation import aggregate, leaned, put_in
from rotoscope.methods.base import Session
from rotoscope.methods.capsulevos.config import CapsuleVOSConfig
from rotoscope.methods.capsulevos.convolution import LSTMState
from rotoscope.methods.capsulevos.network import CapsuleVOSNetwork, ClipAnswer, ClipState, Seen, run_clip
from rotoscope.methods.capsulevos.sampling import crop_and_resize, paste
from rotoscope.methods.capsulevos.tracks import Held, Track, shrunk, winners
from rotoscope.methods.capsulevos.zoom import bounds, centre_of, whole
from rotoscope.methods.prediction import Prediction
from rotoscope.video.frame import Frame


class CapsuleVOSSession(Session):
    """Segments one video, a clip at a time.

    Frames are held back until there are ``clip`` of them, then answered together; the next clip begins ``overlap``
    frames before the end of this one, with the answer of its first frame as its mask. Frames of the overlap keep the
    answer that they have. Masks given on a frame begin a clip on that frame: the clip before it is still filled with
    the frames that follow, so that what is given later changes nothing before it, but answers only up to that frame.
    At the end of the video the last frame is repeated until the clip is full.

    Between frames it holds up to ``clip`` frames at the working size, and for each object a mask of that size, a centre
    and the states of one or two ConvLSTMs. Objects run one after another: each has crops, and so video features, of its
    own. Without zooming all crops are the whole frame, and the clip's capsules are computed once.
    """

    network: CapsuleVOSNetwork
    config: CapsuleVOSConfig

    def __init__(self, network: CapsuleVOSNetwork, config: CapsuleVOSConfig) -> None:
        super().__init__(network, config)
        self.latency = config.clip - 1
        self._held: list[Held] = []
        self._tracks: list[Track] = []

    def advance(self, frame: Frame, prompts: dict[int, Tensor]) -> list[Prediction]:
        """Take a frame; answer a clip if it is full."""
        position = self.position
        self._tracks += [Track(object_id, position) for object_id in self.objects.enter(prompts)]
        waiting = any(not held.answered for held in self._held)
        if not waiting:  # an object that was removed is needed no more
            self._tracks = [track for track in self._tracks if track.until is None]
            if all(track.born == position for track in self._tracks):
                self._held = []
        if not self.objects and not waiting:
            return [Prediction.empty(frame)]
        with self.timings.part("prepare"):
            image = self._image(frame)
            held = Held(position, frame.index, frame.name, frame.size, image, tuple(self.objects.ids), prompts)
        self._held.append(held)
        predictions = []
        if not waiting and set(prompts) == set(self.objects.ids):  # nothing to wait for: the answer is what was given
            predictions.append(self._answer(held, {}, 0))
        if len(self._held) == 1:
            self._seed(held, {}, 0)
        return predictions + (self._run() if len(self._held) == self.config.clip else [])

    def flush(self) -> list[Prediction]:
        """Answer the frames held back, their clips filled with the last frame."""
        predictions: list[Prediction] = []
        while any(not held.answered for held in self._held):
            predictions += self._run()
        self._held = []
        return predictions

    def forget(self, object_id: int) -> None:
        """The object ends before the next frame; frames held back are still answered with it."""
        for track in self._tracks:
            if track.object_id == object_id and track.until is None:
                track.until = self.position

    def memory_state(self) -> dict[str, Any]:
        """Held frames and tracks."""
        tensors: dict[str, Any] = {}
        for n, held in enumerate(self._held):
            tensors[f"held.{n}.image"] = held.image
            tensors |= {f"held.{n}.given.{i}": mask for i, mask in held.prompts.items()}
        for n, track in enumerate(self._tracks):
            if track.seed is not None:
                tensors[f"track.{n}.seed"] = track.seed
            for part, lstm in (
                ("zoom", track.state and track.state.zoom),
                ("frame", track.state and track.state.frame),
            ):
                if lstm is not None:
                    tensors[f"track.{n}.{part}.cell"], tensors[f"track.{n}.{part}.hidden"] = lstm
        return tensors | {
            "held": [[h.position, h.index, h.name, list(h.ids), list(h.prompts), h.answered] for h in self._held],
            "tracks": [[t.object_id, t.born, t.until, list(t.centre)] for t in self._tracks],
        }

    def restore_memory(self, memory: Mapping[str, Any]) -> None:
        """Continue where :meth:`memory_state` was taken; what is held of frames stays on the CPU."""
        self._held = []
        for n, (position, index, name, ids, prompted, answered) in enumerate(memory["held"]):
            masks = {int(i): memory[f"held.{n}.given.{i}"].cpu() for i in prompted}
            image = memory[f"held.{n}.image"].cpu()
            assert self.size is not None
            self._held.append(Held(position, index, name, self.size, image, tuple(ids), masks, answered))
        self._tracks = []
        for n, (object_id, born, until, centre) in enumerate(memory["tracks"]):
            track = Track(object_id, born, until, centre=(centre[0], centre[1]))
            if f"track.{n}.seed" in memory:
                track.seed = memory[f"track.{n}.seed"]
            lstms = {
                part: LSTMState(memory[f"track.{n}.{part}.cell"], memory[f"track.{n}.{part}.hidden"])
                for part in ("zoom", "frame")
                if f"track.{n}.{part}.cell" in memory
            }
            if lstms:
                track.state = ClipState(lstms.get("zoom"), lstms["frame"])
            self._tracks.append(track)

    def _image(self, frame: Frame) -> Tensor:
        """The frame at the working size, uint8 ``[3, H, W]``: bilinear on 8 bits."""
        image = frame.image
        if image.dtype != np.uint8:
            image = np.round(image * 255).astype(np.uint8)
        height, width = self.config.size
        resized = np.array(Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR))
        return torch.from_numpy(resized).permute(2, 0, 1)

    def _run(self) -> list[Prediction]:
        """Segment the clip that the first held frame begins; answer what it answers, and begin the next clip."""
        held = self._held
        event = next((n for n, frame in enumerate(held) if n and frame.prompts), None)
        full = len(held) == self.config.clip
        answers = self._segment(held, [track for track in self._tracks if track.there(held[0].position)])
        last = len(held) - 1 if event is None else event
        start = last if event is not None or not full else len(held) - self.config.overlap
        with self.timings.part("restore"):
            waiting = [(place, frame) for place, frame in enumerate(held[: last + 1]) if not frame.answered]
            predictions = [self._answer(frame, answers, place) for place, frame in waiting]
            self._tracks = [t for t in self._tracks if t.until is None or t.until > held[start].position]
            self._held = held[start:] if self._tracks else []
            if self._tracks:
                self._seed(held[start], answers, start)
        return predictions

    def _segment(self, held: list[Held], tracks: list[Track]) -> dict[int, ClipAnswer]:
        """A clip, filled with its last frame, for each track: answers by object, at the size of crops."""
        config, device = self.config, self.device
        images = [frame.image for frame in held]
        images += images[-1:] * (config.clip - len(images))
        clip = torch.stack(images)[None].to(device).float() / 255
        seen: Seen | None = None
        if config.zoom == "none":
            with self.timings.part("video"):
                crops = crop_and_resize(clip.flatten(1, 2), whole(1, device), config.crop)
                seen = self.network.see(crops.unflatten(1, (-1, 3)))
        answers = {}
        for track in tracks:
            assert track.seed is not None
            with self.timings.part("segment"):
                centre = torch.tensor([track.centre], device=device)
                before = track.state if config.carry_states else None
                answer = run_clip(self.network, clip, track.seed[None, None], centre=centre, state=before, seen=seen)
            track.state = answer.state
            answers[track.object_id] = answer
        return answers

    def _probabilities(self, answer: ClipAnswer, place: int) -> Tensor:
        """An object on one frame of a clip, ``[H, W]`` at the working size; 0 outside its box."""
        return torch.sigmoid(
            leaned(paste(answer.logits[:, place : place + 1], answer.boxes, self.config.size), self.config.lean)
        )[0, 0]

    def _answer(self, held: Held, answers: Mapping[int, ClipAnswer], place: int) -> Prediction:
        """A frame's answer: what was given on it, and what the clip says of the other objects."""
        held.answered = True
        if not held.ids:
            return Prediction.empty(held)
        width, height = held.size
        full = torch.zeros(len(held.ids), height, width, device=self.device)
        for slot, object_id in enumerate(held.ids):
            if object_id not in held.prompts:
                small = self._probabilities(answers[object_id], place)[None, None]
                full[slot] = F.interpolate(small, size=(height, width), mode="bilinear", align_corners=False)[0, 0]
        if held.prompts:
            slots = [held.ids.index(object_id) for object_id in held.prompts]
            full = put_in(full, slots, torch.stack(list(held.prompts.values())).to(self.device))
        return Prediction.from_probabilities(held, held.ids, self._merged(full), bool(held.prompts))

    def _merged(self, objects: Tensor) -> Tensor:
        """Probabilities of objects ``[N, H, W]`` to those of background and objects."""
        if self.config.merging == "soft":
            return aggregate(objects)
        return F.one_hot(winners(objects), len(objects) + 1).permute(2, 0, 1).float()

    def _seed(self, first: Held, answers: Mapping[int, ClipAnswer], place: int) -> None:
        """The masks that a clip begins with, each object's where no other wins; and the centres of their boxes."""
        tracks = [track for track in self._tracks if track.there(first.position)]
        device = self.device
        masks = [
            shrunk(first.prompts[track.object_id].to(device), self.config.size)
            if track.object_id in first.prompts
            else self._probabilities(answers[track.object_id], place)
            for track in tracks
        ]
        labels = winners(torch.stack(masks))
        for number, (track, mask) in enumerate(zip(tracks, masks, strict=True), 1):
            own = track.object_id in first.prompts
            track.seed = mask if own else mask.masked_fill((labels != number) & (labels != 0), 0)
            edges, there = bounds(track.seed[None] > 0.5)
            if there:
                y, x = centre_of(edges)[0].tolist()
                track.centre = (y, x)
