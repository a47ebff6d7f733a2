"""What is made before it is asked for stays within bounds, and is what would have been made when it is."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

from hypothesis import given
from hypothesis.strategies import integers, lists

from rotoscope.app.ahead import Filling, Latest, Look, stretches
from rotoscope.app.pictures import frame_bytes
from rotoscope.app.project import Project
from rotoscope.app.shelf import Shelf


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 300
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


@given(sizes=lists(integers(1, 60), max_size=60))
def test_a_shelf_gives_back_what_was_put_last_and_its_file_stays_within_budget(sizes: list[int]) -> None:
    shelf = Shelf(Path(), 100)
    data = {n: bytes([n]) * size for n, size in enumerate(sizes)}
    for n, value in data.items():
        shelf.put(("a", n, 0), value)
        assert shelf.get(("a", n, 0)) == value
    shelf._file.seek(0, 2)
    assert shelf._file.tell() <= 100
    for n, value in data.items():
        assert shelf.get(("a", n, 0)) in (None, value)
    shelf.forget("a")
    assert all(shelf.get(("a", n, 0)) is None for n in data)
    shelf.close()
    assert shelf.get(("a", 0, 0)) is None


def test_stretches_go_across_small_gaps() -> None:
    assert list(stretches([], 2)) == []
    assert list(stretches([3, 4, 6, 20, 21], 2)) == [(3, 7), (20, 22)]


def test_only_the_last_of_the_wishes_that_wait_is_done() -> None:
    begun, go, done = threading.Event(), threading.Event(), []

    def work(wish: int, superseded: Callable[[], bool]) -> None:
        begun.set()
        assert go.wait(120)
        done.append((wish, superseded()))

    latest: Latest[int] = Latest("test", work)
    latest.want(1)
    assert begun.wait(120)
    for wish in (2, 3, 4):
        latest.want(wish)
    go.set()
    until(lambda: len(done) == 2)
    latest.close()
    assert done == [(1, True), (4, False)]


def test_all_frames_are_pictured_from_the_one_looked_at_on_while_nobody_waits(project: Project) -> None:
    shelf = Shelf(project.folder)
    waits = threading.Event()
    waits.set()
    filling = Filling(shelf, waits.is_set, lambda line: None)
    filling.look(Look("a", project, 8, 32))
    time.sleep(0.2)
    assert shelf.get(("a", 8, 32)) is None
    waits.clear()
    until(lambda: all(("a", n, 32) in shelf for n in range(project.frames)))
    for n in (0, 8, 11):
        assert shelf.get(("a", n, 32)) == frame_bytes(project.frame(n).image, 32, "jpeg")
    filling.close()
    shelf.close()


def test_pictures_end_before_the_first_would_have_to_go(project: Project) -> None:
    size = max(len(frame_bytes(project.frame(n).image, None, "jpeg")) for n in range(project.frames))
    shelf = Shelf(project.folder, 5 * size)
    filling = Filling(shelf, lambda: False, lambda line: None)
    filling.look(Look("a", project, 0, None))
    until(lambda: ("a", 3, 0) in shelf)
    until(lambda: filling._at is None)
    assert ("a", 0, 0) in shelf
    assert ("a", 11, 0) not in shelf
    filling.close()
    shelf.close()


def test_the_file_of_a_shelf_has_no_name(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    shelf.put(("a", 0, 0), b"x")
    assert list(tmp_path.iterdir()) == []
    shelf.close()
