"""The player of a finished run, as a notebook shows it."""

from __future__ import annotations

import base64
import io
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from drawn import clip_of
from rotoscope import InputError, Player
from rotoscope.masks.saving import save_labels

SIZE = (64, 48)
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Masks of ten frames, the object moving to the right, and none on the last."""
    (tmp_path / "run").mkdir()
    for t in range(10):
        labels = np.zeros(SIZE[::-1], np.uint8)
        labels[10:40, 4 * t : 4 * t + 20] = 2 if t < 9 else 0
        save_labels(tmp_path / f"run/{t:05d}.png", labels, (2,))
    return tmp_path / "run"


def pictures(shown: str) -> list[np.ndarray]:
    data = re.findall(r'src="data:image/jpeg;base64,([^"]+)"', shown)
    return [np.asarray(Image.open(io.BytesIO(base64.b64decode(part)))).astype(int) for part in data]


def test_every_frame_shows_its_masks_over_its_picture(run: Path) -> None:
    clip = np.zeros((10, 48, 64, 3), np.uint8) + np.uint8(20)
    shown = pictures(Player(run, clip, width=64)._repr_html_())
    assert len(shown) == 10
    for t in range(9):
        assert abs(shown[t][25, 4 * t + 10] - 20).max() > 20
        assert abs(shown[t][25, (4 * t + 40) % 64] - 20).max() < 12
    assert abs(shown[9] - 20).max() < 12


def test_few_pictures_are_spread_over_the_run(run: Path) -> None:
    one = Player(run, clip_of(10, SIZE), frames=4)
    assert re.findall(r'alt="(\d+)"', one._repr_html_()) == ["00000", "00003", "00006", "00009"]
    assert len(one) == 4


def test_without_a_video_masks_are_shown_on_black(run: Path) -> None:
    shown = pictures(Player(run, width=64)._repr_html_())
    assert shown[0][25, 10].max() > 40
    assert shown[0][2, 2].max() < 12


def test_names_are_escaped(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = Player(run)
    one.name = "<b>&"
    assert "<b>" not in one._repr_html_()


@pytest.mark.parametrize(
    ("video", "options", "message"),
    [
        (clip_of(5, SIZE), {}, "has no frame 5"),
        (clip_of(10, (32, 24)), {}, "masks are 64x48 but the video is 32x24"),
        (None, {"frames": 0}, "at least one frame"),
        (None, {"fps": 0}, "up to 100"),
    ],
)
def test_what_does_not_fit_is_refused(run: Path, video: object, options: dict[str, int], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Player(run, video, **options)


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: apt-get install chromium")
def test_the_slider_and_the_button_work_in_a_browser(run: Path) -> None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page()
        page.set_content(Player(run, fps=20)._repr_html_())
        visible = "[...document.images].filter(e => e.style.display === 'block').map(e => e.alt)"
        assert page.evaluate(visible) == ["00000"]
        page.locator("input").fill("6")
        assert page.evaluate(visible) == ["00006"]
        assert page.locator("output").inner_text() == "00006"
        page.locator("button").click()
        page.wait_for_function(f"{visible}[0] !== '00006'", timeout=60_000)
        assert page.locator("button").inner_text() == "Stop"
        page.locator("button").click()
        assert page.locator("button").inner_text() == "Play"
        browser.close()
