"""Released weights brought to this machine: got, checked by loading them, and kept under their name."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from rotoscope.errors import CheckpointError, InputError, RotoscopeError, shown
from rotoscope.methods import method_class, released
from rotoscope.weights.arrays import INDEX, tensorflow_prefix
from rotoscope.weights.catalogue import CATALOGUE, Entry, find
from rotoscope.weights.download import check_address, download
from rotoscope.weights.limits import check_archive, check_size
from rotoscope.weights.load import SUFFIXES, open_file
from rotoscope.weights.pretrained import read_tensors
from rotoscope.weights.released import BEGINNINGS, RELEASED, HostedWeights
from rotoscope.weights.store import PLAIN_NAME, Kept, file_hash, home_of, kept
from rotoscope.weights.web import Order, Patience

MOST_OF_OTHERS = 2**30
"""Bytes of a file at an address that a user gives, for a method whose authors released none."""


@dataclass(frozen=True)
class Request:
    """What to fetch, and from where.

    Attributes:
        name: the name of the weights in the catalogue.
        source: an address, or the path of a file; None for where the authors host it.
        cache: the folder to keep it in; None for the user's cache folder.
        sha256: the SHA-256 that the file must have, in hexadecimal; None takes any, and records it.
        progress: called with the bytes that are here, and with how many there will be, or None.
        note: called with a line on what a user may want to know.
        patience: how long a server may take.
    """

    name: str
    source: str | None = None
    cache: Path | None = None
    sha256: str | None = None
    progress: Callable[[int, int | None], None] = lambda done, total: None
    note: Callable[[str], None] = lambda line: None
    patience: Patience = field(default_factory=Patience)

    @property
    def entry(self) -> Entry:
        """Of the catalogue.

        Raises:
            InputError: no such name, or one that nothing is released for.
        """
        if self.name in BEGINNINGS:
            summary = f"what training may begin with; trained on {BEGINNINGS[self.name].trained}"
            return Entry(self.name, "", "none by itself", None, None, 0.0, summary, "", None)
        entry = find(self.name)
        if entry.file is not None:
            raise InputError(f"{self.name}: comes with this package; there is nothing to fetch.")
        return entry

    @property
    def released(self) -> HostedWeights | None:
        """What its authors released."""
        return RELEASED.get(self.name) or BEGINNINGS.get(self.name)

    @property
    def home(self) -> Path:
        """The folder that it is kept in."""
        return home_of(self.name, self.cache)

    @property
    def url(self) -> str | None:
        """The address to ask; None if the source is a file.

        Raises:
            InputError: there is none, as the file is got by hand, or nothing was released.
        """
        if self.source is not None:
            return self.source if re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", self.source) else None
        if self.released is None:
            raise InputError(
                f"{self.name}: its authors released no weights. Train it, or pass a file of yours with --from FILE."
            )
        if self.released.url is None:
            raise InputError(f"{self.name}: {self.released.by_hand}: rotoscope fetch {self.name} --from FILE.")
        return self.released.url

    def check(self) -> None:
        """See, before anything is asked or touched, whether this can be done.

        Raises:
            InputError: it cannot.
        """
        if self.entry and self.url is not None:
            check_address(self.url)
        elif not Path(str(self.source)).exists() and tensorflow_prefix(Path(str(self.source))) is None:
            raise InputError(f"{self.source}: no such file.")


def fetch(request: Request) -> Kept:
    """Bring weights to this machine, in place of earlier ones of that name.

    They are got into a folder beside the one they are kept in, checked there by loading them strictly, and then take
    its place in one step. What was got of a file before a failure stays, and a later call goes on from there.

    Raises:
        InputError: there is nothing to fetch, or from no such place.
        DownloadError: the server does not give the file.
        CheckpointError: it is not what it should be.
        RotoscopeError: it cannot be written.
    """
    request.check()
    home = request.home
    staging = home.with_name(f"{home.name}.part")
    with _told(home):
        staging.mkdir(parents=True, exist_ok=True)
        got = _get(request, staging)
        try:
            digest, size = file_hash(got), sum(p.stat().st_size for p in _files_of(got))
            theirs = request.released if request.source is None else None
            if theirs is not None and not digest.startswith(theirs.hash_begins):
                raise CheckpointError(
                    f"{request.name}: the hash is {digest}, not {theirs.hash_begins}… as it should be."
                )
            if request.sha256 not in (None, digest):
                raise CheckpointError(
                    f"{request.name}: the file has the hash {digest}, not {request.sha256}. Nothing was kept. Get it "
                    f"from its authors' page, or accept it: remove {home} and run again."
                )
            ready = staging / "ready"
            shutil.rmtree(ready, ignore_errors=True)
            ready.mkdir()
            opened = _unpack(request, got, ready)
            check_weights(request.entry, ready / opened if opened else ready)
            files = {path.name: file_hash(path) for path in _files_of(ready)}
            source = request.url or Path(str(request.source)).name
            Kept(ready, opened, source, digest, size, files).save()
        except RotoscopeError:
            shutil.rmtree(staging)
            raise
        _take_place(ready, home)
        shutil.rmtree(staging)
    fetched = kept(request.name, request.cache)
    assert fetched is not None
    return fetched


@contextmanager
def _told(home: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise RotoscopeError(
            f"{home}: cannot be written ({error.strerror or error}). Make room, or choose a folder with --cache."
        ) from None


def _get(request: Request, staging: Path) -> Path:
    """The file, or folder, that was asked for, in a folder of ours, under a plain name."""
    released, url = request.released, request.url
    if url is not None:
        theirs = released if request.source is None else None
        folder = staging / hashlib.sha256(url.encode()).hexdigest()[:12]  # what came of another file is another's
        folder.mkdir(exist_ok=True)
        target = folder / (theirs.file if theirs is not None else _plain(Path(urlsplit(url).path).name))
        if not target.exists():  # got whole before, but not kept
            hosts = theirs.hosts if theirs is not None else (str(urlsplit(url).hostname),)
            most = released.most if released is not None else MOST_OF_OTHERS
            order = Order(url, hosts, most, patience=request.patience, progress=request.progress, note=request.note)
            download(order, target)
        return target
    return _copy(request, Path(str(request.source)), staging / "copied")


def _copy(request: Request, source: Path, folder: Path) -> Path:
    """A file of the user's, or the files of a folder that belong to a checkpoint, copied."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    prefix = tensorflow_prefix(source)
    if prefix is None and source.is_file():
        check_size(source)
        return Path(shutil.copyfile(source, folder / _plain(source.name)))
    home = source if prefix is None else prefix.parent
    wanted = [path for path in _files_of(home) if _is_part(request, path, prefix)] if home.is_dir() else []
    if not wanted:
        raise InputError(f"{source}: is not a released checkpoint of {request.entry.method}. Give the file itself.")
    for path in wanted:
        check_size(path)
        shutil.copyfile(path, folder / _plain(path.name))
    return folder


def _is_part(request: Request, path: Path, prefix: Path | None) -> bool:
    """Whether a file in a folder is one of those that a checkpoint consists of."""
    if prefix is not None:
        return path.name == f"{prefix.name}{INDEX}" or path.name.startswith(f"{prefix.name}.data-")
    return path.name in _released_files(request.entry)


def _released_files(entry: Entry) -> tuple[str, ...]:
    """Names of the files that a method's authors released in a folder; empty if it is one file."""
    return tuple(released(entry.method).files.values()) if entry.method else ()


def _unpack(request: Request, got: Path, ready: Path) -> str:
    """Bring what is opened into a folder; of an archive only the files that are known are taken, wherever they lie.

    Returns: the name of what is opened; empty if that is the folder.

    Raises:
        CheckpointError: an archive without them, or one that would unpack to much more than it is.
    """
    if got.is_file() and _is_archive(got):
        _extract(request, got, ready)
    else:
        for path in _files_of(got):
            os.replace(path, ready / path.name)
    names = sorted(path.name for path in _files_of(ready))
    indices = [name for name in names if name.endswith(INDEX)]
    files = _released_files(request.entry)
    if files and set(files) <= set(names):
        return ""
    if len(indices) == 1:
        return indices[0].removesuffix(INDEX)
    if len(names) != 1:
        raise CheckpointError(
            f"{got.name}: holds {len(names)} files of weights, not one. Give the one with --from FILE."
        )
    return names[0]


def _is_archive(path: Path) -> bool:
    """Whether a file is an archive of files of weights, and not itself one, which may be an archive too."""
    if path.suffix == ".npz" or not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return not any(name.endswith("/data.pkl") for name in archive.namelist())


def _extract(request: Request, got: Path, ready: Path) -> None:
    files = _released_files(request.entry)
    try:
        with zipfile.ZipFile(got) as archive:
            check_archive(got, archive, got.stat().st_size)
            for entry in archive.infolist():
                name = entry.filename.rsplit("/", 1)[-1]
                of_tensorflow = name.endswith(INDEX) or re.search(r"\.data-\d+-of-\d+$", name)
                wanted = name in files if files else Path(name).suffix in SUFFIXES or of_tensorflow
                if wanted and PLAIN_NAME.fullmatch(name):
                    with archive.open(entry) as packed, (ready / name).open("wb") as unpacked:
                        shutil.copyfileobj(packed, unpacked, 2**20)
    except (zipfile.BadZipFile, ValueError, EOFError, NotImplementedError) as error:
        raise CheckpointError(f"{got.name}: damaged ({shown(error)}). Get the file again.") from None


def check_weights(entry: Entry, path: Path) -> None:
    """Load weights strictly with the method of a name, and see that they are of that variant of it.

    Raises:
        CheckpointError: they are not.
    """
    if not entry.method:  # of no network of ours: training sees what of it fits
        read_tensors(path)
        return
    try:
        model = open_file(path, entry.method)
    except RotoscopeError as error:
        text = str(error).removeprefix(f"{path}: ")
        raise type(error)(f"{entry.name}: the file is not kept: {path.name}: {text}") from None
    cls = method_class(entry.method)
    for other in CATALOGUE.values():
        for name in set(other.config) - set(cls.inference_options) if other.method == entry.method else ():
            expected = entry.config.get(name, getattr(cls.config_class(), name))
            value = getattr(model.config, name)
            if value != expected:
                raise CheckpointError(
                    f"{entry.name}: the file is not kept: it is of another network, whose {name} is {value}, not "
                    f"{expected}."
                )


def _take_place(ready: Path, home: Path) -> None:
    """A folder takes another's place; the other is removed afterwards."""
    old = home.with_name(f"{home.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if home.exists():
        os.replace(home, old)
    os.replace(ready, home)
    shutil.rmtree(old, ignore_errors=True)


def _files_of(path: Path) -> list[Path]:
    """A folder's plain files, by name; or the file itself."""
    return sorted(p for p in path.iterdir() if p.is_file()) if path.is_dir() else [path]


def _plain(name: str) -> str:
    """A name that is safe to write: letters, digits, dots, dashes."""
    plain = re.sub(r"[^A-Za-z0-9._-]", "_", name).lstrip(".")[-90:].lstrip(".")
    return plain or "weights.pth"
