import gzip
import lzma
import struct

import pytest

from aether.images import kernel, lz4

VMLINUX = b"\x7fELF\x02\x01" + bytes(range(256)) * 8
SIZE = len(VMLINUX)


def stored(data):
    """LZ4 with literals only."""
    rest = len(data) - 15
    block = b"\xf0" + b"\xff" * (rest // 255) + bytes([rest % 255]) + data
    return lz4.MAGIC + struct.pack("<I", len(block)) + block


def bzimage(payload, size=SIZE):
    """A kernel image by the boot protocol: two setup sectors, and a payload at an offset after them."""
    payload += struct.pack("<I", size)
    head = bytearray(3 * 512)
    head[0x1F1] = 2
    head[0x202:0x206] = b"HdrS"
    struct.pack_into("<II", head, 0x248, 32, len(payload))
    return bytes(head) + bytes(32) + payload + b"signature and the like"


@pytest.mark.parametrize("compress", [stored, gzip.compress, lzma.compress], ids=["lz4", "gzip", "xz"])
def test_the_kernel_comes_out_of_its_image(compress):
    assert kernel.extract(bzimage(compress(VMLINUX))) == VMLINUX


def test_a_kernel_of_the_wrong_length_is_refused():
    with pytest.raises(ValueError, match="should have"):
        kernel.extract(bzimage(stored(VMLINUX), size=5))


def test_an_unknown_compression_is_named():
    with pytest.raises(ValueError, match="28b52ffd"):
        kernel.extract(bzimage(bytes.fromhex("28b52ffd") + bytes(40)))


def test_what_is_no_kernel_is_refused():
    with pytest.raises(ValueError, match="not a Linux kernel"):
        kernel.extract(bytes(4096))


def test_an_arm_image_is_taken_as_it_is():
    image = bytes(0x38) + b"ARMd" + bytes(100)
    assert kernel.extract(gzip.compress(image)) == image
