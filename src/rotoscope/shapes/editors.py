"""Writers for editors: SVG pictures, and a script that makes masks in Blender."""

from __future__ import annotations

import json
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

import numpy as np

from rotoscope.masks.palette import davis_palette
from rotoscope.masks.polygons import Ring
from rotoscope.shapes.annotators import Files
from rotoscope.shapes.outlined import OutlinedClip

SVG = "http://www.w3.org/2000/svg"


def svg(clip: OutlinedClip, every: int) -> Files:
    """``NAME.svg`` a frame: a path per object, filled by the even-odd rule with the object's colour of the palette."""
    width, height = clip.size
    colours = davis_palette()
    for frame in clip.frames[::every]:
        about = {"xmlns": SVG, "width": str(width), "height": str(height), "viewBox": f"0 0 {width} {height}"}
        root = Element("svg", about)
        for i, shown in frame.objects.items():
            path = " ".join(_path(ring) for polygon in shown for ring in polygon.rings)
            red, green, blue = colours[i % 256]
            fill = f"#{red:02x}{green:02x}{blue:02x}"
            drawn = SubElement(root, "path", {"id": f"object-{i}", "d": path, "fill": fill, "fill-rule": "evenodd"})
            SubElement(drawn, "title").text = clip.names[i]
        yield f"{frame.name}.svg", ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)


def _path(ring: Ring) -> str:
    return "M" + " ".join(f"{x:g},{y:g}" for x, y in np.round(ring, 2)) + "Z"


SCRIPT = '''"""Makes masks in Blender: open it in the Text Editor and run it, or blender --python {name}.

A mask per object, a layer per frame on which the object shows; a layer is opaque on its own frame alone. Blender
counts frames from 1 unless its scene says otherwise; START is where this clip's first frame goes.
"""

import json

import bpy

START = 1
CLIP = json.loads({data!r})


def place(point):
    """Pixels to Blender's mask space: the larger side is 1, the middle of the picture 0.5, y upward."""
    width, height = CLIP["size"]
    larger = max(width, height)
    return (point[0] - width / 2) / larger + 0.5, (height / 2 - point[1]) / larger + 0.5


def add_ring(layer, ring):
    spline = layer.splines.new()
    spline.points.add(len(ring) - 1)
    for point, corner in zip(spline.points, ring):
        point.co = place(corner)
        point.handle_type = "VECTOR"
        point.handle_left = point.handle_right = point.co
    spline.use_cyclic = True


def show_once(layer, frame):
    for at, alpha in ((frame - 1, 0.0), (frame, 1.0), (frame + {every}, 0.0)):
        layer.alpha = alpha
        layer.keyframe_insert("alpha", frame=at)


for name, frames in CLIP["objects"]:
    mask = bpy.data.masks.new(name)
    mask.frame_start, mask.frame_end = START, START + CLIP["length"] - 1
    for number, rings in frames:
        layer = mask.layers.new(name="%05d" % number)
        for ring in rings:
            add_ring(layer, ring)
        show_once(layer, START + number)
    for curve in mask.animation_data.action.fcurves:
        for key in curve.keyframe_points:
            key.interpolation = "CONSTANT"
'''


def blender(clip: OutlinedClip, every: int) -> Files:
    """``masks.py``, a script that makes a mask per object in Blender; Blender subtracts holes that it finds inside."""
    objects = []
    for i, called in clip.names.items():
        frames = [
            [number, [np.round(ring, 2).tolist() for polygon in frame.objects[i] for ring in polygon.rings]]
            for number, frame in enumerate(clip.frames)
            if number % every == 0 and i in frame.objects
        ]
        objects.append([called, frames])
    data = json.dumps({"size": clip.size, "length": len(clip.frames), "objects": objects})
    yield "masks.py", SCRIPT.format(name="masks.py", data=data, every=every).encode()
