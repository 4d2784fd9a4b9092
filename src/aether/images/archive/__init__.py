"""Unpacking a stranger's archive into a directory, so that nothing of it lands anywhere else.

- `limits`: how much is accepted
- `tree`: the directory being filled; every rule about names, links and kinds is there
- `zip_reader`, `tar_reader`: the two formats, giving entries to the tree
"""

from __future__ import annotations

import errno
import gzip
import lzma
import tarfile
import zipfile
import zlib
from pathlib import Path

from aether.domain.errors import ArchiveRejected, DiskFull
from aether.images.archive.limits import ArchiveLimits
from aether.images.archive.tar_reader import unpack_tar_gz
from aether.images.archive.tree import Tree
from aether.images.archive.zip_reader import unpack_zip

__all__ = ["ArchiveLimits", "Tree", "unpack"]

_ZIP_MAGIC = (b"PK\x03\x04", b"PK\x05\x06")
_GZIP_MAGIC = b"\x1f\x8b"
_DAMAGE = (
    zipfile.BadZipFile,
    tarfile.TarError,
    gzip.BadGzipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    UnicodeError,
    NotImplementedError,
    ValueError,
)


def unpack(archive: Path, into: Path, limits: ArchiveLimits, filename: str | None = None) -> Tree:
    """Fill the empty directory `into` from a zip or tar.gz, told apart by content, not by name.

    Raises ArchiveRejected naming the entry, TooLarge, or DiskFull. What was unpacked until then
    stays for the caller to remove.
    """
    shown = repr(filename) if filename else "the archive"
    size_bytes = archive.stat().st_size
    if size_bytes == 0:
        raise ArchiveRejected(f"{shown} is empty")
    tree = Tree(into, limits, archive_bytes=size_bytes)
    with archive.open("rb", buffering=0) as file:
        magic = file.read(4)
        file.seek(0)
        try:
            if magic in _ZIP_MAGIC:
                unpack_zip(file, tree)
            elif magic.startswith(_GZIP_MAGIC):
                unpack_tar_gz(file, tree)
            else:
                raise ArchiveRejected(
                    f"{shown} is neither a zip nor a tar.gz", hint="pack the code as .zip or .tar.gz"
                )
            tree.finish()
        except _DAMAGE as error:
            raise ArchiveRejected(
                f"{shown} is damaged or cut short{tree.at()}: {error or 'unexpected end'}"
            ) from error
        except MemoryError as error:
            raise ArchiveRejected(f"{shown} needs too much memory to unpack{tree.at()}") from error
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise DiskFull("no room left to unpack the archive") from error
            raise ArchiveRejected(
                f"{shown} can't be unpacked{tree.at()}: {error.strerror or error}"
            ) from error
    if tree.file_count == 0:
        raise ArchiveRejected(f"{shown} has no files in it")
    return tree
