"""A long video file, killed half-way with ``kill -9`` and resumed: are the masks those of an unbroken run?"""

from __future__ import annotations

import argparse
import hashlib
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from rotoscope.video import VideoWriter


def make_video(path: Path, frames: int, size: tuple[int, int]) -> None:
    """A disc that wanders over noise."""
    import cv2

    rng = np.random.default_rng(0)
    width, height = size
    back = cv2.resize(rng.integers(0, 200, (height // 4, width, 3), dtype=np.uint8), (width * 4, height))
    with VideoWriter(path, 25, size) as writer:
        for t in range(frames):
            left = round((width * 1.4) * (1 + np.sin(t / 300)))
            image = np.ascontiguousarray(back[:, left : left + width])
            centre = (round(width / 2 + width / 3 * np.sin(t / 41)), round(height / 2 + height / 4 * np.cos(t / 67)))
            cv2.circle(image, centre, height // 5, (230, 60 + t % 60, 40), -1, cv2.LINE_AA)
            writer.write(image.astype(np.uint8, copy=False))


def digest(folder: Path) -> tuple[int, str]:
    """Number of masks, and one hash over all of them."""
    total = hashlib.sha256()
    paths = sorted(folder.glob("*.png"))
    for path in paths:
        total.update(path.name.encode() + path.read_bytes())
    return len(paths), total.hexdigest()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--frames", type=int, default=10_000)
    parser.add_argument("--width", type=int, default=160)
    parser.add_argument("--height", type=int, default=96)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--weights", type=Path)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        video, mask = root / "long.mp4", root / "first.png"
        size = (chosen.width, chosen.height)
        make_video(video, chosen.frames, size)
        first = np.zeros(size[::-1], np.uint8)
        ys, xs = np.mgrid[: size[1], : size[0]]
        first[(xs - size[0] / 2) ** 2 + (ys - size[1] * 3 / 4) ** 2 <= (size[1] // 5) ** 2] = 1
        Image.fromarray(first).save(mask)
        command = [sys.executable, "-m", "rotoscope", "segment", str(video), "--mask", str(mask)]
        command += ["--threads", str(chosen.threads), "--state-every", "100"]
        if chosen.weights:
            command += ["--weights", str(chosen.weights)]
        whole, cut = root / "whole", root / "cut"
        begun = time.perf_counter()
        subprocess.run([*command, "-o", str(whole)], check=True, stdout=subprocess.DEVNULL)
        print(f"unbroken: {digest(whole)[0]} masks in {time.perf_counter() - begun:.0f} s")
        process = subprocess.Popen([*command, "-o", str(cut)], stdout=subprocess.DEVNULL)
        while not (cut / f"{chosen.frames // 2:05d}.png").exists():
            if process.poll() is not None:
                raise RuntimeError("the run ended before it was killed")
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
        process.wait()
        print(f"killed with {digest(cut)[0]} masks written (exit {process.returncode})")
        subprocess.run([*command, "-o", str(cut), "--resume"], check=True)
        same = digest(whole) == digest(cut)
        print(f"resumed: {digest(cut)[0]} masks; equal to the unbroken run: {'yes' if same else 'NO'}")
        objects = sum(1 for path in whole.glob("*.png") if np.array(Image.open(path)).any())
        print(f"{objects} of {chosen.frames} masks hold the object")
        return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
