"""Where a batch keeps what: results by job, and its own files in one hidden folder."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rotoscope.batches.jobs import PAGE, SUMMARY, BatchJob
from rotoscope.errors import InputError, RotoscopeError, shown
from rotoscope.files import atomic_write, inside, need_folder, text_of
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

    def results(self, job: BatchJob, identity: str = "") -> Path:
        """Where the results of a job go when they are whole; those of a piece wait among the batch's own files.

        Args:
            job: the job.
            identity: of it; asked for with a piece.

        Raises:
            InputError: the name leads out of the folder, or is too long with it.
        """
        if job.piece is not None:
            return inside(self.folder, OWN, "pieces", code_of(identity))
        try:
            return inside(self.folder, *job.name.split("/"))
        except OSError as error:
            raise InputError(
                f"job {shown(job.name, 80)}: cannot lie there ({error.strerror}). Name it otherwise."
            ) from None

    def check_own(self) -> None:
        """See, without touching anything, that the batch's own files can be written when the work is done.

        Raises:
            InputError: something else lies where they would go.
        """
        for name in (SUMMARY, PAGE):
            if (path := inside(self.folder, name)).is_dir():
                raise InputError(
                    f"{path}: is a folder, and the batch writes a file of that name. Choose another folder."
                )
        if self.own.exists() and not self.own.is_dir():
            raise InputError(
                f"{self.own}: is no folder, and the batch keeps its journal in one. Choose another folder."
            )

    def work(self, identity: str) -> Path:
        """Where results grow; the same for all attempts of one identity, so that the next goes on from the last."""
        return inside(self.folder, OWN, "work", code_of(identity))

    def sweep(self, wanted: Iterable[str]) -> None:
        """Remove what grew or waits under identities that nobody is going to ask for.

        Args:
            wanted: the identities that may still be asked for.
        """
        kept = {code_of(identity) for identity in wanted}
        for place in (inside(self.folder, OWN, name) for name in ("work", "pieces")):
            for path in place.iterdir() if place.is_dir() else ():
                if path.name.partition(".")[0] not in kept:
                    shutil.rmtree(path, ignore_errors=True)

    def commit(self, job: BatchJob, identity: str) -> dict[str, Any]:
        """Move finished results into place in one step; the mark that they are whole is their ``run.json``.

        What an earlier batch had there moves aside first and is removed afterwards. Two processes may be here at once,
        where one was taken for dead: whoever gets the work under a name of its own is the one that goes on.

        Returns: what :meth:`committed` does.

        Raises:
            RotoscopeError: the work is gone, as another process has brought it into place.
        """
        work, place = self.work(identity), self.results(job, identity)
        gone = RotoscopeError(f"{work}: another process has brought these results into place.")
        facts = json.loads(text_of(work / REPORT) or "{}")
        if not facts:
            raise gone
        facts["report"]["folder"] = str(place)
        facts["batch"] = {"identity": identity, "job": json.loads(job.as_text())}
        need_folder(place.parent)
        mine = work.with_name(f"{work.name}.{secrets.token_hex(4)}")
        try:
            with atomic_write(work / REPORT) as path:
                path.write_text(json.dumps(facts, indent=1), encoding="utf-8")
            os.rename(work, mine)
            self._bring(mine, place, identity)
        except FileNotFoundError:
            raise gone from None
        return {"identity": identity, "report": facts["report"], "masks": facts["masks"]}

    def adopt(self, identity: str) -> None:
        """Take up results whose process died, or was taken for dead, just before it brought them into place."""
        work = self.work(identity)
        for left in sorted(work.parent.glob(f"{work.name}.????????")) if not work.exists() else ():
            with suppress(OSError):  # its process is alive after all, and was quicker
                os.rename(left, work)
                return

    def _bring(self, mine: Path, place: Path, identity: str) -> None:
        """Give results their place, from which those of another identity move aside.

        Raises:
            FileNotFoundError: they are another process's meanwhile.
        """
        aside = mine.with_name(f"{mine.name}.old")
        while True:
            try:
                os.rename(mine, place)
                break
            except OSError:
                if not mine.exists() or not place.exists():
                    raise
            if _identity_in(place) == identity:  # another process was quicker
                shutil.rmtree(mine, ignore_errors=True)
                return
            with suppress(FileNotFoundError):
                os.rename(place, aside)
        shutil.rmtree(aside, ignore_errors=True)

    def committed(self, job: BatchJob, identity: str = "") -> dict[str, Any] | None:
        """What ``run.json`` of a job's finished results says; None if there is none, or it is not a batch's.

        Returns: ``identity``, ``report``, and ``masks``: the names of the frames.

        Raises:
            InputError: something else lies where its results would go.
        """
        place = self.results(job, identity)
        for _ in range(2):  # a worker may bring the results between the two looks
            try:
                facts: dict[str, Any] = json.loads(text_of(place / REPORT) or "{}")
                return {"identity": facts["batch"]["identity"], "report": facts["report"], "masks": facts["masks"]}
            except (ValueError, KeyError, TypeError):
                if not place.exists() or (place.is_dir() and not any(place.iterdir())):
                    self._check_above(place)
                    return None
        raise InputError(f"{place}: holds something that no batch wrote. Choose another folder, or rename the job.")

    def _check_above(self, place: Path) -> None:
        """See that the folders on the way to a job's results can be made, and are no results themselves.

        Raises:
            InputError: one is a file, or holds results.
        """
        for above in list(place.relative_to(self.folder).parents)[:-1]:
            what = "is no folder"
            try:
                os.stat(self.folder / above / REPORT)
                what = "holds results"
            except FileNotFoundError:
                continue
            except NotADirectoryError:
                pass
            raise InputError(f"{self.folder / above}: {what}, and {place.name} would lie in it. Rename the job.")


def _identity_in(place: Path) -> Any:
    try:
        return json.loads(text_of(place / REPORT) or "{}")["batch"]["identity"]
    except (ValueError, KeyError, TypeError):
        return None


def code_of(identity: str) -> str:
    """A name for a folder of what is done under an identity."""
    return hashlib.sha256(identity.encode()).hexdigest()[:16]
