"""The guest's kernel: Debian's cloud kernel, as an uncompressed vmlinux and the modules we load."""

from __future__ import annotations

import gzip
import lzma
import shutil
import struct
import zlib
from pathlib import Path

from aether.images import lz4
from aether.images.arch import Architecture
from aether.images.debian import DebianPackages, unpack
from aether.images.elf import is_elf
from aether.images.errors import SetupFailed
from aether.images.modules import copy_modules
from aether.images.progress import Step

KERNEL_NAME = r"linux-image-\d"
"""Of the package itself, as opposed to the metapackage."""

# Source: the kernel's Documentation/arch/x86/boot.rst (the real-mode header).
SETUP_SECTORS_AT, PAYLOAD_AT = 0x1F1, 0x248
SECTOR = 512
ARM64_IMAGE_MAGIC_AT = 0x38

GZIP = 31
"""zlib's way to say: a gzip header, and the largest window."""


def build_kernel(
    into: Path, packages: DebianPackages, architecture: Architecture, step: Step, work: Path
) -> None:
    """Fill `into` with `vmlinux` and `modules/` (names in load order in `modules.list`)."""
    deb = packages.fetch_newest(architecture.kernel_package, KERNEL_NAME, step)
    step.say(f"unpacking {deb.name.split('_')[0]}: the guest's kernel and its modules")
    try:
        unpack(deb, work, step)
        images = list((work / "boot").glob("vmlinuz-*"))
        releases = list((work / "lib" / "modules").glob("*")) or list((work / "usr/lib/modules").glob("*"))
        if len(images) != 1 or len(releases) != 1:
            raise SetupFailed(f"{deb.name} has {len(images)} kernels and modules of {len(releases)} releases")
        vmlinux = extract(images[0].read_bytes())
        (into / "vmlinux").write_bytes(vmlinux)
        copy_modules(releases[0], into / "modules")
    except (ValueError, OSError, lzma.LZMAError, zlib.error) as error:
        raise SetupFailed(
            f"{deb.name} is not as expected: {error}", hint="set KERNEL_PATH to a vmlinux"
        ) from error
    finally:
        shutil.rmtree(work, ignore_errors=True)


def extract(image: bytes) -> bytes:
    """The uncompressed kernel in a vmlinuz. Raises ValueError when there is none."""
    if image[ARM64_IMAGE_MAGIC_AT : ARM64_IMAGE_MAGIC_AT + 4] == b"ARMd":
        return image  # not compressed; what QEMU and Firecracker boot on that architecture
    if image.startswith(b"\x1f\x8b"):
        return extract(gzip.decompress(image))
    if image[0x202:0x206] != b"HdrS":
        raise ValueError("not a Linux kernel image")
    offset, length = struct.unpack_from("<II", image, PAYLOAD_AT)
    start = (image[SETUP_SECTORS_AT] + 1) * SECTOR + offset
    payload = image[start : start + length]
    kernel = decompress(payload)
    (size,) = struct.unpack("<I", payload[-4:])
    if len(kernel) != size:
        raise ValueError(f"the kernel has {len(kernel)} bytes and should have {size}")
    if not is_elf(kernel):
        raise ValueError("the payload is not an ELF file")
    return kernel


def decompress(payload: bytes) -> bytes:
    """The payload ends with its uncompressed size, which some formats don't have of themselves."""
    if payload.startswith(lz4.MAGIC):
        return lz4.decompress_legacy(payload[:-4])
    if payload.startswith(b"\x1f\x8b"):
        return zlib.decompressobj(wbits=GZIP).decompress(payload)
    if payload.startswith(b"\xfd7zXZ\0"):
        return lzma.LZMADecompressor().decompress(payload)
    raise ValueError(f"the kernel's compression ({payload[:4].hex()}) is none of LZ4, gzip, xz")
