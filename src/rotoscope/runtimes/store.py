"""Graphs that were made, kept in a folder of the user's: made once for each network, and looked up from then on."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from torch import nn

from rotoscope.files import atomic_write, make_folder
from rotoscope.provenance import package_version
from rotoscope.runtimes.engines import NEEDS
from rotoscope.runtimes.graphs import Portable
from rotoscope.runtimes.writing import OPSET, write_graph

HERE = Path(__file__).parent
RECORD = "graphs.json"
FORMAT_OF = {"onnxruntime": "onnx", "openvino": "openvino"}


def key_of(network: nn.Module, whole: Portable, runtime: str, fixed: Mapping[str, Any]) -> str:
    """What stands for a network on a runtime: its weights, the code that it is made of, and versions of packages.

    Args:
        network: with its weights as they were loaded.
        whole: its graphs; ``facts`` has what they depend on beside the network.
        runtime: that will run them.
        fixed: fields of its config that its weights fix.
    Returns: 32 hexadecimal digits.
    """
    packages = ("rotoscope", "torch", *NEEDS[runtime])
    facts = {
        "packages": {name: package_version(name) for name in packages},
        "opset": OPSET,
        "runtime": runtime,
        "config": dict(fixed),
        "facts": whole.facts,
        "graphs": [graph.name for graph in whole.graphs],
    }
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode())
    own = Path(str(sys.modules[type(network).__module__].__file__)).parent
    for folder in (own, HERE, HERE.with_name("layers")):
        for path in sorted(folder.glob("*.py")):
            digest.update(path.name.encode() + path.read_bytes())
    for name, tensor in network.state_dict().items():
        raw = tensor.detach().cpu().contiguous()
        digest.update(f"{name} {tuple(raw.shape)} {raw.dtype}".encode())
        digest.update(raw.float().numpy().tobytes())
    return digest.hexdigest()[:32]


def kept_graphs(folder: Path) -> dict[str, Path] | None:
    """Files of graphs by name that lie in a folder as they were made; None where they do not."""
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        whole = all(_hash(folder / name) == digest for name, digest in record["files"].items())
        return {str(k): folder / str(v) for k, v in record["graphs"].items()} if whole else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):  # not there, cut short or changed
        return None


def graphs_in(folder: Path, runtime: str, make: Callable[[], Portable]) -> dict[str, Path]:
    """Files of a network's graphs, by name: those that lie there, or new ones.

    Args:
        folder: of this network on this runtime alone. It appears with all of its files or not at all; one that was
            damaged is replaced.
        runtime: that will run them.
        make: gives the graphs, of a network with folded batch norms; only called if they must be made.

    Raises:
        WriteError: it cannot be written.
        GraphError: the runtime cannot compute a graph, or answers otherwise than the network.
    """
    graphs = kept_graphs(folder)
    if graphs is not None:
        return graphs
    whole = make()
    make_folder(folder)
    with tempfile.TemporaryDirectory(prefix="rotoscope-") as scratch:
        made = {g.name: write_graph(g, whole, Path(scratch), FORMAT_OF[runtime])[0] for g in whole.graphs}
        files = {}
        for path in sorted(Path(scratch).iterdir()):
            with atomic_write(folder / path.name) as target:
                shutil.copyfile(path, target)
            files[path.name] = _hash(path)
    record = {"graphs": {name: path.name for name, path in made.items()}, "files": files}
    with atomic_write(folder / RECORD) as target:  # the last: without it nothing is there
        target.write_text(json.dumps(record, indent=1), encoding="utf-8")
    return {name: folder / path.name for name, path in made.items()}


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
