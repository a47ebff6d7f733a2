from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from drawn import contents
from rotoscope.datasets.demo import demo_clip
from rotoscope.errors import InputError
from rotoscope.experiments import demo
from rotoscope.methods.base import Method
from rotoscope.video import open_video


def test_the_demonstration_replaces_an_earlier_one_and_nothing_else(
    tiny_stcn: Method, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = demo_clip(4)
    monkeypatch.setattr(demo, "demo_clip", lambda: clip)
    seen: list[int] = []
    for _ in range(2):
        done = demo.run_demo(tiny_stcn, tmp_path / "out", lambda prediction: seen.append(prediction.index))
    assert seen == [0, 1, 2, 3] * 2
    assert done.report.frames == 4
    assert all(0 <= score <= 1 for score in done.scores.values())
    assert done.contact_sheet.stat().st_size > 0
    with open_video(done.overlay) as video:
        assert len(video) == 4
    masks = demo.read_palette_masks(tmp_path / "out", 4)
    assert np.array_equal(masks[0] > 0, np.isin(clip.labels[0], list(demo.OBJECTS)))
    assert demo.inner_similarity(list(clip.labels), clip.labels, (1, 2)) == {1: 1.0, 2: 1.0}
    others = tmp_path / "others"
    others.mkdir()
    (others / "holiday.png").write_bytes(b"mine")
    with pytest.raises(InputError, match="holds the masks of another run"):
        demo.run_demo(tiny_stcn, others)
    assert contents(others) == {"holiday.png": b"mine"}
