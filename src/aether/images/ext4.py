"""Read-only ext4 images of a folder, as small as they go, owned by root inside, made by anybody."""

from __future__ import annotations

import os
from pathlib import Path

from aether.images.errors import SetupFailed
from aether.images.host import tool
from aether.images.progress import Step

BLOCK = 4096
INODE = 256
SPARE_INODES = 16
"""The first eleven are the file system's own."""

BLOCKS_PER_GROUP = 8 * BLOCK
SLACK_BLOCKS = 48
GROWTH = 1.05
TRIES = 6

# Features named one by one, so that the image doesn't depend on the host's mke2fs.conf. No journal
# and no checksums: the image never changes, and every check costs time in the guest.
FEATURES = "none,extent,filetype,dir_index,sparse_super,large_file,flex_bg,ext_attr"
UUID = "ae7e0000-0000-4000-8000-000000000001"
FIXED_TIME_S = 1_700_000_000
"""In place of every time, so that the same files make the same image."""

TIMES = ("atime", "ctime", "mtime", "crtime")
FIELDS = (
    {"uid": "0", "gid": "0"}
    | dict.fromkeys(TIMES, f"@{FIXED_TIME_S}")
    | dict.fromkeys([f"{name}_extra" for name in TIMES], "0")
)
"""Of every inode."""


def make_image(tree: Path, image: Path, label: str, step: Step) -> None:
    """Write `image` with the content of `tree`, everything owned by 0:0. Raises SetupFailed."""
    paths = sorted(tree.rglob("*"))
    for path in [*paths, tree]:
        os.utime(path, (FIXED_TIME_S, FIXED_TIME_S), follow_symlinks=False)
    inodes = len(paths) + SPARE_INODES
    blocks = estimate_blocks(paths, inodes)
    for attempt in range(TRIES):
        try:
            format_image(tree, image, label, step, blocks=blocks, inodes=inodes)
            break
        except SetupFailed:
            if attempt == TRIES - 1:
                raise
            blocks = int(blocks * GROWTH)
    give_to_root(tree, paths, image, step)


def estimate_blocks(paths: list[Path], inodes: int) -> int:
    """What the content takes, and the file system's own tables."""
    content = 0
    for path in paths:
        if path.is_symlink():
            continue
        content += 1 if path.is_dir() else -(-path.stat().st_size // BLOCK)
    tables = -(-inodes * INODE // BLOCK)
    groups = content // BLOCKS_PER_GROUP + 1
    return content + tables + groups * 8 + SLACK_BLOCKS


def format_image(tree: Path, image: Path, label: str, step: Step, *, blocks: int, inodes: int) -> None:
    image.unlink(missing_ok=True)
    step.run(
        [
            tool("mkfs.ext4"), "-q", "-F", "-b", str(BLOCK), "-I", str(INODE), "-N", str(inodes), "-m", "0",
            "-O", FEATURES, "-U", UUID, "-L", label, "-E", f"root_owner=0:0,hash_seed={UUID}",
            "-d", tree, image, str(blocks),
        ],
        env={"E2FSPROGS_FAKE_TIME": str(FIXED_TIME_S), "MKE2FS_CONFIG": "/dev/null"},
    )  # fmt: skip


def give_to_root(tree: Path, paths: list[Path], image: Path, step: Step) -> None:
    """mkfs copies our own user id and the time of making; both are set in the image itself."""
    script = ["rmdir /lost+found"]
    for path in [*paths, tree]:
        name = "/" if path == tree else f"/{path.relative_to(tree).as_posix()}"
        if '"' in name or "\n" in name:
            raise SetupFailed(f"a root filesystem can't have this name in it: {name!r}")
        script += [f'sif "{name}" {field} {value}' for field, value in FIELDS.items()]
    commands = image.with_name(f"{image.name}.debugfs")
    commands.write_text("\n".join(script) + "\n")
    try:
        said = step.run(
            [tool("debugfs"), "-w", "-f", commands, image], env={"E2FSPROGS_FAKE_TIME": str(FIXED_TIME_S)}
        )
    finally:
        commands.unlink()
    # debugfs ends with 0 whatever happened; it says every command, and then what went wrong.
    complaints = [line for line in said.splitlines() if line and not line.startswith("debugfs")]
    if complaints:
        raise SetupFailed(f"debugfs could not finish {image.name}: {complaints[0]}")
