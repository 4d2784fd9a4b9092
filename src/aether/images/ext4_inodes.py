"""Making the inodes of a fresh ext4 image depend on nothing but the files' content and mtime.

`mkfs.ext4 -d` copies owner and change time of the host's files, which are whoever unpacked them
and when. Offsets are those of the kernel's documentation of ext4, "Super Block", "Block Group
Descriptors" and "Inode Table". Works on images without 64bit and metadata_csum, which ours are.
"""

from __future__ import annotations

import mmap
import struct
from pathlib import Path

_SUPERBLOCK = 1024
_DESCRIPTOR_BYTES = 32
_EXTRA_FIELDS_FROM = 128


def normalise_inodes(image: Path) -> None:
    """Owner root, no sub-second times, and every time of an inode equal to its mtime."""
    with image.open("r+b") as file, mmap.mmap(file.fileno(), 0) as data:
        inodes, blocks, _, _, _, first_block, log_block = struct.unpack_from("<7I", data, _SUPERBLOCK)
        blocks_per_group, _, inodes_per_group = struct.unpack_from("<3I", data, _SUPERBLOCK + 32)
        (inode_bytes,) = struct.unpack_from("<H", data, _SUPERBLOCK + 88)
        block_bytes = 1024 << log_block
        groups = -(-(blocks - first_block) // blocks_per_group)
        descriptors = (first_block + 1) * block_bytes
        for group in range(groups):
            at = descriptors + group * _DESCRIPTOR_BYTES
            _, bitmap, table = struct.unpack_from("<3I", data, at)
            for index in range(min(inodes_per_group, inodes - group * inodes_per_group)):
                if data[bitmap * block_bytes + index // 8] >> (index % 8) & 1:
                    _normalise(data, table * block_bytes + index * inode_bytes)


def _normalise(data: mmap.mmap, inode: int) -> None:
    (mode,) = struct.unpack_from("<H", data, inode)
    if mode == 0:
        return  # reserved, unused
    (mtime,) = struct.unpack_from("<I", data, inode + 16)
    struct.pack_into("<H", data, inode + 2, 0)  # uid
    struct.pack_into("<2I", data, inode + 8, mtime, mtime)  # atime, ctime
    struct.pack_into("<H", data, inode + 24, 0)  # gid
    struct.pack_into("<I", data, inode + 100, 0)  # generation
    struct.pack_into("<2H", data, inode + 120, 0, 0)  # upper halves of uid and gid
    # ctime, mtime and atime beyond the second; creation time and its own beyond
    struct.pack_into("<5I", data, inode + _EXTRA_FIELDS_FROM + 4, 0, 0, 0, mtime, 0)
