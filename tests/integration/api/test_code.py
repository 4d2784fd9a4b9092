import asyncio
import io
import subprocess
import tarfile
from contextlib import aclosing
from dataclasses import replace

import pytest

from aether.domain.errors import StoreUnavailable


@pytest.fixture
def bucket(platform):
    return platform.deps.work_dir.parent / "function-code"


def read_code(image, name):
    command = ["debugfs", "-R", f"cat /{name}", str(image)]
    return subprocess.run(command, capture_output=True, check=True).stdout


async def test_raw_zip_becomes_the_current_image(platform, api, make, zipped, bucket):
    function_id = (await make())["id"]
    async with aclosing(platform.deps.notifications.subscribe()) as told:
        response = await api.post(
            "/api/functions/hello/code",
            content=zipped({"handler.js": "module.exports = 1"}),
            headers={"X-Filename": "hello.zip", "Content-Type": "application/zip"},
        )
        assert response.status_code == 200, response.text
        assert await anext(told) == function_id
    code = response.json()
    assert code["code_path"] == f"function-code/{function_id}/code.ext4"
    image = bucket / function_id / f"{code['sha256']}.ext4"
    assert image.stat().st_size == code["size_bytes"]
    assert read_code(image, "handler.js") == b"module.exports = 1"
    function = (await api.get("/api/functions/hello")).json()
    assert (function["code_sha256"], function["revision"]) == (code["sha256"], 2)
    assert function["code_path"] == code["code_path"]


async def test_multipart_tar_gz_is_taken_too(api, make, bucket):
    function_id = (await make())["id"]
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        entry = tarfile.TarInfo("./handler.js")
        entry.size = 200_000
        archive.addfile(entry, io.BytesIO(b"//" * 100_000))
    files = {"file": ("my code.tar.gz", buffer.getvalue(), "application/gzip")}
    response = await api.post("/api/functions/hello/code", files=files, data={"note": "ignored"})
    assert response.status_code == 200, response.text
    image = bucket / function_id / "code.ext4"
    assert read_code(image, "handler.js") == b"//" * 100_000


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "empty"),
        (b"hello", "neither a zip nor a tar.gz"),
        (b"PK\x03\x04 and no more", "damaged"),
        (b"\x1f\x8b\x08\x00\x00\x00\x00\x00", "damaged"),
    ],
)
async def test_bad_archive_leaves_the_old_code(api, make, zipped, content, says):
    await make()
    before = (await api.post("/api/functions/hello/code", content=zipped({"handler.js": "1"}))).json()
    response = await api.post("/api/functions/hello/code", content=content, headers={"X-Filename": "a.zip"})
    assert response.status_code == 400
    assert response.json()["error"]["code"] == "archive_rejected"
    assert says in response.json()["error"]["message"]
    assert (await api.get("/api/functions/hello")).json()["code_sha256"] == before["sha256"]


async def test_missing_entrypoint_tells_what_is_there(api, make, zipped):
    await make()
    wrapped = zipped({"app-main/handler.js": "1"})
    error = (await api.post("/api/functions/hello/code", content=wrapped)).json()["error"]
    assert error["code"] == "archive_rejected"
    assert "'handler.js'" in error["message"]
    assert "app-main/handler.js" in error["hint"]


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"--b\r\nContent-Disposition: form-data; name=other\r\n\r\nx\r\n--b--\r\n", "file"),
        (b"--b\r\nContent-Disposition: form-data; name=file\r\n\r\nx", "cut short"),
        (b"not multipart", "broken"),
        (b"", "cut short"),
    ],
)
async def test_broken_multipart_is_invalid(api, make, body, says):
    await make()
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    response = await api.post("/api/functions/hello/code", content=body, headers=headers)
    assert response.status_code == 400
    assert response.json()["error"]["code"] == "invalid"
    assert says in response.json()["error"]["message"]


async def test_too_large_is_refused_before_reading(platform, make):
    await make()
    read = 0

    async def body():
        nonlocal read
        while read < 100:
            read += 1
            yield b"x" * 1000

    async with platform.client(max_archive_bytes=10_000) as api:
        declared = await api.post(
            "/api/functions/hello/code", content=body(), headers={"Content-Length": "100000"}
        )
        assert (declared.status_code, read) == (413, 0)
        chunked = await api.post("/api/functions/hello/code", content=body())
        assert chunked.status_code == 413
        assert read < 15
        files = {"file": ("a.zip", b"x" * 10_001)}
        part = await api.post("/api/functions/hello/code", files=files)
        assert part.status_code == 413
        assert part.json()["error"]["code"] == "too_large"


async def test_unpacked_size_is_bounded(platform, make, zipped):
    await make()
    limits = type(platform.deps.archive_limits)(total_bytes=1000)
    async with platform.client(archive_limits=limits) as api:
        content = zipped({"handler.js": "1", "big": b"x" * 2000})
        response = await api.post("/api/functions/hello/code", content=content)
    assert response.status_code == 413
    assert "'big'" in response.json()["error"]["message"]


async def test_uploads_at_once_leave_one_of_them_whole(platform, api, make, zipped, bucket):
    function_id = (await make())["id"]
    contents = [zipped({"handler.js": f"// {number}"}) for number in range(4)]
    calls = [api.post("/api/functions/hello/code", content=content) for content in contents]
    shas = {response.json()["sha256"] for response in await asyncio.gather(*calls)}
    assert len(shas) == 4
    function = (await api.get("/api/functions/hello")).json()
    assert function["revision"] == 5
    kept = {path.name for path in (bucket / function_id).iterdir()}
    assert kept == {"code.ext4", f"{function['code_sha256']}.ext4"}
    current = bucket / function_id / f"{function['code_sha256']}.ext4"
    assert current.read_bytes() == (bucket / function_id / "code.ext4").read_bytes()


async def test_the_last_good_code_is_kept(platform, api, make, zipped, bucket):
    function_id = (await make())["id"]
    shas = []
    for number in range(3):
        content = zipped({"handler.js": f"// {number}"})
        shas.append((await api.post("/api/functions/hello/code", content=content)).json()["sha256"])
        if number == 0:
            stored = await platform.deps.functions.get(function_id)
            await platform.deps.functions.mark_good(function_id, stored.version)
    kept = {path.stem for path in (bucket / function_id).iterdir()}
    assert kept == {"code", shas[0], shas[2]}


async def test_same_code_again_makes_no_revision(api, make, zipped):
    await make()
    content = zipped({"handler.js": "1"})
    first = (await api.post("/api/functions/hello/code", content=content)).json()
    second = (await api.post("/api/functions/hello/code", content=content)).json()
    assert first == second


async def test_function_deleted_while_its_code_comes_leaves_nothing(api, make, zipped, bucket):
    await make()
    content = zipped({"handler.js": "1"})

    async def body():
        yield content[:10]
        assert (await api.delete("/api/functions/hello")).status_code == 204
        yield content[10:]

    response = await api.post("/api/functions/hello/code", content=body())
    assert response.status_code == 404
    assert [path for path in bucket.rglob("*") if path.is_file()] == []


async def test_store_away_says_so(platform, api, make, zipped, monkeypatch):
    await make()

    async def away(*_args):
        raise StoreUnavailable("the code store is away")

    monkeypatch.setattr(platform.deps.code, "put", away)
    response = await api.post("/api/functions/hello/code", content=zipped({"handler.js": "1"}))
    assert response.status_code == 503
    assert (await api.get("/api/functions/hello")).json()["revision"] == 1


async def test_code_before_of_a_function_taken_over_can_serve_again(platform, api, make, zipped, bucket):
    """Of it nothing is known but that it is `code.ext4`, which the upload replaces."""
    function_id = (await make())["id"]
    functions, code = platform.deps.functions, platform.deps.code
    (bucket / function_id).mkdir(parents=True)
    (bucket / function_id / "code.ext4").write_bytes(b"as the seed's gateway put it")
    taken_over = replace(await functions.get(function_id), code_path=f"function-code/{function_id}/code.ext4")
    taken_over = replace(taken_over, good=taken_over.version)
    assert await functions.update(taken_over, expected_generation=taken_over.generation)
    response = await api.post("/api/functions/hello/code", content=zipped({"handler.js": "1"}))
    assert response.status_code == 200, response.text
    now = await functions.get(function_id)
    assert (now.version.revision, now.good.revision) == (2, 1)
    out = bucket.parent / "out"
    await code.fetch(function_id, now.good.code_sha256, out)
    assert out.read_bytes() == b"as the seed's gateway put it"
    await code.fetch(function_id, now.version.code_sha256, out)
    assert read_code(out, "handler.js") == b"1"


async def test_code_that_another_gateway_removed_too_soon_is_put_again(
    platform, api, make, zipped, monkeypatch
):
    """It tidied up after an upload of its own, when no row named this one's yet."""
    function_id = (await make())["id"]
    functions, code = platform.deps.functions, platform.deps.code
    update = functions.update

    async def update_late(*args, **named):
        await code.keep_only(function_id, set())
        return await update(*args, **named)

    monkeypatch.setattr(functions, "update", update_late)
    response = await api.post("/api/functions/hello/code", content=zipped({"handler.js": "1"}))
    assert response.status_code == 200, response.text
    assert await code.has(function_id, response.json()["sha256"])
