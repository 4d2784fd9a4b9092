"""Uploads to `aether up`: killed in the middle, without room, and large."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import socket
import subprocess
import tarfile
import tempfile
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from tests.e2e.conftest import Up, User, assert_nothing_left, files_left, platform, start, until

pytestmark = [pytest.mark.vm, pytest.mark.slow]

MIB = 1 << 20
HELLO = {"handler.js": "module.exports = () => 'old'"}
NEW = b"module.exports = () => 'new'"


def tar_of(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", compresslevel=1) as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def upload(up: Up, name: str, content: bytes) -> httpx.Response:
    return up.http.post(f"/api/functions/{name}/code", content=content, headers={"X-Filename": "code"})


def begin_upload(up: Up, name: str, content: bytes, size_bytes: int) -> socket.socket:
    """Sends `content` as the beginning of a body of that size."""
    url = httpx.URL(up.url)
    raw = socket.create_connection((url.host, url.port), timeout=30)
    key = up.http.headers["authorization"]
    head = f"POST /api/functions/{name}/code HTTP/1.1\r\nHost: x\r\nAuthorization: {key}\r\n"
    raw.sendall(f"{head}Content-Length: {size_bytes}\r\n\r\n".encode() + content)
    return raw


def half_received(up: Up) -> bool:
    return any(path.stat().st_size >= MIB for path in (up.data_dir / "work").glob("upload-*"))


def half_unpacked(up: Up) -> bool:
    return any((up.data_dir / "work").glob("code-image-*/tree/m/*"))


def test_killed_in_the_middle_of_uploads_the_next_start_is_clean(user):
    """One is half received and one half unpacked, and it looks as if a third was being stored."""
    many = {"handler.js": NEW} | {f"m/{number}": os.urandom(1_000) for number in range(5_000)}
    content = tar_of(many)
    first = start(user, _owned(user) / "data")
    first.deploy("hello", HELLO)
    before = first.http.get("/api/functions/hello").json()["code_sha256"]
    with begin_upload(first, "hello", content[: len(content) // 2], len(content)):
        until(lambda: half_received(first))
        with begin_upload(first, "hello", content, len(content)):
            until(lambda: half_unpacked(first))
            unpacking = _children(first)
            first.stop(signal.SIGKILL)
    assert files_left(first.data_dir) != []
    (first.data_dir / "function-code" / ".code.ext4.0a1b2c3d.partial").write_bytes(b"")
    until(lambda: not any(Path(f"/proc/{process}").exists() for process in unpacking), 5.0)
    second = start(user, first.data_dir)
    try:
        assert list((second.data_dir / "work").iterdir()) == []
        stored = {path.name for path in (second.data_dir / "function-code").rglob("*") if path.is_file()}
        assert stored == {"code.ext4", f"{before}.ext4"}
        assert second.call("hello").text == "old"
        assert upload(second, "hello", tar_of({"handler.js": NEW})).status_code == 200
        assert second.call("hello").text == "new"
    finally:
        assert second.stop() == 0
    assert_nothing_left(second)


def _owned(user: User) -> Path:
    base = Path(tempfile.mkdtemp(prefix="o-", dir=user.home))
    base.chmod(0o777)
    return base


def _children(up: Up) -> list[int]:
    text = Path(f"/proc/{up.process.pid}/task/{up.process.pid}/children").read_text()
    return [int(word) for word in text.split()]


@contextlib.contextmanager
def small_disk(user: User, size_mib: int) -> Iterator[Path]:
    base = _owned(user)
    options = f"size={size_mib}m,mode=0777"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(base)], check=True)
    try:
        yield base
    finally:
        subprocess.run(["umount", str(base)], check=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small file system")
def test_without_room_an_upload_is_507_and_the_platform_serves_on(user):
    with small_disk(user, 64) as base:
        up = start(user, base / "data")
        try:
            up.deploy("hello", HELLO)
            assert up.call("hello").text == "old"
            free = os.statvfs(base).f_bavail * 4096
            (base / "filler").write_bytes(bytes(free - 5 * MIB))
            noise = os.urandom(8 * MIB)
            for size, stage in ((2 * MIB, "code image"), (3 * MIB, "unpack"), (8 * MIB, "keep")):
                answer = upload(up, "hello", tar_of({"handler.js": NEW, "noise": noise[:size]}))
                assert (answer.status_code, answer.json()["error"]["code"]) == (507, "disk_full"), size
                assert stage in answer.json()["error"]["message"]
                assert files_left(up.data_dir / "work") == []
                assert up.call("hello").text == "old"
            (base / "filler").unlink()
            assert upload(up, "hello", tar_of({"handler.js": NEW, "noise": noise})).status_code == 200
            assert up.call("hello").text == "new"
        finally:
            assert up.stop() == 0
        assert_nothing_left(up)


THROWS = """
let waiting = 0;
setInterval(() => {
  if (waiting === 2) Promise.reject(new RangeError('nobody awaits this'));
}, 20);
module.exports = async (request) => {
  if (new URL(request.url).pathname === '/fine') return process.env.AETHER_INSTANCE;
  waiting += 1;
  await new Promise(() => {});
};
"""


def test_a_rejection_of_no_call_fails_the_running_requests_and_the_next_gets_a_fresh_instance(up):
    up.deploy("throws", {"handler.js": THROWS})
    first = up.call("throws", "/fine").text
    answers: list[httpx.Response] = []
    callers = [threading.Thread(target=lambda: answers.append(up.call("throws", "/hang"))) for _ in range(2)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(60)
    assert [answer.status_code for answer in answers] == [502, 502]
    for answer in answers:
        error = answer.json()["error"]
        assert error["code"] == "instance_failed"
        assert "RangeError: nobody awaits this" in error["hint"]
        assert "handler.js:4" in error["hint"]
    again = up.call("throws", "/fine")
    assert again.status_code == 200, again.text
    assert again.text != first


def _large(kind: str, path: Path) -> None:
    """100 MB that don't compress, in 30,000 files."""
    if kind == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("handler.js", NEW)
            for number in range(30_000):
                archive.writestr(_package_file(number), os.urandom(3_400))
        return
    with tarfile.open(path, "w:gz", compresslevel=1) as archive:
        for number in range(-1, 30_000):
            content = NEW if number < 0 else os.urandom(3_400)
            entry = tarfile.TarInfo("handler.js" if number < 0 else _package_file(number))
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))


def _package_file(number: int) -> str:
    return f"node_modules/@scope/package-{number % 400}/dist/lib-{number % 7}/module-{number}.js"


def _peak_mib(process: int) -> int:
    rows = Path(f"/proc/{process}/status").read_text().splitlines()
    return next((int(row.split()[1]) // 1024 for row in rows if row.startswith("VmHWM")), 0)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_a_hundred_megabytes_in_thirty_thousand_files_take_bounded_memory(user, tmp_path, kind):
    archive = tmp_path / "archive"
    _large(kind, archive)
    size_mib = archive.stat().st_size // MIB
    assert size_mib >= 95
    with platform(user, "data") as up:
        up.deploy("hello", HELLO)
        before, peaks, done = _peak_mib(up.process.pid), [0], threading.Event()

        def watch() -> None:
            while not done.wait(0.02):
                for child in _children(up):
                    with contextlib.suppress(OSError):
                        peaks.append(_peak_mib(child))

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            with archive.open("rb") as body:
                answer = up.http.post("/api/functions/hello/code", content=body, timeout=200)
        finally:
            done.set()
            watcher.join()
        assert answer.status_code == 200, answer.text
        grown = _peak_mib(up.process.pid) - before
        print(f"{kind}: {size_mib} MiB; the platform grew by {grown} MiB, the child took {max(peaks)} MiB")
        assert grown < 48
        assert 0 < max(peaks) < 256
        assert up.call("hello").text == "new"
