"""Objects found again by their pictures: where they are, who is in front, and when nothing should be said."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from rotoscope.layers.canvas import Canvas
from rotoscope.methods.crossings import Crossings
from rotoscope.methods.meetings import coming_near
from rotoscope.methods.portrait import FITS, Portrait, Scene
from rotoscope.methods.portraits import Portraits, picture_of, shares

HEIGHT, WIDTH, SIDE = 100, 160, 33
NOTHING = np.zeros((HEIGHT, WIDTH), bool)
PATH = np.zeros((0, 3))


def texture(seed: int, height: int, width: int) -> NDArray[np.float32]:
    coarse = np.random.default_rng(seed).uniform(-1.5, 1.5, (height // 6, width // 6, 3)).astype(np.float32)
    return np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC), np.float32)


THING, BEHIND = texture(1, SIDE + 3, SIDE + 3)[:SIDE, :SIDE], texture(2, HEIGHT, WIDTH)


def laid(poses: list[tuple[float, float, float, float]]) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """A frame with copies of one square thing, the last in front, and whose each pixel is: 1, 2, ..."""
    picture, labels = BEHIND.copy(), np.zeros((HEIGHT, WIDTH), np.int32)
    for number, (x, y, a, b) in enumerate(poses, 1):
        linear = np.array([[1 + a, -b], [b, 1 + a]])
        matrix = np.column_stack([linear, np.array([x, y]) - linear @ np.full(2, (SIDE - 1) / 2)])
        moved = cv2.warpAffine(THING, matrix, (WIDTH, HEIGHT))
        inside = cv2.warpAffine(np.ones((SIDE, SIDE), np.float32), matrix, (WIDTH, HEIGHT)) >= 0.5
        picture[inside], labels[inside] = moved[inside], number
    return picture, labels


def scene(picture: NDArray[np.float32], labels: NDArray[np.int32]) -> Scene:
    return Scene(picture, labels == 0)


@pytest.mark.parametrize("pose", [(53.0, 48.0, 0.0, 0.0), (47.5, 52.25, 0.04, 0.05), (50.0, 50.0, -0.03, -0.06)])
def test_a_thing_is_found_where_it_went_turned_and_grew(pose: tuple[float, float, float, float]) -> None:
    picture, labels = laid([(50, 50, 0, 0)])
    portrait = Portrait.taken(picture, labels == 1)
    np.testing.assert_allclose(portrait.pose, (50, 50, 0, 0), atol=1e-9)
    found = portrait.find(scene(*laid([pose])), NOTHING)
    assert found.seen
    assert found.fit > 0.9
    np.testing.assert_allclose(found.pose[:2], pose[:2], atol=0.3)
    np.testing.assert_allclose(found.pose[2:], pose[2:], atol=0.02)


def test_what_hides_half_of_it_does_not_pull_it_away() -> None:
    picture, labels = laid([(50, 50, 0, 0)])
    portrait = Portrait.taken(picture, labels == 1)
    now, truth = laid([(53, 51, 0, 0)])
    hidden = NOTHING.copy()
    hidden[:, 53:] = True
    now[hidden] = texture(3, HEIGHT, WIDTH)[hidden]
    found = portrait.find(scene(now, truth), hidden)
    np.testing.assert_allclose(found.pose[:2], (53, 51), atol=0.6)
    portrait.way = [np.array([t, 50 + 3 * t, 50 + t, 0, 0, 1]) for t in (-2, -1, 0)]  # nobody says that it is hidden
    np.testing.assert_allclose(portrait.find(scene(now, truth), NOTHING).pose[:2], (53, 51), atol=0.6)
    assert portrait.find(scene(now, truth), hidden).shown == pytest.approx(0.5, abs=0.1)


def test_a_thing_that_is_not_there_is_not_found_and_one_wholly_hidden_goes_on() -> None:
    picture, labels = laid([(50, 50, 0, 0)])
    portrait = Portrait.taken(picture, labels == 1)
    elsewhere = scene(texture(9, HEIGHT, WIDTH), NOTHING.astype(np.int32))
    found = portrait.find(elsewhere, NOTHING)
    assert not found.seen
    assert found.fit < FITS
    portrait.settle(found, 1)
    assert portrait.lost == 1
    hidden = portrait.find(elsewhere, ~NOTHING)
    assert (hidden.seen, hidden.shown) == (False, 0)
    portrait.settle(hidden, 2)
    assert portrait.lost == 1  # nobody could have seen it


def crossing(t: int, ahead: int) -> list[tuple[float, float, float, float]]:
    """Two that pass each other in 30 frames, in the order from back to front: ids 1 and 2, or 2 and 1."""
    poses = [(30 + 3.4 * t, 48.0, 0.0, 0.01 * t), (130 - 3.4 * t, 53.0, 0.0, 0.0)]
    return poses if ahead == 2 else poses[::-1]


@pytest.mark.parametrize("ahead", [1, 2])
def test_copies_that_cross_keep_their_names_and_who_is_in_front_is_seen(ahead: int) -> None:
    portraits, ids = Portraits(), [1, 2]
    order = [1, 2] if ahead == 2 else [2, 1]
    picture, places = laid(crossing(0, ahead))
    whose = np.array([0, *order], np.int32)
    portraits.take(picture, whose[places], ids, ids, 0)
    for t in range(1, 30):
        picture, places = laid(crossing(t, ahead))
        truth = whose[places]
        portraits.follow(scene(picture, truth), t, {1: PATH, 2: PATH})
        covers = portraits.covers(ids)
        seen = portraits.whose(ids, covers)[truth > 0] + 1
        assert (seen == truth[truth > 0]).mean() > 0.95, t
        if (covers.sum(axis=0) > 1).sum() > 200:
            assert portraits.from_front(ids)[0] == ahead
    assert portraits.sure(ids)
    np.testing.assert_allclose(portraits.known[1].pose[:2], (30 + 3.4 * 29, 48), atol=0.5)


def test_a_thing_that_changes_its_form_is_never_sure() -> None:
    portraits = Portraits()
    for t in range(8):
        picture, labels = laid([(40 + 2 * t, 50, 0, 0)])
        picture[labels == 1] = texture(20 + t, HEIGHT, WIDTH)[labels == 1]
        if t:
            portraits.follow(scene(picture, labels), t, {1: PATH})
        portraits.take(picture, labels, [1], [1], t)
        assert not portraits.sure([1])


def test_pictures_are_saved_and_restored() -> None:
    portraits, again = Portraits(), Portraits()
    ids = [1, 2]
    picture, labels = laid(crossing(0, 2))
    portraits.take(picture, labels, ids, ids, 0)
    for t in range(1, 26):
        if t == 13:
            state = portraits.state()
            again = Portraits.restored(state, state["portraits"])
        now = scene(*laid(crossing(t, 2)))
        for one in (portraits, again) if t >= 13 else (portraits,):
            one.follow(now, t, {1: PATH, 2: PATH})
    one, other = portraits.state(), again.state()
    assert one["portraits"] == other["portraits"]
    assert {name for name in one if name != "portraits"} == {"portrait.1", "portrait.2", "inner.1", "inner.2"}
    again.forget(1)
    assert set(again.known) == {2}
    assert not again.before


def test_who_comes_near_is_told_by_boxes_and_paces() -> None:
    labels = np.zeros((60, 200), np.int32)
    labels[20:30, 20:30], labels[20:30, 150:160], labels[45:55, 100:110] = 1, 2, 3
    track = {i: [(t, x + pace * t, y, 100.0) for t in range(5)] for i, (x, y, pace) in enumerate(
        [(20, 25, 4.0), (170, 25, -4.0), (105, 50, 0.0)], 7)}  # fmt: skip
    ids = [7, 8, 9]
    assert coming_near(labels, ids, track, lambda *_: True) == {7, 8}
    assert coming_near(labels, ids, track, lambda *_: False) == set()
    assert coming_near(labels, ids, {}, lambda *_: True) == set()


@pytest.mark.parametrize("size", [(240, 240), (854, 480), (101, 67)])
def test_a_frame_to_look_at_lies_where_the_network_has_it(size: tuple[int, int]) -> None:
    canvas = Canvas.fit(size, max_short_side=160, resizing="area")
    image = np.zeros((size[1], size[0], 3), np.uint8)
    image[size[1] // 2 :, size[0] // 3 :] = 255
    seen = canvas.seen(image)
    assert seen.shape == (*canvas.padded[::-1], 3)
    mask = canvas.masks(plane_of(image))[0].numpy()
    left, right, top, bottom = canvas.padding
    inner = (slice(top, seen.shape[0] - bottom), slice(left, seen.shape[1] - right))
    np.testing.assert_allclose(seen[inner][..., 0] / 255, mask[inner], atol=0.2)  # of a pixel on an edge
    assert picture_of(seen).shape == (seen.shape[0] // 2, seen.shape[1] // 2, 3)


def plane_of(image: NDArray[np.uint8]) -> torch.Tensor:
    return torch.from_numpy(image[None, ..., 0] / np.float32(255))


def test_an_object_given_again_has_a_new_picture() -> None:
    crossings = Crossings()
    image = np.random.default_rng(0).integers(0, 255, (96, 160, 3), dtype=np.uint8)
    probabilities = torch.zeros(3, 96, 160)
    probabilities[0] = 0.5
    probabilities[1, 20:60, 20:60] = probabilities[2, 20:60, 90:130] = 1
    crossings.portray(probabilities, [4, 6], [4, 6], lambda: image)
    first = crossings.portraits.known[4]
    crossings.portray(probabilities, [4, 6], [4], lambda: image)
    assert crossings.portraits.known[4] is not first
    assert not crossings.portraits.known[4].way
    crossings.portray(probabilities[:2], [4], [4], lambda: image)
    assert 4 not in crossings.portraits.known  # one object needs no picture


def test_one_that_leaves_the_frame_after_they_crossed_is_no_error() -> None:
    crossings, ids, thing = Crossings(), [3, 8], texture(1, SIDE + 3, SIDE + 3)[:SIDE, :SIDE]
    paint = np.clip(thing * 40 + 128, 0, 255).astype(np.uint8)
    behind = np.clip(texture(2, 192, 320) * 20 + 60, 0, 255).astype(np.uint8)

    def frame(t: int) -> tuple[NDArray[np.uint8], torch.Tensor]:
        image, labels = behind.copy(), np.zeros((192, 320), np.int64)
        for number, (x, y) in enumerate([(40 + 9 * t, 80), (190 - 4 * t, 88)], 1):
            box = (slice(y, y + SIDE), slice(max(x, 0), min(max(x + SIDE, 0), 320)))
            image[box], labels[box] = paint[:, : image[box].shape[1]], number
        return image, torch.nn.functional.one_hot(torch.from_numpy(labels), 3).permute(2, 0, 1).float() * 0.9 + 0.03

    image, probabilities = frame(0)
    crossings.look(image, {3: probabilities[1], 8: probabilities[2]})
    crossings.portray(probabilities, ids, ids, lambda: image)
    merged = False
    for t in range(1, 40):
        image, probabilities = frame(t)
        answer, taken = crossings.step(probabilities, ids, lambda image=image: image)  # type: ignore[misc]
        assert not taken
        assert torch.isfinite(answer).all()
        merged |= crossings.merged and any(meeting.pictured for meeting in crossings.meetings)
    assert merged
    assert shares(np.zeros((4, 4), bool), [np.ones((4, 4), bool)]) == [0]


def test_who_is_in_front_does_not_depend_on_the_order_of_a_set() -> None:
    assert Portraits().from_front({8, 0}) == Portraits().from_front({0, 8}) == [0, 8]
