"""The package as a user gets it: wheel and source archive, checked, and the wheel in an environment with nothing else.

    python benchmarks/wheel_test.py                 # of the commit that is checked out; or make wheel-test
    python benchmarks/wheel_test.py --keep build/wheel-test

Builds both from the commit's files alone (``git archive``), the wheel from the source archive as installers do; checks
them with twine; makes an empty virtual environment, installs PyTorch and the wheel with the extras ``app`` and
``train``, at the pinned versions; and runs there, outside of the repository: ``check``, ``segment``, ``evaluate``,
``train`` (three steps), ``segment`` with the weights that were trained, and ``app``, which is asked for its page with
its token and without one, and ended as by Ctrl-C. Prints a line for each; ends with 1 at the first that is not as it
should be. Takes some minutes, most of them for installing PyTorch.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.error
import urllib.request
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
STARTUP = 180
"""Seconds that the page's service may take to answer."""

MAKE = """
import numpy as np
from PIL import Image
from pathlib import Path
from rotoscope.masks.saving import save_labels
from rotoscope.video import VideoWriter

rows, columns = np.mgrid[:96, :160]
noise = np.random.default_rng(1)
back = noise.integers(0, 90, (96, 160, 3), dtype=np.uint8)
truth = Path("DAVIS/Annotations/480p/disc")
sets, frames = Path("DAVIS/ImageSets/480p"), Path("DAVIS/JPEGImages/480p/disc")
for folder in (truth, sets, frames, Path("photos/images"), Path("photos/masks")):
    folder.mkdir(parents=True)
with VideoWriter("clip.mp4", 25, (160, 96)) as writer:
    for t in range(8):
        mask = np.hypot(columns - 50 - 4 * t, rows - 48) < 26
        image = np.where(mask[..., None], np.uint8((250, 180, 30)), back)
        writer.write(image)
        Image.fromarray(image).save(frames / f"{t:05d}.jpg")
        Image.fromarray(mask.astype(np.uint8) * 255).save(truth / f"{t:05d}.png")
        save_labels(Path(f"photos/masks/{t}.png"), mask.astype(np.uint8), (1,))
        Image.fromarray(image).save(f"photos/images/{t}.png")
(sets / "val.txt").write_text("/JPEGImages/480p/disc/00000.jpg /Annotations/480p/disc/00000.png\\n")
"""
"""Makes, with the installed package, a clip, its truth as a data set, and photographs to train on."""


class FailedError(Exception):
    """Something was not as it should be."""


def run(what: str, *command: str | Path, cwd: Path, contains: str = "") -> str:
    """Run a command, print how long it took, and return what it printed."""
    begun = time.perf_counter()
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, env=clean, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    said = done.stdout.strip()
    if done.returncode or contains not in said:
        raise FailedError(f"{what}: exit code {done.returncode}\n{said[-4000:]}")
    print(f"{what}: {time.perf_counter() - begun:.1f} s", flush=True)
    return said


def build(place: Path) -> tuple[Path, Path]:
    """Wheel and source archive of the commit."""
    source, tools = place / "source", place / "tools"
    source.mkdir()
    archive = subprocess.run(["git", "archive", "HEAD"], cwd=ROOT, stdout=subprocess.PIPE, check=True).stdout
    subprocess.run(["tar", "-x", "-C", str(source)], input=archive, check=True)
    venv.create(tools, with_pip=True)
    run("tools to build with", tools / "bin/python", "-m", "pip", "install", "--quiet", "build", "twine", cwd=place)
    run("built", tools / "bin/python", "-m", "build", "--outdir", place / "dist", source, cwd=place)
    (wheel,), (archived,) = place.glob("dist/*.whl"), place.glob("dist/*.tar.gz")
    files = [str(path) for path in (wheel, archived)]
    said = run("twine check", tools / "bin/python", "-m", "twine", "check", "--strict", *files, cwd=place)
    print("   " + "\n   ".join(said.splitlines()))
    for path in (wheel, archived):
        print(f"   {path.name}: {path.stat().st_size / 1e6:.1f} MB")
    return wheel, archived


def check_files(wheel: Path, archived: Path) -> None:
    """See that nothing is left out of the wheel, and that neither holds what no user needs."""
    inside = set(zipfile.ZipFile(wheel).namelist())
    package = (path for path in (ROOT / "src").rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    tracked = set(
        subprocess.run(["git", "ls-files", "src"], cwd=ROOT, text=True, stdout=subprocess.PIPE).stdout.split()
    )
    missing = [
        p for p in package if str(p.relative_to(ROOT)) in tracked and str(p.relative_to(ROOT / "src")) not in inside
    ]
    if missing:
        raise FailedError(f"not in the wheel: {', '.join(map(str, missing[:5]))}")
    other = {name.split("/")[0] for name in inside} - {"rotoscope"}
    if not all(name.endswith(".dist-info") for name in other):
        raise FailedError(f"in the wheel beside the package: {sorted(other)}")
    with tarfile.open(archived) as tar:
        names = {name.partition("/")[2] for name in tar.getnames()}
    wanted = ("tests/conftest.py", "docs/guide.md", "LICENSE", "Makefile", "src/rotoscope/py.typed")
    if lost := [name for name in wanted if name not in names]:
        raise FailedError(f"not in the source archive: {lost}")
    print(f"   {len(inside)} files in the wheel, {len(names)} in the source archive")


def install(place: Path, wheel: Path) -> Path:
    """An environment with the wheel and nothing else; returns its folder of programs."""
    empty = place / "empty"
    venv.create(empty, with_pip=True)
    pins = ROOT / "constraints.txt"
    torch = next(line for line in pins.read_text().splitlines() if line.startswith("torch=="))
    pip = (empty / "bin/python", "-m", "pip", "install", "--quiet")
    run("PyTorch installed", *pip, torch, cwd=place)
    run("wheel installed, alone", *pip, "--constraint", pins, wheel, cwd=place)
    said = run("packages fit together", empty / "bin/python", "-m", "pip", "check", cwd=place)
    print(f"   {said}")
    return empty / "bin"


def use(programs: Path, wheel: Path, place: Path) -> None:
    """The commands, in a folder of their own."""
    here = place / "work"
    here.mkdir()
    rotoscope, python = programs / "rotoscope", programs / "python"
    home = run("imported from", python, "-c", "import rotoscope; print(rotoscope.__file__)", cwd=here)
    if str(ROOT) in home:
        raise FailedError(f"the package comes from the repository, not from the wheel: {home}")
    run("clip made", python, "-c", MAKE, cwd=here)
    first = "DAVIS/Annotations/480p/disc/00000.png"
    run("check", rotoscope, "check", first, cwd=here)
    run("segment", rotoscope, "segment", "clip.mp4", "--mask", first, "-o", "results/disc", cwd=here)
    run("methods", rotoscope, "methods", cwd=here, contains="stcn-small")
    said = run("evaluate", rotoscope, "evaluate", "results", "--dataset", "davis16:DAVIS?split=val", cwd=here)
    print("   " + "\n   ".join(said.splitlines()))
    extras = (python, "-m", "pip", "install", "--quiet", "--constraint", ROOT / "constraints.txt")
    run("extras app and train installed", *extras, f"{wheel}[app,train]", cwd=here)
    settings = ("--set", "stages=3x64x3x1:synthetic", "--set", "validate_every=100", "--device", "cpu")
    train = ("train", "stcn-small", "--data", "photos", "-o", "run", *settings, "--workers", "0")
    run("train, 3 steps", rotoscope, *train, cwd=here)
    weights = ("--weights", "run/stcn-small.safetensors")
    run("segment with these", rotoscope, "segment", "clip.mp4", "--mask", first, "-o", "own", *weights, cwd=here)
    for folder in ("results/disc", "own"):
        if len(list((here / folder).glob("0*.png"))) != 8:
            raise FailedError(f"{folder} does not hold eight masks")
    app(rotoscope, here)


def app(rotoscope: Path, here: Path) -> None:
    """Start the page's service, ask it with and without its token, and end it."""
    begun = time.perf_counter()
    command = [str(rotoscope), "app", "clip.mp4", "--no-browser"]
    with subprocess.Popen(command, cwd=here, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as service:
        try:
            assert service.stdout is not None
            line = service.stdout.readline()
            address = re.search(r"http://\S+", line)
            if address is None:
                raise FailedError(f"app: no address in {line!r}\n{service.stdout.read()[-3000:]}")
            page = ask(address[0])
            if page[0] != 200 or b"<html" not in page[1]:
                raise FailedError(f"app: its page was answered with {page[0]}")
            status, _ = ask("/".join([*address[0].split("/")[:3], ""]))
            if status < 400:
                raise FailedError(f"app: without its token it answered with {status}")
            print(
                f"app: page answered after {time.perf_counter() - begun:.1f} s, {status} without the token", flush=True
            )
        finally:
            service.send_signal(signal.SIGINT)
            said = service.stdout.read() if service.stdout else ""
    if service.returncode:
        raise FailedError(f"app: exit code {service.returncode} after Ctrl-C\n{said[-3000:]}")
    print("app: ended by Ctrl-C, exit code 0")


def ask(address: str) -> tuple[int, bytes]:
    """What a request is answered with, once the service listens."""
    until = time.monotonic() + STARTUP
    while True:
        try:
            with urllib.request.urlopen(address, timeout=30) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, b""
        except OSError:
            if time.monotonic() > until:
                raise FailedError(f"app: nothing answers at {address}") from None
            time.sleep(0.5)


def main() -> int:
    """All of it, in order."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", type=Path, help="folder to work in, which must not exist; else one that goes away")
    keep = parser.parse_args().keep
    with tempfile.TemporaryDirectory(prefix="rotoscope-wheel-") as passing:
        place = (keep or Path(passing)).resolve()
        if keep is not None:
            place.mkdir(parents=True)
        try:
            wheel, archived = build(place)
            check_files(wheel, archived)
            use(install(place, wheel), wheel, place)
        except FailedError as failed:
            print(f"FAILED {failed}")
            return 1
    print("all as it should be")
    return 0


if __name__ == "__main__":
    sys.exit(main())
