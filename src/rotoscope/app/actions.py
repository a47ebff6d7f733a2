"""What each address of the service does."""

from __future__ import annotations

from math import floor
from typing import Any

import numpy as np
from starlette.responses import Response

from rotoscope.app.calls import Call, pair, text, whole
from rotoscope.app.clicks import CLICKERS, Point, grown
from rotoscope.app.exporting import command_line
from rotoscope.app.history import as_json
from rotoscope.app.pictures import grey_png
from rotoscope.app.running import Stretch
from rotoscope.app.service import Service
from rotoscope.errors import InputError
from rotoscope.masks.mattes import Delivery
from rotoscope.masks.writing import FORMATS, SEQUENCES, VIDEOS
from rotoscope.runs.job import check_direction
from rotoscope.runs.watch import REASONS

KEPT = {"cache-control": "private, max-age=86400, immutable"}
FRESH = {"cache-control": "no-store"}
LONGEST_IDS = 2000
"""Letters of a list of objects: the ids of all that a project can have take about 1200."""


def state(service: Service, call: Call) -> Any:
    """What may be opened, and what there is."""
    entries = [{"key": e.key, "label": e.label, "kind": e.kind} for e in service.library.entries()]
    named = service.library.named
    return {
        "entries": entries,
        "first": (named or service.library.demo).key,
        "method": service.method,
        "tools": list(CLICKERS),
        "formats": list(FORMATS),
        "delivered": [*SEQUENCES, *VIDEOS],
        "reasons": list(REASONS),
    }


def open_entry(service: Service, call: Call) -> Any:
    """Open the project of an entry."""
    return {"project": service.key_of(service.open(text(call.json(), "key")))}


def facts(service: Service, call: Call) -> Any:
    """A project as it is now."""
    project = service.project(call.project)
    task, demo = service.worker.task, service.library.demo
    with project.lock:
        objects = [as_json(one) for one in project.history.objects]
        prompted = {one["id"]: project.history.frames_of(one["id"]) for one in objects}
        codes = {one["id"]: project.answers.codes(one["id"], prompted[one["id"]], one["ends"]) for one in objects}
        return {
            "name": demo.label if project.folder.resolve() == demo.path else project.video.name,
            "folder": str(project.folder),
            "frames": project.frames,
            "size": list(project.size),
            "fps": project.video.fps or 24.0,
            "objects": objects,
            "timeline": codes,
            "look": {one["id"]: project.answers.look.get(one["id"], {}) for one in objects},
            "stale": project.answers.first_open(min(project.prompted_frames(), default=0)) if prompted else None,
            "undo": len(project.history.done),
            "redo": len(project.history.undone),
            "task": {"kind": task.kind, **task.about} if task is not None else None,
        }


def weakest(service: Service, call: Call) -> Any:
    """The frame and object to look at where nothing is unsure; null where nothing was found yet."""
    project = service.project(call.project)
    with project.lock:
        weakest = []
        for one in project.history.objects:
            prompted = set(project.history.frames_of(one.id))
            least = None if one.hidden else project.answers.weakest(one.id, prompted)
            weakest += [(*least, one.id)] if least is not None else []
    _, index, object_id = min(weakest, default=(0.0, None, None))
    return {"frame": index, "object": object_id}


def frame(service: Service, call: Call) -> Response:
    """A frame as a picture."""
    kind = call.query.get("kind", "jpeg")
    if kind not in ("jpeg", "webp"):
        raise InputError("kind is jpeg or webp.")
    data = service.picture(call.project, int(call.path["frame"]), call.number("side"), kind)
    return Response(data, media_type=f"image/{kind}", headers=KEPT)


def look(service: Service, call: Call) -> Any:
    """Make ready for what is done next on the frame that is shown."""
    data = call.json()
    side = whole(data, "side") if data.get("side") is not None else None
    service.look(call.project, whole(data, "frame"), side, str(data.get("engine") or CLICKERS[0]))
    return {}


def labels(service: Service, call: Call) -> Response:
    """Ids of a frame, as a grey PNG; nothing (204) where nothing is known."""
    project, index = service.project(call.project), int(call.path["frame"])
    project.check_index(index)
    if not project.mask_file(index).exists():
        return Response(status_code=204, headers=FRESH)
    return _png(project.labels(index))


def mask(service: Service, call: Call) -> Response:
    """One object on a frame, as a grey PNG."""
    return _png(service.project(call.project).mask(int(call.path["frame"]), int(call.path["object"])))


def paint(service: Service, call: Call) -> Any:
    """Take what was painted: a byte for each pixel, in rows."""
    width, height = service.project(call.project).size
    if len(call.body) != width * height:
        raise InputError(f"a mask has {width * height} bytes here, one for each pixel; this one has {len(call.body)}.")
    painted = np.frombuffer(call.body, np.uint8).reshape(height, width)
    service.edit(call.project, int(call.path["frame"]), {int(call.path["object"]): painted})
    return {}


def release(service: Service, call: Call) -> Any:
    """Take a given mask back, so that a run finds it anew."""
    service.edit(call.project, int(call.path["frame"]), {int(call.path["object"]): None})
    return {}


def click(service: Service, call: Call) -> Response:
    """Answer points and a box with a mask, which is kept; the answer holds the frame's labels."""
    data = call.json()
    values = data.get("points", [])
    if not isinstance(values, list) or len(values) > 100:
        raise InputError("points are a list of at most a hundred.")
    points = []
    for value in values:
        x, y = pair(value)
        points.append(Point(floor(x), floor(y), len(value) < 3 or bool(value[2])))
    box = data.get("box")
    corners = (*pair(box), *pair(box[2:])) if isinstance(box, list) else None
    engine = data.get("engine") or CLICKERS[0]
    place = whole(data, "frame"), whole(data, "object")
    labels, confidence = service.click(
        call.project, *place, points, corners, str(engine), bool(data.get("begin", True))
    )
    sure = "" if confidence is None else f"{confidence:.3f}"
    return _png(labels, {"x-confidence": sure})


def edges(service: Service, call: Call) -> Any:
    """A path along edges between two points."""
    data = call.json()
    width, height = service.project(call.project).size
    ends = []
    for name in ("from", "to"):
        x, y = pair(data.get(name))
        ends.append((min(max(int(x), 0), width - 1), min(max(int(y), 0), height - 1)))
    return {"path": service.edges(call.project, whole(data, "frame"), ends[0], ends[1])}


def grow(service: Service, call: Call) -> Any:
    """Grow or shrink an object's mask by some pixels."""
    data = call.json()
    index, object_id, pixels = (whole(data, name) for name in ("frame", "object", "pixels"))
    if abs(pixels) > 100:
        raise InputError("a mask grows or shrinks by at most 100 pixels at a time.")
    project = service.project(call.project)
    service.edit(call.project, index, {object_id: grown(project.mask(index, object_id), pixels)})
    return {}


def add_object(service: Service, call: Call) -> Any:
    """A new object."""
    data = call.json()
    one = service.project(call.project).add_object(text(data, "name") if "name" in data else "")
    service.changed(call.project, None)
    return as_json(one)


def change_object(service: Service, call: Call) -> Any:
    """Change how an object looks."""
    data = call.json()
    changes: dict[str, Any] = {name: bool(data[name]) for name in ("locked", "hidden") if name in data}
    if "name" in data:
        changes["name"] = text(data, "name")
    if "colour" in data:
        changes["colour"] = _colour(text(data, "colour", 7))
    one = service.project(call.project).change_object(int(call.path["object"]), **changes)
    service.changed(call.project, None)
    return as_json(one)


def delete(service: Service, call: Call) -> Any:
    """Take an object away: from this frame, from this frame on, or everywhere."""
    data = call.json()
    project, object_id, how = service.project(call.project), int(call.path["object"]), text(data, "how")
    if how == "here":
        index = whole(data, "frame")
        service.edit(call.project, index, {object_id: np.zeros(project.size[::-1], np.uint8)})
        return {}
    if how == "from":
        index = whole(data, "frame")
        project.check_index(index)
        project.change_object(object_id, ends=index)
    elif how == "everywhere":
        project.remove_object(object_id)
    else:
        raise InputError("how is here, from or everywhere.")
    service.changed(call.project, None)
    return {}


def undo(service: Service, call: Call) -> Any:
    """Take the last change back."""
    return {"frame": service.turn(call.project, back=True)}


def redo(service: Service, call: Call) -> Any:
    """Bring it back again."""
    return {"frame": service.turn(call.project, back=False)}


def run(service: Service, call: Call) -> Any:
    """Run along the clip."""
    data = call.json()
    direction: Any = data.get("direction", "forward")
    check_direction(direction)
    start, stop = (whole(data, name) if data.get(name) is not None else None for name in ("start", "stop"))
    service.run(call.project, Stretch(direction, start, stop))
    return {}


def stop(service: Service, call: Call) -> Any:
    """End what is being done, after the frame that it is at."""
    service.worker.stop()
    return {}


def export(service: Service, call: Call) -> Any:
    """Write masks in formats."""
    data = call.json()
    names = data.get("formats")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise InputError("formats is a list of names.")
    service.export(call.project, names, _delivery(data))
    return {}


def command(service: Service, call: Call) -> Any:
    """What to type for the same."""
    names = [name for name in call.query.get("formats", "palette").split(",") if name in FORMATS]
    shown = {"objects": call.query.get("objects"), "alpha": call.query.get("alpha"), "refine": "refine" in call.query}
    return {"command": command_line(service.project(call.project), names, service.method, _delivery(shown))}


def take_in(service: Service, call: Call) -> Any:
    """Import masks; a finished run comes in the worker, and its answer says nothing yet."""
    data = call.json()
    return service.take_in(call.project, text(data, "key"), whole(data, "frame"), bool(data.get("resize", False)))


def _delivery(data: dict[str, Any]) -> Delivery:
    """How objects are shown in formats for other programs."""
    objects = text(data, "objects", LONGEST_IDS) if data.get("objects") else "all"
    alpha = text(data, "alpha", 20) if data.get("alpha") else "straight"
    return Delivery.of(objects, alpha, bool(data.get("refine", False)))


def _png(values: Any, headers: dict[str, str] | None = None) -> Response:
    return Response(grey_png(values), media_type="image/png", headers={**FRESH, **(headers or {})})


def _colour(value: str) -> str:
    if len(value) != 7 or value[0] != "#" or not all(c in "0123456789abcdef" for c in value[1:].lower()):
        raise InputError("a colour is written #rrggbb.")
    return value.lower()
