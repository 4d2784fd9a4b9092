"""Archives that must not get in: a clear refusal, the old code goes on, and nothing is left on disk."""

from __future__ import annotations

import asyncio
import zipfile

from tests.integration.platform.conftest import archive
from tests.integration.uploads.conftest import stored
from tests.unit.images.hostile_archives import (
    HOSTILE,
    PATHOLOGICAL,
    header,
    raw_tar,
    tar_bytes,
    tar_entry,
    zip_bytes,
)


async def function_of(platform):
    """All of it but how its start goes, which has nothing to do with refused uploads."""
    function = (await platform.client.get("/api/functions/hello")).json()
    return {name: value for name, value in function.items() if name != "rollout"}


async def refuse_all(platform, archives):
    """Uploads each to one function with code; what any answer lacked, and what any changed."""
    await platform.deploy("hello")
    assert (await platform.client.get("/functions/hello")).status_code == 200
    before, files = await function_of(platform), stored(platform)
    wrong = {}
    for case, (content, status, says) in archives.items():
        answer = await platform.client.post(
            "/api/functions/hello/code", content=content, headers={"X-Filename": "code.zip"}
        )
        error = answer.json().get("error", {})
        code = {400: "archive_rejected", 413: "too_large"}[status]
        if (answer.status_code, error.get("code")) != (status, code) or says not in error["message"]:
            wrong[case] = answer.text
        if stored(platform) != files:
            wrong[case] = f"files: {stored(platform)}"
    assert wrong == {}
    assert await function_of(platform) == before
    assert (await platform.client.get("/functions/hello")).status_code == 200


async def test_every_hostile_archive_is_refused(platform):
    await refuse_all(platform, {case: (content, 400, says) for case, (content, says) in HOSTILE.items()})


async def test_every_pathological_tar_is_refused(platform):
    await refuse_all(platform, {case: (content, 400, says) for case, (content, says) in PATHOLOGICAL.items()})


GIB = 1 << 30


def zip_that_declares(size_bytes: int) -> bytes:
    """Small, but its directory says that the entry is large."""
    content = bytearray(zip_bytes(("big", b"x" * 100)))
    at = content.index(b"PK\x01\x02") + 24
    content[at : at + 4] = size_bytes.to_bytes(4, "little")
    return bytes(content)


async def test_what_is_too_much_is_refused(platform):
    """By the limits as they are: a gigabyte, 100,000 entries, 200 times the archive's size."""
    bomb = zip_bytes(("bomb", bytes(70 << 20)), method=zipfile.ZIP_DEFLATED)
    tar_bomb = tar_bytes(tar_entry("bomb", bytes(70 << 20)))
    await refuse_all(
        platform,
        {
            "by ratio": (bomb, 400, "200 times its size at 'bomb'"),
            "by ratio in tar": (tar_bomb, 400, "200 times its size at 'bomb'"),
            "by total": (zip_that_declares(2 * GIB), 413, "'big' takes the archive over"),
            "by number": (raw_tar(header(b"d", kind=b"5") * 100_001), 413, "100000 entries"),
        },
    )


async def test_a_missing_entrypoint_is_refused_with_what_is_there(platform):
    await refuse_all(platform, {"no entrypoint": (archive(index_js="1"), 400, "no entrypoint 'handler.js'")})


async def test_an_upload_over_the_limit_is_refused_before_it_is_read(platform):
    await platform.deploy("hello")
    before = await function_of(platform)

    url, key = platform.client.base_url, platform.client.headers["authorization"]
    reader, writer = await asyncio.open_connection(url.host, url.port)
    head = f"POST /api/functions/hello/code HTTP/1.1\r\nHost: x\r\nAuthorization: {key}\r\n"
    writer.write(f"{head}Content-Length: {2 * GIB}\r\n\r\n".encode())
    answer = await reader.readuntil(b"}}")
    writer.close()
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"too_large" in answer
    assert await function_of(platform) == before
