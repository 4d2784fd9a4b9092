import asyncio
import os
import sys
from pathlib import Path

HERE = Path(__file__).parent


async def test_schemathesis_finds_nothing_with_all_checks(make, served, tmp_path):
    await make("hello")
    host, port = served
    command = (
        *("-m", "schemathesis.cli", "--config-file", str(HERE / "schemathesis.toml")),
        *("run", f"http://{host}:{port}/openapi.json", "--no-color"),
        *("--header", "Authorization: Bearer key-of-the-tests", "--generation-database", "none"),
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *command,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(HERE)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(100):
            output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    text = output.decode()
    assert process.returncode == 0, text
    assert "Tested: 17" in text, text
