"""Our exact inference against the plain formulation of the same network."""

from __future__ import annotations

import time

import numpy as np

from common import SIZE, options, report
from rotoscope.experiments.plain import PlainSTCN
from rotoscope.experiments.speed import method_to_time, moving_frames, squares
from rotoscope.methods.stcn import STCN


def main() -> None:
    chosen = options(__doc__, frames=100, method="stcn", objects=1)
    model = method_to_time(chosen.method, None, "exact")
    assert isinstance(model, STCN)
    model.reconfigure(max_short_side=None, resizing="bicubic")
    images = moving_frames(chosen.frames, SIZE)
    masks = squares(chosen.objects, SIZE)

    session = model.session(memory="every:5", mem_every=5, top_k=20)
    session.add(masks)
    begun = time.perf_counter()
    ours = [session.push(image)[0].labels for image in images]
    our_seconds = (time.perf_counter() - begun) / chosen.frames
    our_read = session.timings.seconds["read memory"] / chosen.frames

    plain = PlainSTCN(model)
    begun = time.perf_counter()
    theirs = [
        plain.push(image, list(masks.values()) if number == 0 else None).argmax(dim=0).numpy()
        for number, image in enumerate(images)
    ]
    their_seconds = (time.perf_counter() - begun) / chosen.frames
    their_read = plain.timings.seconds["read memory"] / chosen.frames
    same = float(np.mean([(a == b).mean() for a, b in zip(ours, theirs, strict=True)]))
    rows = [
        {"": "plain", "seconds per frame": their_seconds, "memory read": their_read},
        {"": "ours, exact", "seconds per frame": our_seconds, "memory read": our_read},
        {"": "ratio", "seconds per frame": their_seconds / our_seconds, "memory read": their_read / our_read},
    ]
    title = (
        f"{chosen.method}, 854x480, {chosen.objects} object(s), every:5, {chosen.frames} frames; "
        f"{100 * same:.2f} % of the labels are equal"
    )
    report("plain", title, rows, chosen)


if __name__ == "__main__":
    main()
