"""Large images: memory stays flat, and the loop goes on."""

import subprocess
import sys

PROGRAM = """
import asyncio, hashlib, resource, sys, time
from pathlib import Path
from obstore.store import LocalStore
from aether.adapters.objects.code_store import ObjectCodeStore
from aether.adapters.objects.remote import RemoteBucket
from aether.adapters.objects.s3 import S3Account, open_code_store

SIZE = 160 << 20

def peak_mib():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024

async def longest_pause(over):
    longest, last = 0.0, time.perf_counter()
    while not over.is_set():
        await asyncio.sleep(0)
        now = time.perf_counter()
        longest, last = max(longest, now - last), now
    return longest

async def main(root, endpoint, access_key, secret_key):
    image = root / "image"
    with image.open("wb") as file:
        file.truncate(SIZE)
    with image.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    streamed = ObjectCodeStore(RemoteBucket(LocalStore(root / "streamed", mkdir=True)))
    local = ObjectCodeStore(LocalStore(root / "local", mkdir=True))
    s3 = await open_code_store(S3Account(endpoint, access_key, secret_key))
    before, over = peak_mib(), asyncio.Event()
    pausing = asyncio.ensure_future(longest_pause(over))
    for store in (streamed, local, s3):
        await store.put("fn-1", sha256, image)
        await store.fetch("fn-1", sha256, root / "out")
        assert (root / "out").stat().st_size == SIZE
        await store.remove("fn-1")
    over.set()
    print(peak_mib() - before, round(1000 * await pausing))

asyncio.run(main(Path(sys.argv[1]), *sys.argv[2:]))
"""


def test_large_images_pass_without_filling_memory_or_blocking_the_loop(tmp_path, s3_server):
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    result = subprocess.run(
        [sys.executable, program, tmp_path, s3_server.url, s3_server.access_key, s3_server.secret_key],
        capture_output=True,
        text=True,
        check=True,
        timeout=100,
    )
    print(result.stdout)
    grown_mib, longest_pause_ms = map(int, result.stdout.split())
    assert grown_mib < 100
    assert longest_pause_ms < 1000
