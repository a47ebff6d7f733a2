"""A graph to a file, tried against the network itself before anybody uses it."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from rotoscope.errors import GraphError, shown
from rotoscope.runtimes.engines import Engine, open_graph
from rotoscope.runtimes.graphs import Graph, Port, Portable

OPSET = 18
TOLERANCE = 1e-4
"""How far a graph's answers may be from the network's, beside one in a thousand of their largest."""


def write_graph(graph: Graph, whole: Portable, folder: Path, format: str) -> tuple[Path, float]:
    """Write one graph and try it at the sizes that it was made with, and at others.

    Args:
        graph: what to write.
        whole: says the sizes.
        folder: where its file goes.
        format: ``onnx`` or ``openvino``.
    Returns: the path of its file, and the largest difference of its answers from the network's.

    Raises:
        GraphError: see :func:`compare`.
    """
    path = folder / f"{graph.name}.onnx"
    ports = (*graph.inputs, *graph.outputs)
    quiet = contextlib.redirect_stdout(io.StringIO())
    with torch.inference_mode(False), torch.no_grad(), quiet, warnings.catch_warnings():
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
    engine = open_graph(path, torch.get_num_threads())
    return path, max(compare(graph, engine, sizes) for sizes in (whole.sizes, *whole.others))


def compare(graph: Graph, engine: Engine, sizes: Mapping[str, int]) -> float:
    """The largest difference of a written graph from its network, on noise of some sizes.

    Args:
        graph: what was written.
        engine: runs it.
        sizes: of its symbols.

    Raises:
        GraphError: they differ by more than rounding, or in shape, or the runtime fails.
    """
    example = graph.example(sizes)
    with torch.no_grad():
        answer = graph.module(*example)
    theirs: tuple[Tensor, ...] = answer if isinstance(answer, tuple) else (answer,)
    try:
        ours = engine({port.name: tensor.numpy() for port, tensor in zip(graph.inputs, example, strict=True)})
    except RuntimeError as error:  # OpenVINO's own, on graphs that are right
        raise GraphError(f"{graph.name}: cannot be computed at {sizes} ({shown(error, 120)}).") from None
    largest = 0.0
    for port, mine, other in zip(graph.outputs, ours, theirs, strict=True):
        if mine.shape != port.shape(sizes):
            raise GraphError(f"{graph.name}: {port.name} is {mine.shape} and not {port.shape(sizes)} at {sizes}.")
        wanted = other.numpy().astype(np.float64)
        difference = float(np.abs(mine - wanted).max())
        if not difference <= TOLERANCE + 1e-3 * float(np.abs(wanted).max()):
            raise GraphError(f"{graph.name}: {port.name} differs by {difference:.2g} from the network's at {sizes}.")
        largest = max(largest, difference)
    return largest


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
