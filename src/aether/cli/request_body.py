"""`--data` of `aether invoke`: text, a file, or what comes on standard input."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import BinaryIO

PIECE_BYTES = 64 * 1024

Body = bytes | Iterable[bytes] | None


def request_body(data: str | None, *, times: int) -> Callable[[], AbstractContextManager[Body]]:
    """Opens the body for one call; nothing of a file is kept in memory.

    Only what can't be read twice is, when it is needed more than once.
    """
    if data is None or not data.startswith("@"):
        return _constant(None if data is None else data.encode(errors="surrogateescape"))
    path = None if data == "@-" else Path(data[1:])
    if times > 1 and (path is None or not path.is_file()):
        return _constant(sys.stdin.buffer.read() if path is None else path.read_bytes())
    return lambda: _streamed(path)


def _constant(content: bytes | None) -> Callable[[], AbstractContextManager[Body]]:
    @contextmanager
    def opened() -> Iterator[Body]:
        yield content

    return opened


@contextmanager
def _streamed(path: Path | None) -> Iterator[Body]:
    if path is None:
        yield _pieces(sys.stdin.buffer)
    else:
        with path.open("rb") as file:
            # Only a plain file has a length to announce; of anything else it is 0.
            yield file if path.is_file() else _pieces(file)


def _pieces(file: BinaryIO) -> Iterator[bytes]:
    while piece := file.read(PIECE_BYTES):
        yield piece
