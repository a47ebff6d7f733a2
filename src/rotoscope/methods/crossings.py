"""Look-alikes that cross: while they overlap nothing tells which is which, but how they moved says who comes out.

Matching by appearance cannot tell two things that look alike, and the place of a mask on the frame before is lost while
one hides the other. Here the objects of such a meeting are followed as one group until they are apart again, and each
part then belongs to the object that would have arrived there, had it gone on as it went. Where their pictures fit
(:mod:`rotoscope.methods.portraits`), these say where each is and who is in front, also while they overlap.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rotoscope.layers.assignment import least_cost
from rotoscope.methods.likeness import Looks
from rotoscope.methods.meetings import (
    CELL,
    Meeting,
    Motion,
    agree,
    cell_labels,
    centres_of,
    coming_near,
    divided,
    fine_labels,
    fitted_motion,
    large_parts,
    nearest_part,
    overlap,
    pixels,
    touching,
    well_apart,
)
from rotoscope.methods.portrait import Scene
from rotoscope.methods.portraits import LOST, RENEWED, STEP, Portraits, picture_of, shares

FITTED = 12
"""Frames before a meeting whose centres a motion is fitted to, at most."""
LONGEST = 60
"""Frames after which a motion of before says nothing any more."""
WATCHED = 12
"""Frames after they came apart on which parts are made of one object each, and the network may still be put right: its
memory may say otherwise."""
LATE = 6
"""Frames apart after which it counts anyway."""
OWN = 0.1
"""What it counts, in squared sizes of the objects, that a part already has the object's label."""


@dataclass
class Crossings:
    """Follows meetings of look-alikes over a video; see the module.

    Attributes:
        now: number of the current frame.
        cells: height and width of the last frame in cells.
        looks: which objects look alike.
        tracks: centre and area of each object outside meetings, ``(frame, x, y, area)``, at most ``FITTED`` of them.
        meetings: those that go on.
        portraits: pictures of those that look alike.
    """

    now: int = 0
    cells: tuple[int, int] = (0, 0)
    looks: Looks = field(default_factory=Looks)
    tracks: dict[int, list[tuple[int, float, float, float]]] = field(default_factory=dict)
    meetings: list[Meeting] = field(default_factory=list)
    portraits: Portraits = field(default_factory=Portraits)

    @property
    def merged(self) -> bool:
        """Whether some look-alikes cannot be told apart now."""
        return any(meeting.merged for meeting in self.meetings)

    def look(self, image: NDArray[np.uint8], masks: Mapping[int, Tensor]) -> None:
        """Keep what objects look like.

        Args:
            image: the frame, RGB ``[H, W, 3]``.
            masks: soft masks ``[H, W]`` by object id, of those that were given on it.
        """
        self.looks.show(image, masks)
        for object_id in masks:
            for meeting in self.meetings:
                meeting.motions.pop(object_id, None)  # a person has said which it is
            self.tracks.pop(object_id, None)
        self.meetings = [meeting for meeting in self.meetings if len(meeting.motions) > 1]

    def portray(
        self, probabilities: Tensor, ids: Sequence[int], given: Collection[int], image: Callable[[], NDArray[np.uint8]]
    ) -> None:
        """Take pictures of the objects that are given on a frame; ``given``: their ids; the rest as in :meth:`step`."""
        for object_id in given:
            self.portraits.forget(object_id)
        if len(ids) > 1:
            self.portraits.take(picture_of(image()), fine_labels(probabilities), ids, given, self.now)

    def forget(self, object_id: int) -> None:
        """Follow an object no more."""
        self.portraits.forget(object_id)
        self.looks.forget(object_id)
        self.tracks.pop(object_id, None)
        for meeting in self.meetings:
            meeting.motions.pop(object_id, None)
        self.meetings = [meeting for meeting in self.meetings if len(meeting.motions) > 1]

    def step(
        self, probabilities: Tensor, ids: Sequence[int], image: Callable[[], NDArray[np.uint8]]
    ) -> tuple[Tensor, dict[int, int]]:
        """Take a frame's masks; where look-alikes have come apart, each part is given to its object.

        Args:
            probabilities: of background and objects, ``[1 + N, H, W]``.
            ids: of the objects, in the order of their channels.
            image: gives the frame at the working size, RGB ``[H, W, 3]``, if it is wanted.
        Returns: the probabilities, with those of some objects exchanged; and of each object that goes on as another
            did, by id, which one that is: its memory is the object's from now on.
        """
        self.now += 1
        taken: dict[int, int] = {}
        alike = self.looks.confusable(ids)
        if not alike:
            return probabilities, taken
        fine, labels = fine_labels(probabilities), cell_labels(probabilities)
        self._find(fine, labels, ids, alike, image)
        self.cells = (labels.shape[0], labels.shape[1])
        seen = centres_of(labels, ids)
        touches = touching(labels, ids)
        self._meet(labels, ids, touches)
        over = []
        for meeting in self.meetings:
            together = np.isin(labels, [1 + ids.index(object_id) for object_id in meeting.motions])
            whose = meeting.follow(together)
            parts = large_parts(together, meeting)
            if self._pictured(meeting, len(parts) < len(meeting.motions)):
                probabilities, other = self._seen_through(probabilities, fine, ids, meeting)
                taken |= other
            else:
                meeting.merged |= len(parts) < len(meeting.motions)
                meeting.apart = meeting.apart + 1 if meeting.merged and len(parts) == len(meeting.motions) else 0
                if meeting.apart and (meeting.apart >= LATE or well_apart(parts)):
                    probabilities, other = self._tell_apart(probabilities, labels, ids, meeting, parts)
                    taken |= other
                elif meeting.merged and not agree(labels, ids, meeting, whose):
                    probabilities = divided(probabilities, ids, list(meeting.motions), whose)
            left = not meeting.merged and not any(set(pair) <= set(meeting.motions) for pair in touches)
            if left or self.now - meeting.since > LONGEST or meeting.apart > WATCHED:
                over.append(meeting)
        self.meetings = [meeting for meeting in self.meetings if meeting not in over]
        for meeting in over:
            if meeting.merged:
                self._retrack(meeting, centres_of(cell_labels(probabilities), ids))
        self._track(seen)
        return probabilities, taken

    def state(self) -> dict[str, Any]:
        """All of it, as tensors and texts; of the same size whether objects are in a meeting or not."""
        state = self.looks.state()
        state |= {f"mask.{object_id}": torch.zeros(self.cells, dtype=torch.bool) for object_id in self.looks.known}
        meetings = []
        for meeting in self.meetings:
            motions = {i: [*motion.centre, *motion.pace, *motion.at] for i, motion in meeting.motions.items()}
            meetings.append([meeting.since, motions, meeting.merged, meeting.apart, meeting.pictured])
            state |= {f"mask.{i}": torch.from_numpy(motion.mask) for i, motion in meeting.motions.items()}
        portraits = self.portraits.state()
        facts = {"now": self.now, "cells": self.cells, "tracks": self.tracks, "meetings": meetings}
        facts |= {"portraits": portraits.pop("portraits")}
        return state | portraits | {"facts": json.dumps(facts)}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue where :meth:`state` was taken."""
        facts = json.loads(state["facts"])
        self.now, self.cells = int(facts["now"]), (int(facts["cells"][0]), int(facts["cells"][1]))
        self.looks = Looks.restored(state)
        self.tracks = {
            int(k): [(int(t), x, y, area) for t, x, y, area in track] for k, track in facts["tracks"].items()
        }
        self.portraits = Portraits.restored(state, facts["portraits"])
        self.meetings = []
        for since, motions, merged, apart, pictured in facts["meetings"]:
            known = {
                int(i): Motion(
                    np.array(numbers[:2]), np.array(numbers[2:4]), state[f"mask.{i}"].numpy(), np.array(numbers[4:])
                )
                for i, numbers in motions.items()
            }
            self.meetings.append(Meeting(since, known, merged, apart, pictured))

    def _find(
        self,
        fine: NDArray[np.int32],
        labels: NDArray[np.int32],
        ids: Sequence[int],
        alike: Sequence[int],
        image: Callable[[], NDArray[np.uint8]],
    ) -> None:
        """Follow the pictures of look-alikes that come near, and take new ones where they no longer fit."""
        for other in set(self.portraits.known) - set(alike):
            self.portraits.forget(other)
        met = {object_id for meeting in self.meetings for object_id in meeting.motions}
        near = met | coming_near(labels, ids, self.tracks, self.looks.alike)
        near -= {object_id for meeting in self.meetings if meeting.pictured is False for object_id in meeting.motions}
        if not near:
            self.portraits.awake.clear()
            return
        picture, known = picture_of(image()), self.portraits.known
        places = {i: pixels(self.tracks.get(i, [])) for i in near}
        self.portraits.follow(Scene(picture, fine == 0), self.now, places)
        astray = self.portraits.astray({i: fine == 1 + ids.index(i) for i in near - met})
        changed = [i for i in near - met if i not in known or i in astray or known[i].fit < RENEWED]
        if changed:
            self.portraits.take(picture, fine, ids, changed, self.now)

    def _pictured(self, meeting: Meeting, merging: bool) -> bool:
        """Whether pictures say where the members of a meeting are; ``merging``: whether their masks are one."""
        members = list(meeting.motions)
        if meeting.pictured is None and self.portraits.sure(members):
            meeting.pictured = merging or overlap(self.portraits.covers(members)) or None
        elif meeting.pictured is None and merging:
            meeting.pictured = False
        elif meeting.pictured:
            meeting.pictured = self.portraits.sure(members, LOST)
        return bool(meeting.pictured)

    def _seen_through(
        self, probabilities: Tensor, labels: NDArray[np.int32], ids: Sequence[int], meeting: Meeting
    ) -> tuple[Tensor, dict[int, int]]:
        """Give each pixel of a meeting to the object whose picture shows it; see :meth:`step`."""
        members = list(meeting.motions)
        covers = self.portraits.covers(members)
        for object_id, motion in meeting.motions.items():
            portrait = self.portraits.known[object_id]
            motion.centre = ((portrait.pose[:2] + 0.5) * STEP / CELL) - 0.5
            motion.pace = portrait.pace[:2] * STEP / CELL
        near = np.stack([cv2.dilate(cover.astype(np.uint8), np.ones((5, 5), np.uint8)) for cover in covers])
        meeting.merged |= overlap(covers)
        if not meeting.merged:
            return probabilities, {}
        apart = not (near.sum(axis=0) > 1).any()
        meeting.apart = meeting.apart + 1 if apart else 0
        taken: dict[int, int] = {}
        if apart:
            masks = [labels == 1 + ids.index(member) for member in members]
            own = np.array([shares(cover, masks) for cover in covers])
            had = zip(*least_cost(-own), strict=True)
            taken = {members[row]: members[column] for row, column in had if row != column}
        return divided(probabilities, ids, members, self.portraits.whose(members, covers), STEP), taken

    def _meet(self, labels: NDArray[np.int32], ids: Sequence[int], touches: Collection[tuple[int, int]]) -> None:
        """Open, extend and join meetings by who touches whom."""
        for one, other in sorted(touches):
            if not self.looks.alike(one, other):
                continue
            theirs = [meeting for meeting in self.meetings if {one, other} & set(meeting.motions)]
            meeting = theirs[0] if theirs else Meeting(self.now, {})
            for further in theirs[1:]:  # two meetings become one
                meeting.motions |= further.motions
                meeting.merged |= further.merged
                self.meetings.remove(further)
            for object_id in (one, other):
                motion = fitted_motion(self.tracks.get(object_id, []), self.now, labels == 1 + ids.index(object_id))
                if object_id not in meeting.motions and motion is not None:
                    meeting.motions[object_id] = motion
            if not theirs and len(meeting.motions) > 1:
                self.meetings.append(meeting)

    def _tell_apart(
        self,
        probabilities: Tensor,
        labels: NDArray[np.int32],
        ids: Sequence[int],
        meeting: Meeting,
        parts: list[NDArray[np.bool_]],
    ) -> tuple[Tensor, dict[int, int]]:
        """Give each part to the object whose motion leads there; see :meth:`step`."""
        members = list(meeting.motions)
        distance, own = np.empty((2, len(members), len(parts)))
        for row, (object_id, motion) in enumerate(meeting.motions.items()):
            for column, part in enumerate(parts):
                centre = np.argwhere(part).mean(axis=0)[::-1]
                distance[row, column] = np.sum((centre - motion.centre) ** 2) / motion.area
                own[row, column] = (labels[part] == 1 + ids.index(object_id)).mean()
        rows, columns = least_cost(distance - OWN * own)
        had = dict(zip(*least_cost(-own.T), strict=True))  # the member that each part was taken for
        taken = {members[row]: members[had[column]] for row, column in zip(rows, columns, strict=True)}
        place = np.empty(len(parts), np.int64)
        place[columns] = rows
        for row, column in zip(rows, columns, strict=True):
            meeting.motions[members[row]].centre = np.argwhere(parts[column]).mean(axis=0)[::-1]
        taken = {object_id: other for object_id, other in taken.items() if object_id != other}
        return divided(probabilities, ids, members, place[nearest_part(parts)]), taken

    def _retrack(self, meeting: Meeting, seen: Mapping[int, tuple[float, float, float]]) -> None:
        """After a meeting, begin the members' tracks with how they came through it."""
        for object_id, motion in meeting.motions.items():
            self.tracks.pop(object_id, None)
            if object_id in seen:
                x, y, area = seen[object_id]
                self.tracks[object_id] = [
                    (self.now - back, x - back * motion.pace[0], y - back * motion.pace[1], area) for back in (4, 2)
                ]

    def _track(self, seen: Mapping[int, tuple[float, float, float]]) -> None:
        """Note where objects are that are in no meeting whose members cannot be told apart."""
        lost = {object_id for meeting in self.meetings for object_id in meeting.motions}
        for object_id, (x, y, area) in seen.items():
            if object_id in lost:
                continue
            self.tracks[object_id] = [*self.tracks.get(object_id, []), (self.now, x, y, area)][-FITTED:]
