"""Write a network's graphs as ONNX or OpenVINO files, tried against the network itself before they are kept."""

from __future__ import annotations

import json
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rotoscope.errors import InputError
from rotoscope.files import is_plain_name, make_folder
from rotoscope.layers.precision import fold_batch_norms
from rotoscope.methods import graphs_of, name_of
from rotoscope.methods.model import Model
from rotoscope.methods.stcn import STCN
from rotoscope.runtimes.engines import missing_packages
from rotoscope.runtimes.graphs import Port, Portable
from rotoscope.runtimes.writing import OPSET, write_graph

FORMATS = {"onnx": "onnxruntime", "openvino": "openvino"}
"""Formats, and the runtime that tries what is written."""
EXAMPLE = Path(__file__).with_name("example.py")


@dataclass(frozen=True)
class Exported:
    """A graph that was written.

    Attributes:
        name: of the graph.
        path: of its file.
        difference: largest difference of its answers from the network's, over those sizes it was tried at.
    """

    name: str
    path: Path
    difference: float


def portable(model: Model) -> Portable:
    """A method's network as graphs.

    Raises:
        InputError: a network that its method has no graphs of.
    """
    return graphs_of(name_of(model)).portable(model.network, model.config)


def export(model: Model, folder: str | Path, format: str = "onnx", *, overwrite: bool = False) -> list[Exported]:
    """Write a method's graphs, ``session.json``, and for ONNX an example that needs neither PyTorch nor Rotoscope.

    Args:
        model: loaded with ``precision="exact"``; its batch norms are folded.
        folder: where to write; made if it is not there.
        format: ``onnx`` or ``openvino``.
        overwrite: replace what an earlier export left.

    Raises:
        InputError: a network that cannot be exported, a package that is not installed, or a folder that is not empty.
        GraphError: a graph cannot be computed, or answers otherwise than the network.
    """
    check_format(format)
    target = Path(folder)
    if model.precision != "exact":
        raise InputError("load the method with precision='exact' to export it: its fast form is this processor's own.")
    whole = portable(model)
    if target.exists() and (not target.is_dir() or any(target.iterdir())) and not overwrite:
        raise InputError(f"{target}: is there already and not empty. Give another folder, or --overwrite.")
    fold_batch_norms(model)
    with tempfile.TemporaryDirectory(prefix="rotoscope-") as scratch:
        made = [Exported(g.name, *write_graph(g, whole, Path(scratch), format)) for g in whole.graphs]
        (Path(scratch) / "session.json").write_text(json.dumps(_session(whole, made, format), indent=1), "utf-8")
        if format == "onnx" and isinstance(model, STCN):
            shutil.copyfile(EXAMPLE, Path(scratch) / "segment.py")
        make_folder(target)
        for path in _earlier(target):
            path.unlink(missing_ok=True)
        for path in Path(scratch).iterdir():
            shutil.copyfile(path, target / path.name)
    return [Exported(one.name, target / one.path.name, one.difference) for one in made]


def _earlier(folder: Path) -> list[Path]:
    """Files that an earlier export left in a folder, by its ``session.json``; what else lies there is not ours."""
    try:
        graphs = json.loads((folder / "session.json").read_text("utf-8"))["graphs"]
        names = [str(graph["file"]) for graph in graphs]
    except (OSError, ValueError, KeyError, TypeError):
        return []
    files = [folder / name for name in names if is_plain_name(name)]
    return [*files, *(path.with_suffix(".bin") for path in files if path.suffix == ".xml"), folder / "segment.py"]


def check_format(format: str) -> None:
    """See that a format is known and that what writes and tries it is installed.

    Raises:
        InputError: it is not.
    """
    if format not in FORMATS:
        raise InputError(f"format {format!r} is not known; use {' or '.join(FORMATS)}.")
    missing = missing_packages(FORMATS[format])
    if missing:
        raise InputError(f"{', '.join(missing)} not installed; pip install -e '.[{format}]' brings what is needed.")


def _session(whole: Portable, made: list[Exported], format: str) -> dict[str, Any]:
    """What ``session.json`` says."""

    def told(port: Port) -> dict[str, Any]:
        return {"name": port.name, "shape": port.axes, "type": port.kind, "is": port.says}

    graphs = [
        {
            "name": graph.name,
            "file": one.path.name,
            "when": graph.says,
            "inputs": [told(port) for port in graph.inputs],
            "outputs": [told(port) for port in graph.outputs],
        }
        for graph, one in zip(whole.graphs, made, strict=True)
    ]
    return {"format": format, "opset": OPSET, **whole.facts, "graphs": graphs}
