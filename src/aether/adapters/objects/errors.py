"""The stores' errors told as ours."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from obstore.exceptions import BaseError

from aether.domain.errors import DiskFull, StoreUnavailable

NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
NO_ROOM_TEXTS = (*(f"(os error {number})" for number in NO_ROOM), "XMinioStorageFull")
"""How obstore words it; the last is the S3 error code of a MinIO server with a full disk."""


@contextmanager
def translated() -> Iterator[None]:
    """Raises DiskFull, StoreUnavailable, and KeyError for an object that isn't there."""
    try:
        yield
    except FileNotFoundError as error:
        raise KeyError(str(error).partition("\n")[0]) from error
    except BaseError as error:
        if any(text in str(error) for text in NO_ROOM_TEXTS):
            raise DiskFull("the code store is full", hint="free some space there") from error
        first_line = str(error).partition("\n")[0]
        raise StoreUnavailable(f"the code store does not answer: {first_line}") from error
    except OSError as error:
        raise_if_full(error, "the code store is full")
        raise StoreUnavailable(f"the code store can't be used: {error}") from error


def raise_if_full(error: OSError, message: str) -> None:
    if error.errno in NO_ROOM:
        raise DiskFull(message, hint="free some space there") from error
