"""What goes up when a user points at a folder, a file or an archive."""

import io
import os
import socket
import tarfile
import tracemalloc
import zipfile

import pytest

from aether.cli.failures import Refused
from aether.cli.package import open_package


def packed(path):
    with open_package(path) as package:
        data = b"".join(package.pieces())
        assert package.size_bytes == len(data)
        return data


def entries(path):
    with tarfile.open(fileobj=io.BytesIO(packed(path))) as tar:
        return {entry.name: entry for entry in tar}


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "hello"
    (root / "lib").mkdir(parents=True)
    (root / "handler.js").write_text("module.exports = () => 'hi'\n")
    (root / "lib/é.js").write_text("1\n")
    (root / "run.sh").write_text("#!/bin/sh\n")
    (root / "run.sh").chmod(0o700)
    (root / "lib/link.js").symlink_to("../handler.js")
    (root / ".git").mkdir()
    (root / ".git/HEAD").write_text("x")
    return root


def test_folder_is_packed_whole_but_for_what_is_ignored(folder):
    (folder / ".aetherignore").write_text("*.sh\n")
    assert set(entries(folder)) == {"handler.js", "lib", "lib/é.js", "lib/link.js"}


def test_links_and_exec_bits_are_kept_and_owners_are_not(folder):
    found = entries(folder)
    assert found["lib/link.js"].linkname == "../handler.js"
    assert (found["run.sh"].mode, found["handler.js"].mode) == (0o755, 0o644)
    assert {(entry.uid, entry.gid, entry.uname) for entry in found.values()} == {(0, 0, "")}


def test_same_content_gives_the_same_bytes(folder, tmp_path):
    first = packed(folder)
    other = tmp_path / "elsewhere"
    (other / "lib").mkdir(parents=True)
    for name in ("run.sh", "lib/é.js", "handler.js"):
        (other / name).write_bytes((folder / name).read_bytes())
        os.utime(other / name, (1, 1))
    (other / "run.sh").chmod(0o711)
    (other / "lib/link.js").symlink_to("../handler.js")
    assert packed(other) == first


def test_hard_links_become_files_of_their_own(folder):
    os.link(folder / "handler.js", folder / "zz.js")
    assert entries(folder)["zz.js"].isreg()


def test_single_file_is_packed_under_its_own_name(folder):
    assert set(entries(folder / "handler.js")) == {"handler.js"}


@pytest.mark.parametrize("target", ["/etc/passwd", "../../outside", ".."])
def test_link_out_of_the_folder_is_refused_by_name(folder, target):
    (folder / "lib/out").symlink_to(target)
    if target == "..":
        assert entries(folder)["lib/out"].linkname == ".."
        (folder / "up").symlink_to(target)
    with pytest.raises(Refused, match=r"(lib/out|up) is a link to") as raised:
        packed(folder)
    assert ".aetherignore" in raised.value.hint


def test_socket_is_refused_by_name(folder, monkeypatch):
    monkeypatch.chdir(folder)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("sock")
        with pytest.raises(Refused, match="sock is neither"):
            packed(folder)


def test_file_name_that_is_no_utf8_is_refused(folder):
    (folder / os.fsdecode(b"bad\xff")).write_text("x")
    with pytest.raises(Refused, match="not UTF-8"):
        packed(folder)


def test_nothing_to_pack_is_refused(tmp_path):
    with pytest.raises(Refused, match="no files"):
        packed(tmp_path)
    with pytest.raises(Refused, match="There is no"):
        packed(tmp_path / "missing")


def test_archives_go_up_as_they_are(folder, tmp_path):
    zipped = tmp_path / "app.zip"
    with zipfile.ZipFile(zipped, "w") as archive:
        archive.write(folder / "handler.js", "handler.js")
        archive.writestr("package.json", "{}")
    assert packed(zipped) == zipped.read_bytes()
    with open_package(zipped) as package:
        assert (package.filename, package.names, package.package_json) == (
            "app.zip",
            {"handler.js", "package.json"},
            b"{}",
        )
    tarred = tmp_path / "app.tgz"
    tarred.write_bytes(packed(folder))
    assert packed(tarred) == tarred.read_bytes()
    with open_package(tarred) as package:
        assert "lib/é.js" in package.names


@pytest.mark.parametrize("content", [b"PK\x03\x04 and no more", b"\x1f\x8b\x08 and no more"])
def test_broken_archive_is_refused(tmp_path, content):
    (tmp_path / "app.zip").write_bytes(content)
    with pytest.raises(Refused, match=r"app\.zip can't be read as an archive"):
        packed(tmp_path / "app.zip")


def test_memory_stays_bounded(tmp_path):
    with (tmp_path / "big.bin").open("wb") as file:
        file.truncate(64 * 2**20)
    tracemalloc.start()
    try:
        with open_package(tmp_path) as package:
            total = sum(len(piece) for piece in package.pieces())
        assert total == package.size_bytes
        assert tracemalloc.get_traced_memory()[1] < 4 * 2**20
    finally:
        tracemalloc.stop()


def test_temporary_archive_is_gone_afterwards(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with open_package(folder) as package:
        pass
    assert package.archive.closed
    assert sorted(p.name for p in tmp_path.iterdir()) == ["hello"]
