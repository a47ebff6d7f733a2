"""Write a network's graphs as ONNX or OpenVINO files, tried against the network itself before they are kept."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
import shutil
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rotoscope.errors import InputError, RotoscopeError
from rotoscope.files import make_folder
from rotoscope.layers.precision import fold_batch_norms
from rotoscope.methods import METHODS, method_class, name_of
from rotoscope.methods.agame import AGAME
from rotoscope.methods.agame.graphs import portable as agame_graphs
from rotoscope.methods.base import Method
from rotoscope.methods.cosnet import COSNet
from rotoscope.methods.cosnet.graphs import portable as cosnet_graphs
from rotoscope.methods.graphs import Graph, Port, Portable
from rotoscope.methods.rvos import RVOS
from rotoscope.methods.rvos.graphs import portable as rvos_graphs
from rotoscope.methods.stcn import STCN
from rotoscope.methods.stcn.graphs import portable as stcn_graphs

FORMATS = ("onnx", "openvino")
NEEDS = {"onnx": ("onnx", "onnxruntime"), "openvino": ("onnx", "openvino")}
GRAPHS: dict[type[Method], Callable[[Any, Any], Portable]] = {
    STCN: stcn_graphs,
    AGAME: agame_graphs,
    RVOS: rvos_graphs,
    COSNet: cosnet_graphs,
}
OPSET = 18
TOLERANCE = 1e-4
"""How far a graph's answers may be from the network's, beside one in a thousand of their largest."""
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


def portable(model: Method) -> Portable:
    """A method's network as graphs.

    Raises:
        InputError: its method cannot be exported.
    """
    if isinstance(model, STCN) and model.config.top_k is None:
        raise InputError("top_k=none reads the whole memory, which is not exported. Give a number, such as top_k=20.")
    for method, graphs in GRAPHS.items():
        if isinstance(model, method):
            return graphs(model.network, model.config)
    known = ", ".join(name for name in METHODS if method_class(name) in GRAPHS)
    raise InputError(f"{name_of(model)} cannot be exported yet; the methods that can are {known}.")


def export(model: Method, folder: str | Path, format: str = "onnx", *, overwrite: bool = False) -> list[Exported]:
    """Write a method's graphs, ``session.json``, and for ONNX an example that needs neither PyTorch nor Rotoscope.

    Args:
        model: loaded with ``precision="exact"``; its batch norms are folded.
        folder: where to write; made if it is not there.
        format: ``onnx`` or ``openvino``.
        overwrite: replace what an earlier export left.

    Raises:
        InputError: a method that cannot be exported, a package that is not installed, or a folder that is not empty.
        RotoscopeError: a graph answers otherwise than the network.
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
        made = [_made(graph, whole, Path(scratch), format) for graph in whole.graphs]
        (Path(scratch) / "session.json").write_text(json.dumps(_session(whole, made, format), indent=1), "utf-8")
        if format == "onnx" and isinstance(model, STCN):
            shutil.copyfile(EXAMPLE, Path(scratch) / "segment.py")
        make_folder(target)
        for path in Path(scratch).iterdir():
            shutil.copyfile(path, target / path.name)
    return [Exported(one.name, target / one.path.name, one.difference) for one in made]


def check_format(format: str) -> None:
    """See that a format is known and that what writes and tries it is installed.

    Raises:
        InputError: it is not.
    """
    if format not in FORMATS:
        raise InputError(f"format {format!r} is not known; use {' or '.join(FORMATS)}.")
    missing = [name for name in NEEDS[format] if importlib.util.find_spec(name) is None]
    if missing:
        raise InputError(f"{', '.join(missing)} not installed; pip install -e '.[{format}]' brings what is needed.")


def _made(graph: Graph, whole: Portable, folder: Path, format: str) -> Exported:
    """Write one graph and try it at the sizes that it was made with, and at others."""
    path = folder / f"{graph.name}.onnx"
    ports = (*graph.inputs, *graph.outputs)
    quiet = contextlib.redirect_stdout(io.StringIO())
    with torch.no_grad(), quiet, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of traced sizes, which are tried below
        torch.onnx.export(
            graph.module.eval(),
            graph.example(whole.sizes),
            path,
            input_names=[port.name for port in graph.inputs],
            output_names=[port.name for port in graph.outputs],
            dynamic_axes={port.name: _free(port) for port in ports},
            opset_version=OPSET,
            dynamo=False,
        )
    if format == "openvino":
        path = _as_openvino(path)
    run = runner(path)
    difference = max(compare(graph, run, sizes) for sizes in (whole.sizes, *whole.others))
    return Exported(graph.name, path, difference)


def compare(graph: Graph, run: Any, sizes: dict[str, int]) -> float:
    """The largest difference of a written graph from its network, on noise of some sizes.

    Args:
        graph: what was written.
        run: see :func:`runner`.
        sizes: of its symbols.

    Raises:
        RotoscopeError: they differ by more than rounding, or in shape.
    """
    example = graph.example(sizes)
    with torch.no_grad():
        answer = graph.module(*example)
    theirs: tuple[Tensor, ...] = answer if isinstance(answer, tuple) else (answer,)
    ours = run({port.name: tensor.numpy() for port, tensor in zip(graph.inputs, example, strict=True)})
    largest = 0.0
    for port, mine, other in zip(graph.outputs, ours, theirs, strict=True):
        if mine.shape != port.shape(sizes):
            raise RotoscopeError(f"{graph.name}: {port.name} is {mine.shape} and not {port.shape(sizes)} at {sizes}.")
        wanted = other.numpy().astype(np.float64)
        difference = float(np.abs(mine - wanted).max())
        if not difference <= TOLERANCE + 1e-3 * float(np.abs(wanted).max()):
            raise RotoscopeError(
                f"{graph.name}: {port.name} differs by {difference:.2g} from the network's at {sizes}."
            )
        largest = max(largest, difference)
    return largest


def runner(path: Path) -> Any:
    """What runs a graph's file: a function from arrays by name to the list of answers.

    Args:
        path: ``.onnx`` or ``.xml``.
    """
    if path.suffix == ".xml":
        import openvino

        compiled = openvino.Core().compile_model(str(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        return lambda inputs: [compiled(inputs)[number] for number in range(len(compiled.outputs))]
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return lambda inputs: session.run(None, inputs)


def _as_openvino(path: Path) -> Path:
    import openvino

    written = path.with_suffix(".xml")
    openvino.save_model(openvino.convert_model(str(path)), str(written), compress_to_fp16=False)
    path.unlink()
    return written


def _free(port: Port) -> dict[int, str]:
    """Axes that may have any size, by number, with names that ONNX allows."""
    words = str.maketrans({"*": "_times_", "+": "_plus_", "-": "_less_"})
    return {number: axis.translate(words) for number, axis in enumerate(port.axes) if isinstance(axis, str)}


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
