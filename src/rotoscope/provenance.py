"""Where a number comes from: versions, commit, machine, command."""

from __future__ import annotations

import os
import platform
import shlex
import subprocess
import sys
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = ("torch", "numpy", "opencv-python-headless", "pillow", "scipy")


def provenance() -> dict[str, Any]:
    """What a result file records of the program and the machine that made it."""
    return {
        "rotoscope": package_version("rotoscope"),
        "commit": commit(),
        "python": platform.python_version(),
        "packages": {name: package_version(name) for name in PACKAGES},
        "machine": machine(),
        "command": command(),
        "made": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }


def command() -> str:
    """The command line that this process was started with."""
    name = Path(sys.argv[0]).name
    return shlex.join(["rotoscope" if name == "__main__.py" else name, *sys.argv[1:]])


def machine() -> dict[str, Any]:
    """Kind of processor, number of cores, operating system."""
    return {
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.release()}",
    }


def commit() -> str | None:
    """The commit that this code was checked out from, with ``+changes`` if it was changed since; None outside git."""
    here = Path(__file__).resolve().parent

    def git(*arguments: str) -> str | None:
        try:
            done = subprocess.run(
                ["git", "-C", str(here), *arguments], capture_output=True, text=True, timeout=10, check=False
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    root = git("rev-parse", "--show-toplevel")
    if root is None or Path(root) / "src" / "rotoscope" != here:
        return None  # installed somewhere inside another repository
    head = git("rev-parse", "HEAD")
    changed = git("status", "--porcelain", "--untracked-files=no")
    return f"{head}{'+changes' if changed else ''}"


def package_version(name: str) -> str | None:
    """The version of a package that is installed, and, of PyTorch, in use; None otherwise."""
    if name == "torch" and "torch" not in sys.modules:
        return None  # not part of what made the number
    try:
        return version(name)
    except PackageNotFoundError:
        return None
