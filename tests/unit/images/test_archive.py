"""Archives as people make them."""

import gzip
import io
import os
import shutil
import stat
import subprocess
import tarfile
import zipfile

import pytest

from aether.images.archive import ArchiveLimits, unpack


@pytest.fixture
def source(tmp_path):
    """A project as an author has it."""
    root = tmp_path / "source"
    (root / "node_modules/.bin").mkdir(parents=True)
    (root / "node_modules/tool").mkdir()
    (root / "handler.js").write_text("module.exports = () => 'hi'\n")
    (root / "node_modules/tool/cli.js").write_text("#!/usr/bin/env node\n")
    (root / "node_modules/tool/cli.js").chmod(0o755)
    (root / "node_modules/.bin/tool").symlink_to("../tool/cli.js")
    (root / "private.json").write_text("{}")
    (root / "private.json").chmod(0o600)
    (root / "setuid").write_text("x")
    (root / "setuid").chmod(0o6755)
    (root / "gr\u00fc\u00dfe.txt").write_text("hallo")
    (root / "empty").mkdir()
    for path in (root / "handler.js", root):
        os.utime(path, (1_700_000_000, 1_700_000_000))
    return root


def by_tar(source, archive):
    subprocess.run(["tar", "-C", source, "-czf", archive, "."], check=True)


def by_tarfile_pax(source, archive):
    with tarfile.open(archive, "w:gz", format=tarfile.PAX_FORMAT) as tar:
        for name in sorted(path.name for path in source.iterdir()):
            tar.add(source / name, name)


def by_zipfile(source, archive):
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as out:
        for path in sorted(source.rglob("*")):
            name = str(path.relative_to(source))
            status = path.lstat()
            info = zipfile.ZipInfo(name + "/" * path.is_dir(), (2023, 11, 14, 22, 13, 20))
            info.external_attr = status.st_mode << 16
            link = str(path.readlink()) if path.is_symlink() else None
            out.writestr(info, link if link is not None else path.read_bytes() if path.is_file() else b"")


@pytest.mark.parametrize("pack", [by_tar, by_tarfile_pax, by_zipfile])
def test_project_comes_out_as_it_went_in(tmp_path, source, pack):
    archive, into = tmp_path / "archive", tmp_path / "tree"
    pack(source, archive)
    into.mkdir()
    tree = unpack(archive, into, ArchiveLimits())
    names = {str(path.relative_to(source)) for path in source.rglob("*")}
    assert {str(path.relative_to(into)) for path in into.rglob("*")} == names
    assert (into / "handler.js").read_text() == (source / "handler.js").read_text()
    assert str((into / "node_modules/.bin/tool").readlink()) == "../tool/cli.js"
    assert (into / "handler.js").stat().st_mtime == 1_700_000_000
    assert tree.file_count == 5
    modes = {path.name: stat.S_IMODE(path.lstat().st_mode) for path in into.rglob("*")}
    assert modes["cli.js"] == modes["setuid"] == 0o755
    assert modes["handler.js"] == modes["private.json"] == 0o644
    assert modes["empty"] == modes["node_modules"] == 0o755


def test_hard_links_stay_links(tmp_path, source):
    os.link(source / "handler.js", source / "same.js")
    archive, into = tmp_path / "archive", tmp_path / "tree"
    by_tar(source, archive)
    into.mkdir()
    unpack(archive, into, ArchiveLimits())
    assert (into / "same.js").samefile(into / "handler.js")


def test_odd_but_right_archives_are_taken(tmp_path):
    """Repeated directories, several gzip members, and a zip made where there are no modes."""
    part = io.BytesIO()
    with tarfile.open(fileobj=part, mode="w") as tar:
        for name in ("d", "d"):
            entry = tarfile.TarInfo(name)
            entry.type = tarfile.DIRTYPE
            tar.addfile(entry)
        tar.addfile(tarfile.TarInfo("./d//f"))
    raw = part.getvalue()
    archive, into = tmp_path / "archive", tmp_path / "tree"
    archive.write_bytes(gzip.compress(raw[:1000]) + gzip.compress(raw[1000:]))
    into.mkdir()
    assert unpack(archive, into, ArchiveLimits()).is_file(("d", "f"))
    shutil.rmtree(into)
    into.mkdir()
    with zipfile.ZipFile(archive, "w") as out:
        entry = zipfile.ZipInfo("d/f")
        entry.create_system, entry.external_attr = 0, 0xFFFF0000
        out.writestr(entry, b"x")
    assert unpack(archive, into, ArchiveLimits()).is_file(("d", "f"))


LONG_NAME = "/".join(["d" * 90, "\u00e9" * 40, "f" * 90])


@pytest.mark.parametrize("format_", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("name", ["plain", "e" * 99, LONG_NAME[:130], LONG_NAME])
def test_names_of_any_length_come_by_every_format_of_tar(tmp_path, format_, name):
    archive, into = tmp_path / "archive", tmp_path / "tree"
    with tarfile.open(archive, "w:gz", format=format_) as tar:
        entry, link = tarfile.TarInfo(name), tarfile.TarInfo("link")
        entry.size, entry.mtime, entry.mode = 700, 1_600_000_000, 0o755
        link.type, link.linkname = tarfile.SYMTYPE, name
        try:
            tar.addfile(entry, io.BytesIO(b"x" * 700))
            tar.addfile(link)
        except ValueError:
            assert format_ == tarfile.USTAR_FORMAT
            return
    into.mkdir()
    tree = unpack(archive, into, ArchiveLimits())
    assert tree.file_count == 1
    assert (into / "link").read_bytes() == b"x" * 700
    assert (into / name).stat().st_mtime == 1_600_000_000
    assert os.access(into / name, os.X_OK)


def test_what_git_archive_makes_is_taken(tmp_path, source):
    """It begins with a global header, which holds the commit's id as a comment."""
    git = ["git", "-C", str(source), "-c", "user.name=a", "-c", "user.email=a@example.org"]
    archive, into = tmp_path / "archive", tmp_path / "tree"
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "all"]):
        subprocess.run([*git, *words], check=True)
    subprocess.run([*git, "archive", "--format=tar.gz", "-o", str(archive), "HEAD"], check=True)
    into.mkdir()
    unpack(archive, into, ArchiveLimits())
    assert (into / "node_modules/.bin/tool").read_text() == "#!/usr/bin/env node\n"


def test_zip64_is_taken(tmp_path):
    """With 64-bit sizes in its headers, as tools write that stream."""
    archive, into = tmp_path / "archive", tmp_path / "tree"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as out:
        with out.open("handler.js", "w", force_zip64=True) as file:
            file.write(b"x" * 70_000)
        with out.open(zipfile.ZipInfo("second"), "w", force_zip64=True) as file:
            file.write(b"y")
    assert b"\x01\x00\x10\x00" in archive.read_bytes()  # the extra field
    into.mkdir()
    unpack(archive, into, ArchiveLimits())
    assert (into / "handler.js").read_bytes() == b"x" * 70_000
    assert (into / "second").read_bytes() == b"y"


@pytest.mark.slow
def test_zip64_with_more_entries_than_16_bits_count_is_taken(tmp_path):
    archive, into = tmp_path / "archive", tmp_path / "tree"
    with zipfile.ZipFile(archive, "w") as out:
        for number in range(66_000):
            out.writestr(zipfile.ZipInfo(f"f{number}"), b"")
    assert b"PK\x06\x06" in archive.read_bytes()  # the directory's 64-bit end
    into.mkdir()
    tree = unpack(archive, into, ArchiveLimits())
    assert tree.file_count == 66_000
