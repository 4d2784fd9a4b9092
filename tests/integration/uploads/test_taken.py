"""Archives that are right: what of them arrives, and what of uploads at the same time."""

from __future__ import annotations

import asyncio
import io
import os
import re
import tarfile
import zipfile

from tests.integration.platform.conftest import archive
from tests.integration.uploads.conftest import debugfs, image_of, stored
from tests.unit.images.hostile_archives import SYMLINK, tar_bytes, tar_entry


def mode(image, name):
    return re.search(r"Mode: +(\d+)", debugfs(image, f"stat {name}"))[1]


async def test_bits_and_links_survive_and_setuid_is_dropped(platform):
    content = tar_bytes(
        tar_entry("handler.js", b"1"),
        tar_entry("node_modules/tool/cli.js", b"#!", mode=0o755),
        tar_entry("node_modules/.bin/tool", kind=SYMLINK, link="../tool/cli.js"),
        tar_entry("su", b"x", mode=0o6755),
        tar_entry("sticky", b"x", mode=0o1644),
    )
    function_id = await platform.deploy("hello", content)
    image = image_of(platform, function_id)
    assert mode(image, "/node_modules/tool/cli.js") == mode(image, "/su") == "0755"
    assert mode(image, "/handler.js") == mode(image, "/sticky") == "0644"
    assert 'Fast link dest: "../tool/cli.js"' in debugfs(image, "stat /node_modules/.bin/tool")
    assert "lost+found" not in debugfs(image, "ls /")


async def test_zip64_is_taken(platform):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as out, out.open("handler.js", "w", force_zip64=True) as file:
        file.write(b"zip64")
    function_id = await platform.deploy("hello", buffer.getvalue())
    assert debugfs(image_of(platform, function_id), "cat /handler.js") == "zip64"


def noisy(text: str, size_bytes: int) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", compresslevel=0) as tar:
        for name, content in (("handler.js", text.encode()), ("noise", os.urandom(size_bytes))):
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


async def test_of_two_uploads_at_once_the_last_to_finish_wins_whole(platform):
    """The one that begins first is held back in the middle of its body until the other is answered."""
    function_id = await platform.deploy("hello")
    slow, half_sent, other_done = noisy("// slow", 300_000), asyncio.Event(), asyncio.Event()

    async def body():
        yield slow[:150_000]
        half_sent.set()
        await other_done.wait()
        yield slow[150_000:]

    async def first():
        return await platform.client.post("/api/functions/hello/code", content=body())

    async with asyncio.TaskGroup() as group:
        begun_first = group.create_task(first())
        await half_sent.wait()
        quick = await platform.upload("hello", noisy("// quick", 10_000))
        assert debugfs(image_of(platform, function_id), "cat /handler.js") == "// quick"
        other_done.set()
    last = begun_first.result()
    assert (quick.status_code, last.status_code) == (200, 200)
    now = (await platform.client.get("/api/functions/hello")).json()
    assert now["code_sha256"] == last.json()["sha256"]
    assert debugfs(image_of(platform, function_id), "cat /handler.js") == "// slow"
    assert (await platform.client.get("/functions/hello")).status_code == 200


async def test_uploads_at_once_leave_one_of_them_whole(platform):
    function_id = await platform.deploy("hello")
    texts = [f"// {number}" for number in range(4)]
    answers = await asyncio.gather(*(platform.upload("hello", noisy(text, 50_000)) for text in texts))
    by_sha = dict(zip((answer.json()["sha256"] for answer in answers), texts, strict=True))
    now = (await platform.client.get("/api/functions/hello")).json()
    assert debugfs(image_of(platform, function_id), "cat /handler.js") == by_sha[now["code_sha256"]]
    assert now["revision"] == 6


async def test_a_client_that_goes_in_the_middle_leaves_nothing(platform):
    await platform.deploy("hello")
    before, files = (
        (await platform.client.get("/api/functions/hello")).json()["code_sha256"],
        stored(platform),
    )
    host, port = platform.client.base_url.host, platform.client.base_url.port
    _, writer = await asyncio.open_connection(host, port)
    key = platform.client.headers["authorization"]
    head = f"POST /api/functions/hello/code HTTP/1.1\r\nHost: x\r\nAuthorization: {key}\r\n"
    writer.write(f"{head}Content-Length: 9000000\r\n\r\n".encode() + archive()[:100] + bytes(3_000_000))
    await writer.drain()
    await platform.until(lambda: list((platform.data_dir / "work").glob("upload-*")))
    writer.close()
    await platform.until(lambda: stored(platform) == files)
    assert (await platform.client.get("/api/functions/hello")).json()["code_sha256"] == before
