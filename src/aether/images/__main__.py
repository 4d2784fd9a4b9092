"""`python -m aether.images`: set-up with plain lines as progress, for scripts and build servers."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from aether.images.catalog import ImageSettings
from aether.images.errors import SetupFailed
from aether.images.progress import Progress
from aether.images.setup import setup
from aether.images.store import default_cache_dir

TELL_EVERY_S = 5.0
"""A line for each second would be too much in a log."""


class PlainProgress:
    """Prints what is done; and of what takes long, how far it is."""

    def __init__(self) -> None:
        self.told = ("", "")
        self.told_at_s = 0.0

    def __call__(self, progress: Progress) -> None:
        if progress.done:
            print(f"  {progress.step}: {progress.text} ({progress.elapsed_s:.1f} s)", flush=True)
        elif (progress.step, progress.text) != self.told:
            print(f"{progress.step}: {progress.text}", flush=True)
        elif progress.elapsed_s >= self.told_at_s + TELL_EVERY_S:
            print(f"  {progress.step}: {progress.elapsed_s:.0f} s {progress.detail}".rstrip(), flush=True)
        else:
            return
        self.told = (progress.step, progress.text)
        self.told_at_s = progress.elapsed_s


def path_from(name: str) -> Path | None:
    text = os.environ.get(name, "")
    return Path(text).expanduser() if text else None


def main() -> int:
    settings = ImageSettings(kernel_path=path_from("KERNEL_PATH"), runtime_path=path_from("RUNTIME_PATH"))
    cache_dir = path_from("AETHER_CACHE_DIR") or default_cache_dir()
    try:
        setup(cache_dir, PlainProgress(), settings, refresh="--refresh" in sys.argv[1:])
    except SetupFailed as error:
        print(f"error: {error.message}", file=sys.stderr)
        if error.hint:
            print(error.hint, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted: run it again to go on", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
