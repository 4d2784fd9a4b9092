"""From what a user points at to the archive that is uploaded.

A folder or a single file becomes a tar.gz: the same content gives the same bytes, whoever packs it
and when, so that the platform can tell that nothing changed. A zip or tar.gz goes up as it is.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import stat
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from aether.cli.failures import Refused
from aether.cli.ignore import FILE_NAME, Ignore

EPOCH_S = 315532800
"""1980-01-01, the oldest time that zip tools can hold too."""

COMPRESSION = 6
PIECE_BYTES = 64 * 1024
ZIP_MAGIC, GZIP_MAGIC = b"PK\x03\x04", b"\x1f\x8b"


@dataclass(frozen=True, slots=True)
class Package:
    """An archive ready to be read from its start."""

    archive: BinaryIO
    filename: str
    size_bytes: int
    names: frozenset[str]
    """Paths of its files and links, relative, with `/`."""
    package_json: bytes | None
    """Content of the one at the top."""

    def pieces(self) -> Iterator[bytes]:
        """The archive from its start, in pieces of bounded size."""
        self.archive.seek(0)
        while piece := self.archive.read(PIECE_BYTES):
            yield piece

    def sha256(self) -> str:
        """Of the archive, in hexadecimal."""
        digest = hashlib.sha256()
        for piece in self.pieces():
            digest.update(piece)
        return digest.hexdigest()


@contextmanager
def open_package(path: Path) -> Iterator[Package]:
    """Pack `path`; the archive is a temporary file that goes with the context.

    Raises Refused for what can't be uploaded, in words that name the file.
    """
    if path.is_dir():
        with tempfile.TemporaryFile() as archive:
            yield _pack(archive, path, _walk(path))
    elif not path.exists():
        raise Refused(f"There is no {path}.", hint="Give a folder, a file, a zip or a tar.gz.")
    elif _magic(path) in {"zip", "tar.gz"}:
        with path.open("rb") as archive:
            yield _existing(archive, path)
    else:
        with tempfile.TemporaryFile() as archive:
            yield _pack(archive, path.parent, iter([path]))


def _pack(archive: BinaryIO, root: Path, files: Iterator[Path]) -> Package:
    names = set()
    # No file name and no time in the header, and no owner in the entries: only content counts.
    with (
        gzip.GzipFile(filename="", fileobj=archive, mode="wb", compresslevel=COMPRESSION, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w|", format=tarfile.PAX_FORMAT) as tar,
    ):
        for file in files:
            entry = _entry(root, file)
            if not entry.isdir():
                names.add(entry.name)
            if entry.isreg():
                with file.open("rb") as content:
                    tar.addfile(entry, content)
            else:
                tar.addfile(entry)
    if not names:
        raise Refused(f"There are no files in {root}.", hint=f"Does a {FILE_NAME} leave everything out?")
    size_bytes = archive.tell()
    manifest = root / "package.json"
    package_json = manifest.read_bytes() if "package.json" in names and manifest.is_file() else None
    return Package(archive, "code.tar.gz", size_bytes, frozenset(names), package_json)


def _walk(root: Path) -> Iterator[Path]:
    """Everything in the folder that is not ignored, folders before their content, sorted."""
    own = root / FILE_NAME
    ignore = Ignore.of(own.read_text("utf-8", "surrogateescape").splitlines() if own.is_file() else ())
    folders = [root]
    while folders:
        below = []
        for child in sorted(os.scandir(folders.pop()), key=lambda entry: entry.name):
            is_folder = child.is_dir(follow_symlinks=False)
            path = Path(child.path)
            if ignore.ignores(path.relative_to(root).as_posix(), folder=is_folder):
                continue
            yield path
            if is_folder:
                below.append(path)
        folders.extend(reversed(below))


def _entry(root: Path, file: Path) -> tarfile.TarInfo:
    name = file.relative_to(root).as_posix()
    try:
        name.encode()
    except UnicodeEncodeError:
        raise Refused(f"The name of {file!r} is not UTF-8.", hint="Rename the file.") from None
    status = file.lstat()
    entry = tarfile.TarInfo(name)
    entry.mtime = EPOCH_S
    if stat.S_ISLNK(status.st_mode):
        entry.type, entry.linkname = tarfile.SYMTYPE, _link_target(root, file)
    elif stat.S_ISDIR(status.st_mode):
        entry.type, entry.mode = tarfile.DIRTYPE, 0o755
    elif stat.S_ISREG(status.st_mode):
        entry.size = status.st_size
        entry.mode = 0o755 if status.st_mode & stat.S_IXUSR else 0o644
    else:
        raise Refused(
            f"{file} is neither a file, a folder nor a link.",
            hint=f"Remove it, or name it in a {FILE_NAME}.",
        )
    return entry


def _link_target(root: Path, link: Path) -> str:
    target = str(link.readlink())
    inside = os.path.normpath(link.parent.relative_to(root) / target)
    if Path(target).is_absolute() or inside == ".." or inside.startswith("../"):
        raise Refused(
            f"{link} is a link to {target}, outside of what is uploaded.",
            hint=f"Replace it by a copy, or name it in a {FILE_NAME}. "
            "(npm workspaces: npm install --install-links)",
        )
    return target


def _magic(path: Path) -> str:
    with path.open("rb") as file:
        start = file.read(4)
    if start == ZIP_MAGIC:
        return "zip"
    return "tar.gz" if start.startswith(GZIP_MAGIC) else ""


def _existing(archive: BinaryIO, path: Path) -> Package:
    try:
        names, content = _zip_names(archive) if _magic(path) == "zip" else _tar_names(archive)
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, OSError, ValueError) as error:
        raise Refused(f"{path} can't be read as an archive: {error}.") from None
    return Package(archive, path.name, path.stat().st_size, frozenset(names), content)


def _zip_names(archive: BinaryIO) -> tuple[set[str], bytes | None]:
    with zipfile.ZipFile(archive) as opened:
        names = {entry.filename for entry in opened.infolist() if not entry.is_dir()}
        return names, opened.read("package.json") if "package.json" in names else None


def _tar_names(archive: BinaryIO) -> tuple[set[str], bytes | None]:
    names, content = set(), None
    with tarfile.open(fileobj=archive, mode="r|gz") as opened:
        for entry in opened:
            name = entry.name.removeprefix("./")
            if not entry.isdir():
                names.add(name)
            if name == "package.json" and (file := opened.extractfile(entry)) is not None:
                content = file.read()
    return names, content
