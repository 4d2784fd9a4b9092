"""What clients get when a function fails, with the whole platform and real microVMs."""

from __future__ import annotations

import asyncio
from datetime import datetime
from pathlib import Path

import httpx
import pytest
from tests.integration.platform.conftest import Platform, archive

pytestmark = pytest.mark.vm

SOURCE = (Path(__file__).parent / "functions" / "faults.js").read_text()
UNRESPONSIVE_S = 3


async def deploy(platform: Platform, **fields: object) -> str:
    """The function, with an instance that has answered."""
    fields = {"timeout_s": 60, "unresponsive_after_s": UNRESPONSIVE_S} | fields
    function = await platform.deploy("f", archive(handler_js=SOURCE), **fields)
    assert (await get(platform, "/")).text == "well"
    return function


async def get(platform: Platform, path: str, **headers: str) -> httpx.Response:
    return await platform.client.get(f"/functions/f{path}", headers=headers)


async def instances(platform: Platform) -> list[str]:
    return [each["instance_id"] for each in (await platform.client.get("/api/functions/f/instances")).json()]


async def printed(platform: Platform, text: str, times: int = 1) -> list[dict[str, str]]:
    """All lines of the function's log, once it has that line so many times."""
    async with asyncio.timeout(30):
        while True:
            lines = (await platform.client.get("/api/functions/f/logs")).json()
            if sum(line["text"] == text for line in lines) == times:
                return lines
            await asyncio.sleep(0.05)


async def gone(platform: Platform, instance_id: str) -> None:
    async with asyncio.timeout(30):
        while instance_id in await instances(platform):
            await asyncio.sleep(0.05)


@pytest.mark.parametrize(
    ("path", "says", "hint"),
    [
        ("/hang", f"hung: its function did nothing for {UNRESPONSIVE_S} s", "[stdout] hanging"),
        pytest.param("/sleep", "hung", "", marks=pytest.mark.slow),
        pytest.param(
            "/heap",
            "ran out of memory: signal SIGABRT",
            "JavaScript heap out of memory",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "/buffers", "ran out of memory: signal SIGKILL", "Killed process", marks=pytest.mark.slow
        ),
        pytest.param("/exit", "exited: exit code 3", "[stderr] leaving", marks=pytest.mark.slow),
        pytest.param("/garbage", "answered with malformed HTTP", "", marks=pytest.mark.slow),
    ],
)
async def test_a_request_that_breaks_its_instance_is_told_why_and_the_next_gets_another(
    platform: Platform, path: str, says: str, hint: str
):
    memory = {"env_vars": {"NODE_OPTIONS": "--max-old-space-size=20"}} if path == "/heap" else {}
    patience = {"unresponsive_after_s": 60} if "memory" in says else {}  # filling it takes long, emulated
    await deploy(platform, **patience, **memory)
    [broken] = await instances(platform)
    answer = await get(platform, path)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (502, "instance_failed")
    assert says in error["message"]
    assert hint in error.get("hint", "")
    assert "PCI" not in error.get("hint", "")
    await gone(platform, broken)
    assert (await get(platform, "/")).text == "well"


@pytest.mark.slow
@pytest.mark.parametrize(("path", "lives"), [("/mid", False), ("/cut", True)])
async def test_an_answer_that_breaks_off_is_seen_to_be_cut(platform: Platform, path: str, lives: bool):
    await deploy(platform)
    [before] = await instances(platform)
    with pytest.raises(httpx.TransportError):
        await get(platform, path)
    if not lives:
        await gone(platform, before)
    assert (await get(platform, "/")).text == "well"
    assert (before in await instances(platform)) is lives


@pytest.mark.slow
async def test_a_computation_within_the_limit_is_left_alone_and_an_orderly_exit_is_an_end(platform: Platform):
    await deploy(platform, unresponsive_after_s=10)
    [first] = await instances(platform)
    assert (await get(platform, "/compute")).text == "computed"
    assert await instances(platform) == [first]
    assert (await get(platform, "/last")).text == "well"
    await gone(platform, first)


async def test_the_function_is_told_its_time_and_that_its_caller_has_gone(platform: Platform):
    await deploy(platform)
    with pytest.raises(httpx.ReadTimeout):
        await platform.client.get("/functions/f/wait", timeout=1)
    await printed(platform, "closed")
    answer = await get(platform, "/wait", **{"X-Timeout-Ms": "1500"})
    assert answer.status_code == 504
    lines = await printed(platform, "closed", times=2)
    waits = [int(line["text"].split()[1]) for line in lines if line["text"].startswith("waiting")]
    assert 58_000 < waits[0] <= 60_000
    assert 1000 < waits[1] <= 1500
    begun, ended = (datetime.fromisoformat(line["at"]) for line in lines[-2:])
    assert (ended - begun).total_seconds() < 1.5 + 1
