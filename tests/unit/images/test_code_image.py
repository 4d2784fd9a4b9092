import asyncio
import io
import json
import os
import re
import shutil
import struct
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

import aether
from aether.domain.errors import ArchiveRejected, DiskFull, TooLarge
from aether.images.archive import ArchiveLimits
from aether.images.code_image import build_code_image, sweep


def zip_at(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name, (2024, 5, 6, 7, 8, 10)), content)
    return path


@pytest.fixture
def work(tmp_path):
    """The work directory: after each test, only images that were made may be there."""
    path = tmp_path / "work"
    yield path
    assert [each.name for each in path.glob("*") if each.suffix != ".ext4"] == []


def debugfs(image: Path, command: str) -> str:
    return subprocess.run(
        ["debugfs", "-R", command, image], capture_output=True, text=True, check=True
    ).stdout


def check(image: Path) -> tuple[int, int]:
    """The file system is sound; its free blocks and free inodes."""
    subprocess.run(["e2fsck", "-fn", image], capture_output=True, check=True)
    told = subprocess.run(["dumpe2fs", "-h", image], capture_output=True, text=True, check=True).stdout
    free = dict(re.findall(r"Free (blocks|inodes): +(\d+)", told))
    return int(free["blocks"]), int(free["inodes"])


async def test_image_holds_the_files_owned_by_root(tmp_path, work):
    files = {"handler.js": b"hello", "lib/a.js": b"x" * 10_000}
    image = await build_code_image(zip_at(tmp_path / "a.zip", files), "a.zip", "handler.js", work)
    assert image.size_bytes == image.path.stat().st_size
    assert debugfs(image.path, "cat /handler.js") == "hello"
    for name, mode in (("/handler.js", "0644"), ("/lib", "0755"), ("/lib/a.js", "0644"), ("/", "0755")):
        told = debugfs(image.path, f"stat {name}")
        assert re.search(r"User: +0 +Group: +0 ", told), told
        assert f"Mode:  {mode}" in told
    assert "lost+found" not in debugfs(image.path, "ls -l /")
    assert "Size: 10000" in debugfs(image.path, "stat /lib/a.js")
    check(image.path)


async def test_same_archive_is_the_same_image(tmp_path, work):
    files = {f"d{number % 7}/f{number}": bytes([number]) * number for number in range(200)}
    archive = zip_at(tmp_path / "a.zip", {"handler.js": b"1", **files})
    first = await build_code_image(archive, None, "handler.js", work)
    second = await build_code_image(archive, "other name", "handler.js", work)
    assert first.sha256 == second.sha256
    assert first.path.read_bytes() == second.path.read_bytes()
    other = await build_code_image(zip_at(archive, {"handler.js": b"2", **files}), None, "handler.js", work)
    assert other.sha256 != first.sha256


def tar_with(path: Path, files: int, size: int) -> Path:
    with tarfile.open(path, "w:gz", compresslevel=1) as archive:
        for number in range(files):
            entry = tarfile.TarInfo("handler.js" if number == 0 else f"m/{number % 200}/file-{number}.js")
            entry.size = size
            archive.addfile(entry, io.BytesIO(os.urandom(size)))
    return path


@pytest.mark.parametrize(
    ("files", "size"),
    [(1, 0), (50, 1), (3_000, 5_000), (1, 100 << 20), pytest.param(30_000, 100, marks=pytest.mark.slow)],
)
async def test_image_is_sized_to_its_content(tmp_path, work, files, size):
    archive = tar_with(tmp_path / "a.tar.gz", files, size)
    image = await build_code_image(archive, None, "handler.js", work)
    free_blocks, free_inodes = check(image.path)
    assert free_blocks <= 100 + image.size_bytes // 4096 // 50
    assert free_inodes <= 64
    assert image.path.stat().st_blocks * 512 <= image.size_bytes


async def test_wide_directory_and_long_links_fit(tmp_path, work):
    path = tmp_path / "a.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        archive.addfile(tarfile.TarInfo("handler.js"))
        for number in range(600):
            archive.addfile(tarfile.TarInfo(f"{number:03}" + "n" * 250))
            link = tarfile.TarInfo(f"links/{number}")
            link.type, link.linkname = tarfile.SYMTYPE, "d/" * 60 + "f"
            archive.addfile(link)
    image = await build_code_image(path, None, "handler.js", work)
    check(image.path)
    assert len(debugfs(image.path, "ls -p /").splitlines()) >= 600


@pytest.mark.parametrize("entrypoint", ["dist/main.js", "link.js", "./dist/main.js"])
async def test_entrypoint_may_be_anywhere_inside(tmp_path, work, entrypoint):
    path = tmp_path / "a.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        archive.addfile(tarfile.TarInfo("dist/main.js"))
        link = tarfile.TarInfo("link.js")
        link.type, link.linkname = tarfile.SYMTYPE, "dist/main.js"
        archive.addfile(link)
    await build_code_image(path, None, entrypoint, work)


@pytest.mark.parametrize(
    ("files", "entrypoint", "hint"),
    [
        ({"app-main/handler.js": b""}, "handler.js", "app-main/handler.js"),
        ({"index.js": b"", "lib/x": b""}, "handler.js", "index.js, lib"),
        ({f"f{number:02}": b"" for number in range(20)}, "handler.js", "and 12 more"),
        ({"handler.js/x": b""}, "handler.js", "handler.js"),
    ],
)
async def test_missing_entrypoint_hints_at_why(tmp_path, work, files, entrypoint, hint):
    with pytest.raises(ArchiveRejected, match="no entrypoint") as caught:
        await build_code_image(zip_at(tmp_path / "a.zip", files), None, entrypoint, work)
    assert hint in caught.value.hint


async def test_refusals_cross_the_process_whole(tmp_path, work):
    (tmp_path / "a").write_bytes(b"Rar!")
    with pytest.raises(ArchiveRejected, match=r"'a\.rar' is neither") as caught:
        await build_code_image(tmp_path / "a", "a.rar", "handler.js", work)
    assert caught.value.hint
    archive = zip_at(tmp_path / "a.zip", {"handler.js": b"x" * 100})
    with pytest.raises(TooLarge):
        await build_code_image(archive, None, "handler.js", work, ArchiveLimits(total_bytes=10))


async def test_archive_that_costs_too_much_memory_is_refused(tmp_path, work):
    """An LZMA entry may ask for a dictionary of 4 GiB."""
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("handler.js", b"x" * 100)
    content = path.read_bytes()
    properties = content.index(b"\x5d\x00\x00")
    path.write_bytes(content[: properties + 1] + b"\xff\xff\xff\xff" + content[properties + 5 :])
    with pytest.raises(ArchiveRejected, match=r"too much memory|damaged"):
        await build_code_image(path, None, "handler.js", work)


@pytest.mark.slow
async def test_archive_that_fills_the_memory_of_the_process_is_refused(tmp_path, work):
    """More entries than fit as objects, if the limits let them in."""
    content = zip_at(tmp_path / "a.zip", {"handler.js": b""}).read_bytes()
    start, end = content.index(b"PK\x01\x02"), content.index(b"PK\x05\x06")
    count, entry = 4_000_000, content[start:end]
    closing = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 1, 1, count * len(entry), start, 0)
    (tmp_path / "a.zip").write_bytes(content[:start] + entry * count + closing)
    limits = ArchiveLimits(entries=10 * count)
    with pytest.raises(ArchiveRejected, match="too much memory"):
        await build_code_image(tmp_path / "a.zip", None, "handler.js", work, limits)


async def test_cancelled_build_leaves_nothing(tmp_path, work):
    archive = tar_with(tmp_path / "a.tar.gz", 20_000, 100)
    build = asyncio.ensure_future(build_code_image(archive, None, "handler.js", work))
    while not list(work.glob("*/tree/m/*/*")):
        await asyncio.sleep(0)
    build.cancel()
    with pytest.raises(asyncio.CancelledError):
        await build
    assert list(work.iterdir()) == []


def test_sweep_removes_only_leftovers(tmp_path):
    (tmp_path / "code-image-x/tree/deep").mkdir(parents=True)
    (tmp_path / "code-image-y.ext4").write_bytes(b"")
    (tmp_path / "mine").write_bytes(b"")
    sweep(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


CONFINED = """
import ctypes, json, os, resource, socket, sys
from aether.images.confinement import confine
if len(sys.argv) > 1:  # given up here: where the checkout is, that user may not be let in
    user = int(sys.argv[1])
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)
    ctypes.CDLL(None).prctl(4, 1)  # PR_SET_DUMPABLE, as after an exec: else its /proc is root's
confine(memory_bytes=1 << 28, cpu_s=7, file_bytes=1 << 20)
with open("made-here", "wb") as file:
    try:
        file.write(bytes(1 << 21))
        file.flush()
    except OSError as error:
        too_large = error.strerror
interfaces = [name for _, name in socket.if_nameindex()]
print(json.dumps([too_large, resource.getrlimit(resource.RLIMIT_CPU), interfaces]))
"""


@pytest.mark.parametrize("user", [None, 65534])
def test_confined_process_is_bounded_and_has_no_network(tmp_path, user):
    if os.geteuid() != 0 and user is not None:
        pytest.skip("not root: the test runs as an ordinary user anyway")
    tmp_path.chmod(0o777)
    command = [sys.executable, "-c", CONFINED] + ([] if user is None else [str(user)])
    environment = {"PYTHONPATH": str(Path(aether.__file__).parent.parent)}
    result = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    assert json.loads(result.stdout) == ["File too large", [7, 7], ["lo"]]


FULL_DISK = """
import asyncio, sys
from pathlib import Path
import aether
from aether.domain.errors import DiskFull
from aether.images.code_image import build_code_image
try:
    asyncio.run(build_code_image(Path(sys.argv[1]), None, "handler.js", Path(sys.argv[2])))
except DiskFull as error:
    print(error.message, [path.name for path in Path(sys.argv[2]).iterdir()])
"""


@pytest.mark.parametrize(("size_kib", "says"), [(200, "to unpack"), (1500, "code image")])
def test_full_disk_is_told_as_such(tmp_path, size_kib, says):
    """On a real file system of that size, mounted in namespaces of the test's own."""
    if shutil.which("unshare") is None:
        pytest.skip("unshare (util-linux) is not installed: no way to a small file system")
    archive = zip_at(tmp_path / "a.zip", {"handler.js": os.urandom(1 << 20)})
    small = tmp_path / "small"
    small.mkdir()
    mount = f'mount -t tmpfs -o size={size_kib}k tmpfs {small} && exec "$@"'
    python = [sys.executable, "-c", FULL_DISK, str(archive), str(small)]
    command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", mount, "sh", *python]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert says in result.stdout, result
    assert result.stdout.rstrip().endswith("[]")
    assert DiskFull.status == 507


async def test_a_lost_and_found_of_the_authors_own_is_kept(tmp_path, work):
    files = {"handler.js": b"", "lost+found/mine": b"kept"}
    image = await build_code_image(zip_at(tmp_path / "a.zip", files), None, "handler.js", work)
    assert debugfs(image.path, "cat /lost+found/mine") == "kept"
    check(image.path)
