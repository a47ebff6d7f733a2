"""Where a batch keeps what: results by job, and its own files in one hidden folder."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rotoscope.batches.jobs import BatchJob
from rotoscope.errors import InputError
from rotoscope.files import atomic_write, inside, text_of
from rotoscope.runs.earlier import REPORT

OWN = ".batch"


@dataclass(frozen=True)
class Places:
    """The folder of a batch.

    Attributes:
        folder: as the user chose it. Results of job ``a/b`` are in ``folder/a/b``; nothing is there before it is whole.
    """

    folder: Path

    @property
    def own(self) -> Path:
        """The batch's own files."""
        return inside(self.folder, OWN)

    @property
    def journal(self) -> Path:
        """The journal's file."""
        return inside(self.folder, OWN, "journal.sqlite")

    def results(self, job: BatchJob) -> Path:
        """Where the results of a job go when they are whole.

        Raises:
            InputError: the name leads out of the folder.
        """
        return inside(self.folder, *job.name.split("/"))

    def work(self, job: BatchJob) -> Path:
        """Where a job's results grow; the same for all its attempts, so that the next goes on from the last."""
        code = hashlib.sha256(job.name.encode()).hexdigest()[:16]
        return inside(self.folder, OWN, "work", code)

    def commit(self, job: BatchJob, identity: str) -> None:
        """Move finished results into place in one step; the mark that they are whole is their ``run.json``.

        What an earlier batch had there moves aside first and is removed afterwards.
        """
        work, place = self.work(job), self.results(job)
        record = work / REPORT
        facts = json.loads(text_of(record) or "{}")
        facts["report"]["folder"] = str(place)
        facts["batch"] = {"identity": identity, "job": json.loads(job.as_text())}
        with atomic_write(record) as path:
            path.write_text(json.dumps(facts, indent=1), encoding="utf-8")
        place.parent.mkdir(parents=True, exist_ok=True)
        aside = work.with_name(f"{work.name}.old")
        shutil.rmtree(aside, ignore_errors=True)
        if place.exists():
            os.replace(place, aside)
        os.replace(work, place)
        shutil.rmtree(aside, ignore_errors=True)

    def committed(self, job: BatchJob) -> dict[str, Any] | None:
        """What ``run.json`` of a job's finished results says; None if there is none, or it is not a batch's.

        Raises:
            InputError: something else lies where its results would go.
        """
        place = self.results(job)
        text = text_of(place / REPORT)
        facts: dict[str, Any] = {}
        try:
            facts = json.loads(text) if text is not None else {}
            identity, report = facts["batch"]["identity"], facts["report"]
        except (ValueError, KeyError, TypeError):
            if place.exists() and (not place.is_dir() or any(place.iterdir())):
                raise InputError(
                    f"{place}: holds something that no batch wrote. Choose another folder, or rename the job."
                ) from None
            return None
        return {"identity": identity, "report": report}
