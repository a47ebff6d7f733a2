"""The plugin in napari itself. ``test_napari.py`` runs this file in a process of its own, with napari's fixtures."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import npe2
import numpy as np
import pytest
from napari.layers import Labels

import rotoscope
from drawn import clip_of, stripes
from rotoscope.plugins.napari.frames import VideoFrames
from rotoscope.plugins.napari.widget import SegmentWidget, names_of_methods
from rotoscope.video import VideoWriter

SIZE = (64, 48)
FRAMES = 12
PATIENCE = 300_000
"""Milliseconds to wait for what has to come; how long it takes says how busy the machine is."""


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    path = tmp_path / "CLIP.MP4"
    with VideoWriter(path.with_suffix(".mp4"), 25, SIZE) as writer:
        for image in clip_of(FRAMES, SIZE):
            writer.write(image)
    return path.with_suffix(".mp4").rename(path)


@pytest.fixture
def manifest() -> npe2.PluginManifest:
    return npe2.PluginManifest.from_distribution("rotoscope")


def first_frame() -> np.ndarray:
    labels = np.zeros(SIZE[::-1], np.uint8)
    for object_id, mask in stripes(2, SIZE).items():
        labels[mask] = object_id
    return labels


def opened(viewer: Any, clip: Path) -> SegmentWidget:
    """A viewer with the clip, empty labels, and the widget."""
    from rotoscope.plugins.napari.reader import read

    for data, about, _ in read(str(clip)):
        viewer.add_image(data, **about)
    widget = SegmentWidget(viewer)
    widget.make_labels()
    viewer.dims.set_current_step(0, 0)
    return widget


def go(widget: SegmentWidget, what: Any, qtbot: Any) -> None:
    """Press a button and wait until the run has ended."""
    widget.runs[what].native.click()
    qtbot.waitUntil(lambda: widget.worker is None, timeout=PATIENCE)


@pytest.fixture
def model() -> Any:
    """napari's viewer without its window: layers, dims and events are the same."""
    from napari.components import ViewerModel

    return ViewerModel()


def test_the_manifest_is_valid_and_what_it_names_is_there(manifest: npe2.PluginManifest) -> None:
    manifest.validate_imports()
    assert {command.id for command in manifest.contributions.commands} == {
        "rotoscope.read_video", "rotoscope.segment", "rotoscope.sample",
    }  # fmt: skip


def test_napari_opens_a_video_with_our_reader(clip: Path, npe2pm: Any, manifest: npe2.PluginManifest) -> None:
    with npe2pm.tmp_plugin(manifest=manifest):
        ((frames, about, kind),) = npe2.read([str(clip)], stack=False)
    assert (kind, about["name"], about["rgb"]) == ("image", "CLIP", True)
    assert isinstance(frames, VideoFrames)
    assert frames.shape == (FRAMES, SIZE[1], SIZE[0], 3)


def test_the_sample_is_a_clip_with_the_masks_of_its_first_frame(npe2pm: Any, manifest: npe2.PluginManifest) -> None:
    with npe2pm.tmp_plugin(manifest=manifest):
        sample = npe2pm.commands.execute("rotoscope.sample", (3,))
    (frames, _, _), (labels, _, kind) = sample
    assert kind == "labels"
    assert labels.shape == frames.shape[:3]
    assert set(np.unique(labels[0])) == {0, 1, 2}
    assert not labels[1:].any()


def test_forward_gives_what_segment_gives(model: Any, clip: Path, qtbot: Any) -> None:
    widget = opened(model, clip)
    widget.masks.value.data[0] = first_frame()
    go(widget, "forward", qtbot)
    given = {0: {i: first_frame() == i for i in (1, 2)}}
    for prediction in rotoscope.segment(clip, given, "stcn-small"):
        np.testing.assert_array_equal(widget.masks.value.data[prediction.index], prediction.labels)
    assert "done" in widget.status.value
    assert widget.progress.value == widget.progress.max == FRAMES


def test_the_interface_answers_while_a_run_goes_on_and_cancel_ends_it(
    model: Any, clip: Path, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, threads = threading.Event(), set()
    real = SegmentWidget._open

    def slow(self: SegmentWidget, name: str) -> Any:
        threads.add(threading.current_thread())
        assert gate.wait(PATIENCE / 1000)
        return real(self, name)

    monkeypatch.setattr(SegmentWidget, "_open", slow)
    widget = opened(model, clip)
    widget.masks.value.data[0] = first_frame()
    widget.runs["forward"].native.click()
    assert widget.worker is not None  # the click has come back, though the weights are not open yet
    qtbot.waitUntil(lambda: bool(threads), timeout=PATIENCE)
    assert threading.current_thread() not in threads
    assert not widget.runs["forward"].enabled
    assert widget.cancel.enabled
    model.dims.set_current_step(0, 5)
    widget.cancel.native.click()
    gate.set()
    qtbot.waitUntil(lambda: widget.worker is None, timeout=PATIENCE)
    assert "stopped" in widget.status.value
    assert widget.runs["forward"].enabled
    assert not widget.cancel.enabled
    assert not widget.masks.value.data[FRAMES - 1].any()


def test_here_back_and_correct_answer_the_frames_they_say(model: Any, clip: Path, qtbot: Any) -> None:
    widget = opened(model, clip)
    labels = widget.masks.value
    labels.data[6] = first_frame()
    model.dims.set_current_step(0, 8)
    go(widget, "here", qtbot)
    assert [bool(frame.any()) for frame in labels.data] == [index in (6, 8) for index in range(FRAMES)]
    model.dims.set_current_step(0, 6)
    go(widget, "back", qtbot)
    assert all(frame.any() for frame in labels.data[:7])
    labels.data[3] = np.roll(first_frame(), 5, axis=1)
    kept = labels.data.copy()
    model.dims.set_current_step(0, 3)
    go(widget, "correct", qtbot)
    np.testing.assert_array_equal(labels.data[:4], kept[:4])
    np.testing.assert_array_equal(labels.data[6:], kept[6:])
    assert not np.array_equal(labels.data[4:6], kept[4:6])


def test_labels_of_one_picture_are_first_masks(model: Any, clip: Path, qtbot: Any) -> None:
    widget = opened(model, clip)
    model.layers.remove(widget.masks.value)
    widget.masks.value = model.add_layer(Labels(first_frame(), name="one picture"))
    model.dims.set_current_step(0, 4)
    go(widget, "forward", qtbot)
    result = widget.masks.value
    assert result.data.shape == (FRAMES, SIZE[1], SIZE[0])
    np.testing.assert_array_equal(result.data[4], first_frame())
    assert all(frame.any() for frame in result.data[5:])
    assert not result.data[:4].any()


def test_a_method_without_masks_needs_no_labels(model: Any, clip: Path, qtbot: Any) -> None:
    widget = opened(model, clip)
    model.layers.remove(widget.masks.value)
    assert widget.masks.value is None
    widget.method.value = "cosnet-small"
    go(widget, "here", qtbot)
    assert widget.masks.value.data.shape == (FRAMES, SIZE[1], SIZE[0])
    assert "done" in widget.status.value


def test_what_is_wrong_is_one_line_and_nothing_begins(model: Any, clip: Path, qtbot: Any) -> None:
    widget = opened(model, clip)
    go(widget, "forward", qtbot)
    assert widget.status.value.startswith("nothing is given to follow")
    small = model.add_layer(Labels(np.zeros((3, 4, 5), np.uint8), name="small"))
    widget.masks.value = small
    go(widget, "forward", qtbot)
    assert widget.status.value == "layer 'small' is 3 x 4 x 5 but the clip is 12 x 48 x 64. Press New labels."
    assert "stcn-small" in names_of_methods()


def test_a_file_that_is_gone_ends_the_run_with_a_line(model: Any, clip: Path, qtbot: Any) -> None:
    widget = opened(model, clip)
    widget.masks.value.data[0] = first_frame()
    clip.unlink()
    go(widget, "forward", qtbot)
    assert "no such file" in widget.status.value
    assert widget.runs["forward"].enabled


def test_the_widget_works_docked_in_a_window(
    make_napari_viewer: Any, clip: Path, qtbot: Any, npe2pm: Any, manifest: npe2.PluginManifest
) -> None:
    with npe2pm.tmp_plugin(manifest=manifest):
        viewer = make_napari_viewer()
        viewer.open(str(clip), plugin="rotoscope")
        _, widget = viewer.window.add_plugin_dock_widget("rotoscope", "Segment video")
        widget.make_labels()
        viewer.layers[-1].data[0] = first_frame()
        viewer.dims.set_current_step(0, 0)
        go(widget, "both", qtbot)
        assert all(frame.any() for frame in viewer.layers[-1].data)
        assert "done" in widget.status.value
