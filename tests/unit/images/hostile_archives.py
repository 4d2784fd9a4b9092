"""Archives that must not get in, made byte by byte; each with what its refusal has to say."""

from __future__ import annotations

import gzip
import io
import os
import stat
import struct
import tarfile
import zipfile

SYMLINK, HARD, FIFO, DEVICE = tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE
LINK_MODE = stat.S_IFLNK | 0o777
BLOCK = 512


def zip_bytes(*entries, method=zipfile.ZIP_DEFLATED) -> bytes:
    """Entries are (name, content) or (ZipInfo, content)."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in entries:
            archive.writestr(name, content)
    return buffer.getvalue()


def info(name, mode=0o100644, system=3) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, (2024, 5, 6, 7, 8, 10))
    entry.create_system, entry.external_attr = system, mode << 16
    return entry


def tar_entry(name, content=b"", kind=tarfile.REGTYPE, link="", mode=0o644):
    entry = tarfile.TarInfo(name)
    entry.size, entry.type, entry.linkname, entry.mode = len(content), kind, link, mode
    return entry, content


def tar_bytes(*entries) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for entry, content in entries:
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def header(name=b"f", size=0, *, kind=b"0", link=b"") -> bytes:
    """One block of a tar; `size` in bytes of the field as it is, or a number."""
    length = size if isinstance(size, bytes) else b"%011o\0" % size
    fields = name.ljust(100, b"\0") + b"0000644\0" * 3 + length + b"00000000000\0" + b" " * 8 + kind
    block = (fields + link.ljust(100, b"\0") + b"ustar\00000").ljust(BLOCK, b"\0")
    return block[:148] + b"%06o\0 " % sum(block) + block[156:]


def padded(content: bytes) -> bytes:
    return content + bytes(-len(content) % BLOCK)


def extended(content: bytes, kind=b"x") -> bytes:
    """A header that says more of the next, which is not checked for being right."""
    return header(b"extended", len(content), kind=kind) + padded(content)


def record(keyword: bytes, value: bytes) -> bytes:
    rest = b" %s=%s\n" % (keyword, value)
    length = len(rest)
    while len(rest) + len(str(length)) != length:
        length = len(rest) + len(str(length))
    return b"%d%s" % (length, rest)


def raw_tar(*blocks: bytes) -> bytes:
    return gzip.compress(b"".join(blocks) + bytes(2 * BLOCK), 1)


def pax(keyword: bytes, value: bytes, **fields) -> bytes:
    """A tar of one entry with a pax override."""
    return raw_tar(extended(record(keyword, value)), header(**fields))


def overlapping() -> bytes:
    """Two entries of the directory that lead to one file's data: what makes small bombs big."""
    content = zip_bytes((info("a"), b"x" * 1000))
    end = content.rindex(b"PK\x05\x06")
    central = content[content.index(b"PK\x01\x02") : end]
    twice = content[:end] + central + content[end:]
    at = end + len(central)
    head = struct.unpack_from("<4s4H2LH", twice, at)
    return twice[:at] + struct.pack("<4s4H2LH", *head[:3], 2, 2, 2 * len(central), head[6], 0)


def encrypted() -> bytes:
    content = bytearray(zip_bytes(("secret", b"x")))
    content[6] |= 1
    content[content.index(b"PK\x01\x02") + 8] |= 1
    return bytes(content)


NOISE = os.urandom(5_000)

HOSTILE = {
    "empty file": (b"", "empty"),
    "no known format": (b"Rar!\x1a\x07 and so on", "neither a zip nor a tar.gz"),
    "plain tar": (gzip.decompress(tar_bytes(tar_entry("a", b"x"))), "neither"),
    "gzip of no tar": (gzip.compress(b"hello " * 1000), "damaged"),
    "truncated zip": (zip_bytes(("a", NOISE))[:3000], "damaged"),
    "truncated tar": (tar_bytes(tar_entry("a", NOISE))[:3000], "damaged"),
    "zip without entries": (zip_bytes(), "no files"),
    "tar without entries": (tar_bytes(), "no files"),
    "only directories": (zip_bytes(("a/", b""), ("b/", b"")), "no files"),
    "absolute": (zip_bytes(("/etc/passwd", b"x")), "'/etc/passwd' has an absolute path"),
    "absolute in tar": (tar_bytes(tar_entry("/etc/passwd", b"x")), "'/etc/passwd' has an absolute path"),
    "parent": (zip_bytes(("a/../../outside/victim", b"x")), "'a/../../outside/victim' has '..' in its path"),
    "parent in tar": (tar_bytes(tar_entry("../outside/victim", b"x")), "victim' has '..' in its path"),
    "backslashes": (zip_bytes(("..\\outside\\victim", b"x")), "backslash"),
    "control characters": (zip_bytes(("a\nb", b"x")), "control characters"),
    "nul in a name": (
        zip_bytes(("abXcd", b"x")).replace(b"abXcd", b"ab\0cd"),
        "'ab\\x00cd' has control characters",
    ),
    "link out": (zip_bytes((info("l", LINK_MODE), "../outside")), "'l' is a link that leaves the archive"),
    "link to absolute": (tar_bytes(tar_entry("l", kind=SYMLINK, link="/etc")), "'l' is a link that leaves"),
    "link out from below": (tar_bytes(tar_entry("a/l", kind=SYMLINK, link="../../outside")), "leaves"),
    "link out by way of links": (
        tar_bytes(
            tar_entry("a/b/c/up", kind=SYMLINK, link="../../.."),
            tar_entry("out", kind=SYMLINK, link="a/b/c/up/../outside"),
            tar_entry("f", b"x"),
        ),
        "'out' is a link that leaves the archive",
    ),
    "empty link": (zip_bytes((info("l", LINK_MODE), "")), "unusable target"),
    "long link": (zip_bytes((info("l", LINK_MODE), "a" * 3000)), "unusable target"),
    "write through link": (
        tar_bytes(tar_entry("d/x", b"1"), tar_entry("l", kind=SYMLINK, link="d"), tar_entry("l/y", b"2")),
        "'l/y' goes through 'l', a symlink",
    ),
    "write over link": (
        tar_bytes(tar_entry("l", kind=SYMLINK, link="d"), tar_entry("l", b"2")),
        "'l' is there twice",
    ),
    "write through file": (
        tar_bytes(tar_entry("f", b"1"), tar_entry("f/y", b"2")),
        "'f/y' goes through 'f', a file",
    ),
    "nested names in zip": (zip_bytes(("f", b"1"), ("f/y", b"2")), "'f/y' goes through 'f', a file"),
    "nested names the other way": (zip_bytes(("f/y", b"1"), ("f", b"2")), "'f' is there twice"),
    "hard link out": (tar_bytes(tar_entry("h", kind=HARD, link="../outside/victim")), "'..'"),
    "hard link to absolute": (tar_bytes(tar_entry("h", kind=HARD, link="/etc/passwd")), "absolute"),
    "hard link to nothing": (tar_bytes(tar_entry("h", kind=HARD, link="later")), "no file of the archive"),
    "hard link to link": (
        tar_bytes(tar_entry("l", kind=SYMLINK, link="x"), tar_entry("h", kind=HARD, link="l")),
        "'h' is a hard link to no file of the archive",
    ),
    "fifo": (tar_bytes(tar_entry("p", kind=FIFO)), "'p' is a device, a FIFO"),
    "device": (tar_bytes(tar_entry("d", kind=DEVICE)), "'d' is a device"),
    "fifo in zip": (zip_bytes((info("p", stat.S_IFIFO | 0o644), "")), "'p' is a device, a FIFO"),
    "device in zip": (zip_bytes((info("d", stat.S_IFBLK | 0o644), "")), "'d' is a device"),
    "twice": (tar_bytes(tar_entry("a", b"1"), tar_entry("./a", b"2")), "'a' is there twice"),
    "by case": (zip_bytes(("Readme", b"1"), ("README", b"2")), "'README' differs from 'Readme' only by case"),
    "directories by case": (zip_bytes(("Lib/a", b"1"), ("lib/b", b"2")), "only by case"),
    "by normalization": (zip_bytes(("caf\u00e9", b"1"), ("cafe\u0301", b"2")), "only by case"),
    "too deep": (zip_bytes(("d/" * 200 + "f", b"1")), "directories deep"),
    "long part": (zip_bytes(("x" * 256, b"1")), "longer than 255 bytes"),
    "long path": (zip_bytes((("y" * 200 + "/") * 6, b"1")), "longer than 1024 bytes"),
    "names itself": (zip_bytes((info("./."), b"1")), "names no file"),
    "encrypted": (encrypted(), "'secret' is encrypted"),
    "overlapping": (overlapping(), "overlaps"),
    "no UTF-8 in zip": (
        zip_bytes(("n\u00e4me", b"x")).replace("n\u00e4me".encode(), b"n\xff\xfeme"),
        "utf-8",
    ),
    "no UTF-8 in tar": (raw_tar(header(b"n\xe4me")), "not UTF-8"),
    "no UTF-8 in a pax path": (pax(b"path", b"n\xe4me"), "not UTF-8"),
    "no UTF-8 in a link": (raw_tar(header(kind=b"2", link=b"n\xe4me")), "not UTF-8"),
    "pax path to the parent": (pax(b"path", b"../x", name=b"fine"), "'../x' has '..' in its path"),
    "pax path to absolute": (pax(b"path", b"/etc/x", name=b"fine"), "'/etc/x' has an absolute path"),
    "pax link to absolute": (pax(b"linkpath", b"/etc", kind=b"2", link=b"fine"), "leaves the archive"),
    "global path for all": (
        raw_tar(extended(record(b"path", b"x"), b"g"), header(), header(b"other")),
        "global header in the archive sets 'path'",
    ),
    "long name to the parent": (raw_tar(extended(b"../x\0", b"L"), header(b"fine")), "'..' in its path"),
    "long link to absolute": (raw_tar(extended(b"/x\0", b"K"), header(kind=b"2")), "leaves the archive"),
}

MANY = 5_000
LONG = 1 << 20

PATHOLOGICAL = {
    "size below zero": (raw_tar(header(size=b"\xff" * 11 + b"\0")), "size is negative"),
    "size by pax below zero": (pax(b"size", b"-512"), "wrong size"),
    "size by pax that is no number": (pax(b"size", b"1e9"), "wrong size"),
    "size by pax of too many digits": (pax(b"size", b"9" * 100_000), "wrong size"),
    "extended size below zero": (raw_tar(header(size=b"\xff" * 12, kind=b"x"), header()), "negative"),
    "time that is no number": (pax(b"mtime", b"nan"), "wrong time"),
    "octal that is none": (raw_tar(header(size=b"0000000009z\0")), "size is no number"),
    "pax chain": (raw_tar(*[extended(record(b"path", b"a"))] * MANY, header()), "two extended headers"),
    "long name chain": (raw_tar(*[extended(b"a\0", b"L")] * MANY, header()), "two extended headers"),
    "pax of digits": (raw_tar(extended(b"9" * (LONG - BLOCK)), header()), "without a length"),
    "pax of short records": (
        raw_tar(extended(b"2 " * (LONG // 2 - BLOCK) + b"="), header()),
        "wrong length",
    ),
    "pax length of zero": (raw_tar(extended(b"0 path=x\n"), header()), "wrong length"),
    "pax length past its end": (raw_tar(extended(b"99 path=x\n"), header()), "wrong length"),
    "pax without an end": (raw_tar(extended(b"8 path=x"), header()), "wrong length"),
    "long extended header": (raw_tar(extended(b"x" * (LONG + 1))), "longer than 1048576"),
    "extended header at the end": (raw_tar(extended(record(b"path", b"a"))), "has no entry"),
    "extended header cut": (gzip.compress(header(b"x", 2000, kind=b"x") + bytes(100)), "unexpected end"),
    "wrong checksum": (gzip.compress(header().replace(b"f", b"g", 1)), "checksum is wrong"),
    "old sparse": (raw_tar(header(kind=b"S")), "'f' is a sparse file"),
    "pax sparse": (pax(b"GNU.sparse.major", b"1"), "'f' is a sparse file"),
    "kind nobody knows": (raw_tar(header(kind=b"Z")), "unknown kind"),
}
"""Made for a reader that is careless with numbers, recursion or time."""
