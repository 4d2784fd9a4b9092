"""A directory as an ext4 image: no root needed, no bigger than it has to be, the same every time."""

from __future__ import annotations

import os
import stat
import subprocess
from dataclasses import dataclass
from pathlib import Path

from aether.domain.errors import AetherError, DiskFull
from aether.images.ext4_inodes import normalise_inodes

BLOCK_BYTES = 4096
_INODE_BYTES = 256
_INODES_PER_BLOCK = BLOCK_BYTES // _INODE_BYTES
_BLOCKS_PER_GROUP = 8 * BLOCK_BYTES
_RESERVED_INODES = 11
_LOST_AND_FOUND_BLOCKS = 4
_GROUP_BLOCKS = 4
"""Two bitmaps, and in some groups a copy of the superblock and of the group descriptors."""
_DIRECTORY_ENTRY_BYTES = 8
_LONGEST_ENTRY_BYTES = 264
_INLINE_LINK_BYTES = 60
_SLACK_BLOCKS = 32
_TOO_SMALL = ("Could not allocate", "Not enough space to build")
_FIXED_UUID = "6d2c4a3e-5f0b-4c1d-9a7e-0b8f1d2c3e4a"
"""Any constant would do: it is the same in every image, so that equal code is an equal image."""

_FEATURES = "none,extent,filetype,sparse_super,large_file,ext_attr,extra_isize"
"""Only what a drive that is read and never written needs: no journal, no checksums to keep right."""

_MKE2FS_CONF = """[defaults]
base_features = none
[fs_types]
ext4 = {
}
floppy = {
}
small = {
}
default = {
}
"""


@dataclass(frozen=True, slots=True)
class Extent:
    """What a directory takes as ext4."""

    content_blocks: int
    inodes: int

    @property
    def total_blocks(self) -> int:
        """With the file system's own tables, which grow with the number of groups."""
        blocks = self.content_blocks + _SLACK_BLOCKS + self.content_blocks // 256
        groups = 0
        while True:
            per_group = -(-self.inodes // max(groups, 1) // _INODES_PER_BLOCK) + 1
            total = blocks + groups * (_GROUP_BLOCKS + per_group)
            needed = -(-total // _BLOCKS_PER_GROUP)
            if needed <= groups:
                return total
            groups = needed


def measure(tree: Path) -> Extent:
    blocks, seen = _LOST_AND_FOUND_BLOCKS, set[int]()
    for directory, _, _ in os.walk(tree):
        entry_bytes = 0
        with os.scandir(directory) as entries:
            for entry in entries:
                entry_bytes += _DIRECTORY_ENTRY_BYTES + -(-len(os.fsencode(entry.name)) // 4) * 4
                status = entry.stat(follow_symlinks=False)
                if status.st_ino not in seen and not stat.S_ISDIR(status.st_mode):
                    blocks += _file_blocks(status)
                seen.add(status.st_ino)
        # An entry does not cross blocks, so each may waste the longest one.
        blocks += 1 + entry_bytes // (BLOCK_BYTES - _LONGEST_ENTRY_BYTES)
    return Extent(content_blocks=blocks, inodes=_RESERVED_INODES + 2 + len(seen))


def _file_blocks(status: os.stat_result) -> int:
    if stat.S_ISLNK(status.st_mode) and status.st_size < _INLINE_LINK_BYTES:
        return 0
    blocks = -(-status.st_size // BLOCK_BYTES)
    # Four extents fit in the inode; a file over several groups may need a block for more.
    return blocks + blocks // (2 * _BLOCKS_PER_GROUP)


def make_ext4(tree: Path, image: Path) -> int:
    """Write `image`, sparse, with all of `tree` owned by root; its size in bytes.

    Equal trees read in equal order make equal images: identifiers are fixed, and an inode's only
    time is the file's mtime. The order is the host file system's own.

    Raises DiskFull.
    """
    extent = measure(tree)
    blocks = extent.total_blocks
    config = image.with_suffix(".conf")
    try:
        config.write_text(_MKE2FS_CONF)
        while not _mkfs(tree, image, config, blocks, extent.inodes):
            # The estimate holds for contiguous files; should one be split more often, there is room.
            blocks += blocks // 8 + _SLACK_BLOCKS
    finally:
        config.unlink(missing_ok=True)
    _remove_lost_and_found(image)
    normalise_inodes(image)
    return image.stat().st_size


def _remove_lost_and_found(image: Path) -> None:
    """Nothing that a function lists in `/code` is ours. One that the author made stays, if it holds files."""
    command = ["debugfs", "-w", "-R", "rmdir lost+found", str(image)]
    environment = os.environ | {"E2FSPROGS_FAKE_TIME": "1", "LC_ALL": "C"}
    subprocess.run(command, env=environment, capture_output=True, check=True)


def _mkfs(tree: Path, image: Path, config: Path, blocks: int, inodes: int) -> bool:
    """False if the file system was too small for the tree."""
    image.unlink(missing_ok=True)
    with image.open("wb") as file:
        file.truncate(blocks * BLOCK_BYTES)
    options = f"hash_seed={_FIXED_UUID},lazy_itable_init=0,root_owner=0:0"
    command = ["mkfs.ext4", "-q", "-F", "-t", "ext4", "-b", str(BLOCK_BYTES), "-I", str(_INODE_BYTES)]
    command += ["-N", str(inodes), "-m", "0", "-O", _FEATURES, "-U", _FIXED_UUID, "-E", options]
    command += ["-d", str(tree), str(image)]
    environment = os.environ | {"MKE2FS_CONFIG": str(config), "E2FSPROGS_FAKE_TIME": "1", "LC_ALL": "C"}
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if result.returncode == 0:
        return True
    if "No space left on device" in result.stderr:
        raise DiskFull("no room left to make the code image")
    if any(sign in result.stderr for sign in _TOO_SMALL):
        return False
    raise AetherError(f"mkfs.ext4 failed: {result.stderr.strip() or result.returncode}", component="images")
