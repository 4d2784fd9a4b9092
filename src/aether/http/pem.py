"""PEM files for TLS, so that half of a pair, or a file that is just being written, does no harm."""

import contextlib
import os
import ssl
from collections.abc import Iterator
from pathlib import Path

Stamp = tuple[tuple[int, int, int], ...]


def stamps(*paths: Path) -> Stamp:
    """What changes when a file does, links followed: certificates are often links to the newest."""
    return tuple(_stamp(path) for path in paths)


def _stamp(path: Path) -> tuple[int, int, int]:
    try:
        told = path.stat()
    except OSError:
        return (0, 0, 0)
    return (told.st_mtime_ns, told.st_ino, told.st_size)


def load_pair(context: ssl.SSLContext, chain: bytes, key: bytes) -> None:
    """Have it show that certificate. Raises SSLError, or ValueError when the key needs a passphrase."""
    with _as_file(chain) as chain_file, _as_file(key) as key_file:
        context.load_cert_chain(chain_file, key_file, _no_password)


@contextlib.contextmanager
def _as_file(data: bytes) -> Iterator[str]:
    """A file in memory: OpenSSL reads files only, and the originals may change between two reads."""
    descriptor = os.memfd_create("certificate", os.MFD_CLOEXEC)
    try:
        os.write(descriptor, data)
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)


def _no_password() -> str:
    """OpenSSL would ask on the terminal."""
    raise ValueError("the key is encrypted; take its passphrase off")
