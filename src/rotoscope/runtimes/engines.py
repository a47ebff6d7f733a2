"""The programs that run a graph's file: ONNX Runtime and OpenVINO, on the CPU, with a given number of threads."""

from __future__ import annotations

import functools
import importlib.util
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from rotoscope.errors import InputError

RUNTIMES = ("torch", "onnxruntime", "openvino")
"""By name; ``torch`` runs the network itself, the others graphs of it."""
EXTRAS = {"onnxruntime": "onnx", "openvino": "openvino"}
"""The extra of the package that brings a runtime and what writes graphs."""
NEEDS = {"onnxruntime": ("onnx", "onnxruntime"), "openvino": ("onnx", "openvino")}

Engine = Callable[[Mapping[str, NDArray[Any]]], list[NDArray[Any]]]
"""A graph that can be run: arrays by the names of its inputs to the list of its outputs. Threads may share it."""


def missing_packages(runtime: str) -> list[str]:
    """Packages that a runtime needs and that are not installed."""
    return [name for name in NEEDS.get(runtime, ()) if importlib.util.find_spec(name) is None]


def installed_runtimes() -> tuple[str, ...]:
    """Those of :data:`RUNTIMES` that can be used here."""
    return tuple(name for name in RUNTIMES if not missing_packages(name))


def check_runtime(runtime: str) -> None:
    """See that a runtime is known, and that what it needs is installed.

    Raises:
        InputError: it is not; names the extra that brings it.
    """
    if runtime == "auto":
        return
    if runtime not in RUNTIMES:
        raise InputError(f"runtime {runtime!r} is not known; use auto, {', '.join(RUNTIMES)}.")
    missing = missing_packages(runtime)
    if missing:
        raise InputError(
            f"runtime {runtime} needs {' and '.join(missing)}, not installed here: "
            f"pip install -e '.[{EXTRAS[runtime]}]'; or leave --runtime out."
        )


def open_graph(path: Path, threads: int, *, bfloat16: bool = False) -> Engine:
    """Open a graph's file with the runtime that reads it.

    Args:
        path: ``.onnx`` for ONNX Runtime, ``.xml`` for OpenVINO.
        threads: that a call computes with.
        bfloat16: OpenVINO may compute in it; ONNX Runtime has no such convolutions.
    """
    return _openvino(path, threads, bfloat16) if path.suffix == ".xml" else _onnxruntime(path, threads)


def _onnxruntime(path: Path, threads: int) -> Engine:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads  # one of them is the caller's
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # waiting threads would keep others out
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return lambda inputs: session.run(None, dict(inputs))


_MAKING = threading.Lock()


@functools.cache
def _core() -> Any:
    """OpenVINO's core: one for all graphs, for as long as the process lives.

    Each gives the thread that makes it a stack for signals, and takes its memory away when it goes. Of two, the second
    to go leaves the thread that of the first, whose memory is no more: the next signal that Python handles, such as
    Ctrl-C, then ends the process.
    """
    import openvino

    return openvino.Core()


def _openvino(path: Path, threads: int, bfloat16: bool) -> Engine:
    settings = {
        "INFERENCE_PRECISION_HINT": "bf16" if bfloat16 else "f32",
        "INFERENCE_NUM_THREADS": str(threads),
        "NUM_STREAMS": "1",
        "ENABLE_CPU_PINNING": "NO",  # other programs may have the very core
    }
    with _MAKING:  # two threads that ask at once would make two
        core = _core()
    compiled = core.compile_model(str(path), "CPU", settings)
    own = threading.local()  # a request serves one thread at a time

    def run(inputs: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
        if not hasattr(own, "request"):
            own.request = compiled.create_infer_request()
        answer = own.request.infer(dict(inputs), share_inputs=True)
        return [answer[number].copy() for number in range(len(compiled.outputs))]  # the next call overwrites them

    return run
