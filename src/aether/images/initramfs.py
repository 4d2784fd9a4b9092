"""The first file system of a guest: the agent as `/init`, and the modules it loads."""

from __future__ import annotations

from pathlib import Path

from aether.images import cpio

EMPTY_FOLDERS = ("proc", "sys", "dev", "lower", "rw", "newroot")


def write_initramfs(target: Path, agent: Path, modules: Path | None) -> None:
    """Write the archive. Without `modules`, for a kernel that has everything built in.

    It is not compressed: boots with gzip, LZ4 and neither took the same time (1.0 s to the agent, TCG).
    """
    entries = [cpio.folder(name) for name in EMPTY_FOLDERS]
    entries += [cpio.folder("lib"), cpio.folder("lib/modules")]
    # The kernel opens it for the agent's standard streams before anything is mounted.
    entries.append(cpio.character_device("dev/console", 5, 1))
    names = (modules / "modules.list").read_text().split() if modules else []
    listing = "".join(f"/lib/modules/{name}\n" for name in names)
    entries.append(cpio.regular("modules.list", listing.encode()))
    entries += [
        cpio.regular(f"lib/modules/{name}", (modules / name).read_bytes()) for name in names if modules
    ]
    entries.append(cpio.regular("init", agent.read_bytes(), 0o755))
    with target.open("wb") as out:
        cpio.write_archive(out, entries)
