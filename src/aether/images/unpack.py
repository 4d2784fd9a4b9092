"""The process that turns a stranger's archive into an ext4 image: `python -m aether.images.unpack`.

Its one argument is an UnpackOrder as JSON; its one line of output an UnpackReport. It reads
nothing else, has no network where the host allows that, and ends at its limits.
"""

from __future__ import annotations

import hashlib
import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from aether.domain.errors import AetherError, ArchiveRejected, DiskFull, TooLarge
from aether.images.archive import ArchiveLimits, Tree, unpack
from aether.images.archive.names import safe_parts
from aether.images.code_ext4 import make_ext4
from aether.images.confinement import confine

_MEMORY_BYTES = 1 << 30
_CPU_S = 120
_FILE_BYTES = 8 << 30
_SHOWN_NAMES = 8

KNOWN_ERRORS: dict[str, type[AetherError]] = {
    error.code: error for error in (ArchiveRejected, TooLarge, DiskFull, AetherError)
}


@dataclass(frozen=True, slots=True)
class UnpackOrder:
    """`tree` is an empty directory, `image` does not exist yet."""

    archive: str
    filename: str | None
    entrypoint: str
    tree: str
    image: str
    limits: ArchiveLimits

    @classmethod
    def parse(cls, text: str) -> UnpackOrder:
        fields = json.loads(text)
        return cls(**(fields | {"limits": ArchiveLimits(**fields["limits"])}))

    def to_json(self) -> str:
        return json.dumps(asdict(self))


@dataclass(frozen=True, slots=True)
class UnpackReport:
    """An image, or an error by its code."""

    sha256: str = ""
    size_bytes: int = 0
    error: str = ""
    message: str = ""
    hint: str | None = None


def run(order: UnpackOrder) -> UnpackReport:
    try:
        tree = unpack(Path(order.archive), Path(order.tree), order.limits, order.filename)
        require_entrypoint(tree, order.entrypoint)
        image = Path(order.image)
        size_bytes = make_ext4(Path(order.tree), image)
        with image.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except AetherError as error:
        code = error.code if error.code in KNOWN_ERRORS else AetherError.code
        return UnpackReport(error=code, message=error.message, hint=error.hint)
    return UnpackReport(sha256=digest, size_bytes=size_bytes)


def require_entrypoint(tree: Tree, entrypoint: str) -> None:
    """Raises ArchiveRejected with the likeliest reason in the hint."""
    parts = safe_parts(entrypoint, tree.limits.path_bytes)
    # A link may lead to the entrypoint: `finish` has seen that all of them stay inside.
    if tree.is_file(parts) or tree.root.joinpath(*parts).resolve().is_file():
        return
    names = tree.top_level()
    hint = "at its top it has " + ", ".join(names[:_SHOWN_NAMES])
    hint += f" and {len(names) - _SHOWN_NAMES} more" if len(names) > _SHOWN_NAMES else ""
    if len(names) == 1 and tree.is_file((names[0], *parts)):
        hint = (
            f"everything in it is inside the folder {names[0]!r}: pack the folder's content, "
            f"or set the entrypoint to {names[0]}/{entrypoint}"
        )
    raise ArchiveRejected(f"the archive has no entrypoint {entrypoint!r}", hint=hint)


def main() -> None:
    order = UnpackOrder.parse(sys.argv[1])
    confine(memory_bytes=_MEMORY_BYTES, cpu_s=_CPU_S, file_bytes=_FILE_BYTES)
    print(json.dumps(asdict(run(order))))


if __name__ == "__main__":
    main()
