"""The cache of built images.

An image is a folder `{kind}-{recipe}-{content}`: `recipe` is a hash over what it is made from and
how, `content` one over what came out. A folder gets its name by a rename when it is whole, so a
folder that is there is the index: nothing half-built can ever be found.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

GENERATIONS_KEPT = 3
"""Older ones may be in use by a platform that is running; even older ones are removed."""

BUILDING = ".building-"
KEY_LENGTH = 12
LOCK_POLL_S = 0.2


def default_cache_dir() -> Path:
    """`$XDG_CACHE_HOME/aether`, or `~/.cache/aether`."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if Path(base).is_absolute() else Path.home() / ".cache") / "aether"


def recipe_of(*parts: str | Path) -> str:
    """A hash over texts and files; a folder stands for all files in it, with their names."""
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, str):
            digest.update(f"text {len(part)}\0{part}".encode())
            continue
        for path in sorted(part.rglob("*")) if part.is_dir() else [part]:
            if path.is_file() and "__pycache__" not in path.parts:
                content = path.read_bytes()
                name = path.relative_to(part).as_posix()
                digest.update(f"file {name}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()[:KEY_LENGTH]


def content_of(folder: Path) -> str:
    """Sha256 over the files of a folder and their names."""
    digest = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        with path.open("rb") as file:
            inner = hashlib.file_digest(file, "sha256").hexdigest()
        digest.update(f"{path.relative_to(folder).as_posix()}\0{inner}\n".encode())
    return digest.hexdigest()


class ImageStore:
    """The folder of built images, `{cache_dir}/images`."""

    def __init__(self, cache_dir: Path) -> None:
        self.root = cache_dir / "images"

    def find(self, kind: str, recipe: str) -> Path | None:
        """The newest image of that recipe."""
        found = self.root.glob(f"{kind}-{recipe}-*")
        return max(found, key=lambda path: path.stat().st_mtime_ns, default=None)

    def build(self, kind: str, recipe: str, build: Callable[[Path], None]) -> Path:
        """Have `build` fill a folder, then give it its name. Call with the lock held."""
        self.root.mkdir(parents=True, exist_ok=True)
        # A name of its own each time: children of a set-up that was killed may still be writing to theirs.
        folder = Path(tempfile.mkdtemp(prefix=f"{BUILDING}{kind}-", dir=self.root))
        build(folder)
        content = content_of(folder)
        (folder / "record.json").write_text(json.dumps({"kind": kind, "recipe": recipe, "digest": content}))
        settle(folder)
        final = self.root / f"{kind}-{recipe}-{content[:KEY_LENGTH]}"
        if final.exists():  # the same again: it is as good as ours
            shutil.rmtree(folder)
            os.utime(final)
        else:
            folder.rename(final)
            flush(self.root)
        return final

    def remove_old(self, kinds: Iterable[str]) -> None:
        """Remove old generations. Call with the lock held."""
        for kind in kinds:
            made = [p for p in self.root.glob(f"{kind}-*-*") if p.name.rsplit("-", 2)[0] == kind]
            made.sort(key=lambda path: path.stat().st_mtime_ns, reverse=True)
            for old in made[GENERATIONS_KEPT:]:
                shutil.rmtree(old, ignore_errors=True)

    @contextlib.contextmanager
    def lock(self, waiting: Callable[[], None]) -> Iterator[None]:
        """Only one set-up at a time; `waiting` is called once if another one has it."""
        self.root.mkdir(parents=True, exist_ok=True)
        for folder in (self.root.parent, self.root):
            folder.chmod(0o755)  # a VMM that gave up root reads the images too
        with (self.root / ".lock").open("w") as file:
            told = False
            while True:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if not told:
                        waiting()
                    told = True
                    time.sleep(LOCK_POLL_S)
            yield  # the kernel lets go of the lock with the file, however we end


def digest_recorded(image: Path) -> str:
    """The content's digest of an image that `build` made."""
    record = json.loads((image / "record.json").read_text())
    return str(record["digest"])


def settle(folder: Path) -> None:
    """On disk before it gets its name, and readable by whoever runs a VMM, whatever our umask is."""
    for path in [*folder.rglob("*"), folder]:
        if path.is_symlink():
            continue
        executable = path.is_dir() or path.stat().st_mode & 0o100
        path.chmod(0o755 if executable else 0o644)
        flush(path)


def flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
