"""A real Ray with two nodes on loopback: the same masks as one by one, also when a node dies."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import rotoscope
from rotoscope.batches.journal import Journal
from rotoscope.batches.listing import read_jobs
from rotoscope.batches.run import summarise
from rotoscope.errors import InputError

from .conftest import alone, masks_of, write_clip, write_mask

ray = pytest.importorskip("ray", reason='Ray is not installed: pip install "rotoscope[batch]"')


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("RAY_worker_niceness", "0")  # else workers wait for whatever else this machine does
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    yield made
    ray.shutdown()
    made.shutdown()


def test_two_nodes_give_what_segment_gives_and_one_may_die(cluster: Any, tiny_weights: Path, tmp_path: Path) -> None:
    second = cluster.add_node(num_cpus=1)
    root, out = tmp_path / "clips", tmp_path / "out"
    for number in range(4):
        write_clip(root / f"clip{number}", 12, number)
        write_mask(root / f"clip{number}.png")
    (root / "broken.mp4").write_bytes(b"no video")
    jobs = read_jobs(str(root), common={"method": str(tiny_weights)})

    def kill_when_one_is_done(journal: Journal) -> None:
        if journal.counts()["done"] and second in cluster.worker_nodes:
            cluster.remove_node(second, allow_graceful=False)

    summary = rotoscope.batch(
        jobs, out, runner="ray", ray_address=cluster.address, lease=20, on_look=kill_when_one_is_done
    )
    assert second not in cluster.worker_nodes
    assert (summary.done, summary.failed, summary.open) == (4, 1, 0)
    assert list(summary.failures) == ["broken"]
    for job in jobs[1:]:
        assert masks_of(out / job.name) == alone(job, tmp_path / "alone" / job.name, tiny_weights), job.name


def test_more_than_a_cluster_has_is_refused(cluster: Any, clips: Path, tiny_weights: Path, tmp_path: Path) -> None:
    jobs = read_jobs(str(clips), common={"method": str(tiny_weights)})
    with pytest.raises(InputError, match="Ask for less"):
        rotoscope.batch(jobs, tmp_path / "out", runner="ray", ray_address=cluster.address, gpus=1)
    assert summarise(tmp_path / "out").open == 4


def test_no_cluster_at_an_address_is_a_line(clips: Path, tiny_weights: Path, tmp_path: Path) -> None:
    jobs = read_jobs(str(clips), common={"method": str(tiny_weights)})
    begun = time.monotonic()
    with pytest.raises(InputError, match="no Ray cluster"):
        rotoscope.batch(jobs, tmp_path / "out", runner="ray", ray_address="127.0.0.1:1")
    assert time.monotonic() - begun < 240
