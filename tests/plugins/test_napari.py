"""The plugin in napari, in a process of its own.

napari's fixtures import Qt and napari wherever pytest loads them, which takes seconds in each process, and what fails
in Qt may take its process along. So pyproject.toml keeps them out, and they are loaded here only.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

CHECKS = Path(__file__).with_name("napari_checks.py")


@contextmanager
def display() -> Iterator[dict[str, str]]:
    """The environment of a display: the one that is there, else a virtual one while this lasts, else none."""
    if "DISPLAY" in os.environ or shutil.which("Xvfb") is None:
        yield {}
        return
    for attempt in range(3):
        reads, writes = os.pipe()
        command = ["Xvfb", "-displayfd", str(writes), "-screen", "0", "1280x900x24", "-nolisten", "tcp"]
        with subprocess.Popen(command, pass_fds=(writes,), stderr=subprocess.PIPE, text=True) as server:
            os.close(writes)
            try:
                with os.fdopen(reads) as told:
                    number = told.readline().strip()
                if number and server.poll() is None:  # it ended where another took the same number meanwhile
                    yield {"DISPLAY": f":{number}"}
                    return
            finally:
                server.terminate()
            assert server.stderr is not None
            warnings.warn(f"Xvfb did not start ({attempt + 1}): {server.stderr.read()[-300:]}", stacklevel=1)
    raise RuntimeError("Xvfb did not start in three attempts.")


def test_the_plugin_in_napari(tmp_path: Path) -> None:
    pytest.importorskip("napari", reason='napari is not here: pip install -e ".[napari]"')
    pytest.importorskip("pytestqt", reason="pytest-qt is not here: pip install pytest-qt")
    names = ("npe2", "napari", "pytest-qt", "no:cacheprovider", "no:xdist")
    plugins = [part for name in names for part in ("-p", name)]
    homes = {name: str(tmp_path) for name in ("HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME")}
    command = [sys.executable, "-m", "pytest", *plugins, "-W", "ignore", str(CHECKS)]
    with display() as shown:
        about = os.environ | shown | homes | {"QT_QPA_PLATFORM": "offscreen"}
        about.pop("PYTEST_ADDOPTS", None)
        if "DISPLAY" not in about:
            warnings.warn("napari's window needs a display and was left out: apt-get install xvfb", stacklevel=1)
            command += ["-k", "not window"]
        run = subprocess.run(command, env=about, capture_output=True, text=True, check=False, timeout=900)
    assert run.returncode == 0, run.stdout[-6000:] + run.stderr[-3000:]
