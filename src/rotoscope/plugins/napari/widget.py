"""The widget: which clip, which labels, which method, and the buttons that run it."""

from __future__ import annotations

import threading
import time
from typing import Any

import numpy as np
from magicgui.widgets import ComboBox, Container, Label, ProgressBar, PushButton
from napari.layers import Image, Labels
from napari.qt.threading import create_worker
from napari.utils.notifications import show_error, show_info, show_warning

from rotoscope.errors import InputError, RotoscopeError
from rotoscope.methods import METHODS
from rotoscope.methods.base import Method
from rotoscope.plugins.napari.frames import check_layer
from rotoscope.plugins.napari.ledger import Ledger
from rotoscope.plugins.napari.plan import Plan, What, plan_run
from rotoscope.plugins.napari.running import Found, carry_out
from rotoscope.runs.watch import UNSURE
from rotoscope.weights import load
from rotoscope.weights.catalogue import CATALOGUE, find

BUTTONS: tuple[tuple[What, str, str], ...] = (
    ("here", "Here", "Answer the frame that is shown"),
    ("back", "Back", "Answer what comes before the frame that is shown"),
    ("forward", "Forward", "Answer what comes after the frame that is shown"),
    ("both", "Both", "Answer the whole clip, from all frames that you gave, in both directions"),
    ("correct", "Correct", "Take the labels of this frame as a correction, and answer what comes after it again"),
)


def names_of_methods() -> list[str]:
    """Names whose weights are in the package; the default first."""
    return [name for name, entry in CATALOGUE.items() if entry.file and entry.method in METHODS]


class SegmentWidget(Container):  # type: ignore[type-arg]
    """Segments a clip in napari.

    Args:
        napari_viewer: the viewer whose layers are chosen from; napari gives it.

    Attributes:
        worker: the run in progress; None when idle.
    """

    def __init__(self, napari_viewer: Any) -> None:
        self._viewer = napari_viewer
        self._ledgers: dict[int, Ledger] = {}
        self._model: tuple[str, Method] | None = None
        self._stop = threading.Event()
        self.worker: Any = None
        self.clip = ComboBox(label="clip", choices=self._clips, nullable=True)
        self.masks = ComboBox(label="labels", choices=self._stacks, nullable=True)
        self.method = ComboBox(label="method", choices=names_of_methods())
        self.new = PushButton(text="New labels", tooltip="An empty Labels layer of the clip's size, to paint in")
        self.runs = {what: PushButton(text=text, tooltip=tooltip) for what, text, tooltip in BUTTONS}
        self.cancel = PushButton(text="Cancel", tooltip="End the run after the frame that it is at", enabled=False)
        self.progress = ProgressBar(label="", min=0, max=1, value=0)
        self.status = Label(label="", value="Paint each object with a label of its own on one frame.")
        rows = [self.runs[what] for what in ("back", "here", "forward")], [self.runs["both"], self.runs["correct"]]
        inside = [Container(widgets=row, layout="horizontal", labels=False) for row in rows]
        parts = [self.clip, self.masks, self.new, self.method, *inside, self.cancel, self.progress, self.status]
        super().__init__(widgets=parts)
        self.new.clicked.connect(self.make_labels)
        self.cancel.clicked.connect(self.stop)
        for what, button in self.runs.items():
            button.clicked.connect(lambda _=None, what=what: self.run(what))
        for event in (napari_viewer.layers.events.inserted, napari_viewer.layers.events.removed):
            event.connect(self._layers_changed)
        self._layers_changed()

    def run(self, what: What) -> None:
        """Begin a run; what is wrong with the request is shown as one line, and nothing is begun."""
        try:
            self._begin(what)
        except InputError as error:
            self._say(str(error))
            show_warning(str(error))

    def stop(self) -> None:
        """End the run in progress after the frame that it is at; what it answered stays."""
        self._stop.set()

    def make_labels(self) -> Any:
        """Add an empty Labels layer of the clip's size, and choose it; returns the layer."""
        try:
            clip = check_layer(self.clip.value)
        except InputError as error:
            self._say(str(error))
            show_warning(str(error))
            return None
        return self._add_labels(np.zeros(clip.data.shape[:3], np.uint8))

    def _begin(self, what: What) -> None:
        if self.worker is not None:
            raise InputError("a run is in progress. Wait for it, or press Cancel.")
        clip = check_layer(self.clip.value)
        name = str(self.method.value)
        finds = find(name).finds
        labels = self._stack_of(clip, finds)
        ledger = self._ledger(labels)
        plan = plan_run(what, self._shown(clip), ledger, finds)
        before = {frame: ledger.code(frame) for frame in plan.answers}
        self._stop.clear()
        self._busy(True, plan.steps)
        self.worker = create_worker(
            carry_out, plan, clip, lambda: self._open(name), self._stop.is_set,
            _start_thread=False, _ignore_errors=True,
        )  # fmt: skip
        unsure: list[int] = []
        begun = time.perf_counter()
        self.worker.yielded.connect(lambda step: self._take(step, ledger, labels, before, unsure, plan, begun))
        self.worker.returned.connect(lambda lines: self._returned(lines, unsure))
        self.worker.errored.connect(self._failed)
        self.worker.finished.connect(self._ended)
        self.worker.start()

    def _open(self, name: str) -> Method:
        """The method of a name; the one that was used last stays open."""
        if self._model is None or self._model[0] != name:
            self._model = None
            self._model = (name, load(name))
        return self._model[1]

    def _take(
        self, step: Found, ledger: Ledger, labels: Any, before: dict[int, int], unsure: list[int], plan: Plan,
        begun: float,
    ) -> None:  # fmt: skip
        """Put what a step found into the layer; called in the thread of the window."""
        if step.frame is None:
            self._say("opening the weights …")
            return
        self.progress.value = step.steps
        rate = step.steps / max(time.perf_counter() - begun, 1e-6)
        self._say(f"frame {step.frame}: {step.steps} of {plan.steps}, {rate:.1f} frames/s")
        if step.labels is None:
            return
        try:
            written = ledger.put(step.frame, step.labels, step.ids, before[step.frame])
        except InputError as error:
            self.stop()
            show_error(str(error))
            return
        if written and min(step.confidence, default=1) < UNSURE:
            unsure.append(step.frame)
        if written and step.frame == self._shown(labels):
            labels.refresh()

    def _returned(self, lines: list[str] | None, unsure: list[int]) -> None:
        done = "stopped; what was answered stays." if self._stop.is_set() else "done."
        look = f" Unsure on {len(unsure)} frames; look at {min(unsure)} first." if unsure else ""
        self._say(f"{done}{look}")
        for line in lines or ():
            show_info(line)

    def _failed(self, error: Exception) -> None:
        """Say what a run ended with; a fault of ours is raised, for napari to show whole."""
        self._say(str(error))
        if not isinstance(error, RotoscopeError):
            raise error
        show_error(str(error))

    def _ended(self) -> None:
        self.worker = None
        self._busy(False)

    def _busy(self, busy: bool, steps: int = 1) -> None:
        for button in (*self.runs.values(), self.new):
            button.enabled = not busy
        self.cancel.enabled = busy
        if busy:
            self.progress.max, self.progress.value = steps, 0

    def _say(self, text: str) -> None:
        self.status.value = text

    def _shown(self, layer: Any) -> int:
        """The frame of a layer that is shown."""
        place = layer.world_to_data(self._viewer.dims.point)[-layer.ndim :]
        return int(np.clip(round(float(place[0])), 0, len(layer.data) - 1))

    def _stack_of(self, clip: Any, finds: bool) -> Any:
        """The Labels layer that a run reads and writes: the chosen one, or a new one of the clip's size.

        A layer of one picture becomes the labels of the frame shown, in a new layer.
        """
        labels, shape = self.masks.value, tuple(clip.data.shape[:3])
        if labels is None:
            if not finds:
                raise InputError("no labels are chosen. Press New labels, and paint each object on one frame.")
            return self._add_labels(np.zeros(shape, np.uint8))
        if tuple(labels.data.shape) == shape:
            if not isinstance(labels.data, np.ndarray):
                raise InputError(f"layer {labels.name!r} cannot be written to. Make a copy of it: duplicate the layer.")
            return labels
        if tuple(labels.data.shape) != shape[1:]:
            sizes = " x ".join(map(str, labels.data.shape)), " x ".join(map(str, shape))
            raise InputError(f"layer {labels.name!r} is {sizes[0]} but the clip is {sizes[1]}. Press New labels.")
        stack = np.zeros(shape, labels.data.dtype)
        stack[self._shown(clip)] = labels.data
        labels.visible = False
        return self._add_labels(stack)

    def _add_labels(self, stack: Any) -> Any:
        clip = self.clip.value
        layer = Labels(stack, name=f"{clip.name} masks", scale=clip.scale, translate=clip.translate)
        self._viewer.add_layer(layer)
        self.masks.value = layer
        return layer

    def _ledger(self, labels: Any) -> Ledger:
        """What is known of a layer's labels; a layer that was given another array begins anew."""
        known = self._ledgers.get(id(labels))
        if known is None or known.labels is not labels.data:
            known = self._ledgers[id(labels)] = Ledger(labels.data)
        return known

    def _clips(self, _: Any = None) -> list[Any]:
        return [layer for layer in self._viewer.layers if isinstance(layer, Image)]

    def _stacks(self, _: Any = None) -> list[Any]:
        return [layer for layer in self._viewer.layers if isinstance(layer, Labels)]

    def _layers_changed(self, _: Any = None) -> None:
        """Offer the layers that there are; the first of each kind is chosen, and a choice stays."""
        here = {id(layer) for layer in self._viewer.layers}
        self._ledgers = {key: ledger for key, ledger in self._ledgers.items() if key in here}
        for box, layers in ((self.clip, self._clips()), (self.masks, self._stacks())):
            box.reset_choices()
            if box.value is None and layers:
                box.value = layers[0]
