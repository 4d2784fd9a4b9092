"""A bar for the bytes of an upload, and a spinner for what the platform makes of them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def upload_progress(name: str, size_bytes: int) -> Iterator[Callable[[int], None]]:
    """Gives what is to be called with each piece's length; shows nothing when stderr is no terminal."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console  # noqa: PLC0415 - slow to import, and pipes never need it
    from rich.progress import (  # noqa: PLC0415 - the same
        BarColumn,
        DownloadColumn,
        Progress,
        SpinnerColumn,
        TextColumn,
        TransferSpeedColumn,
    )

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(f"Uploading {name}", total=size_bytes)
        done_bytes = 0

        def sent(count_bytes: int) -> None:
            nonlocal done_bytes
            done_bytes += count_bytes
            progress.advance(task, count_bytes)
            if done_bytes >= size_bytes:
                progress.update(task, description=f"Building the image of {name}")

        yield sent
