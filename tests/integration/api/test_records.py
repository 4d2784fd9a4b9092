import asyncio
import json
from datetime import UTC, datetime, timedelta

from aether.domain.invocation import Invocation, InvocationStatus
from aether.gateway.api import create_api
from aether.ports.function_logs import LogRecord

START = datetime(2026, 1, 31, 12, tzinfo=UTC)


def line(function_id, number, call_id=None):
    at = START + timedelta(seconds=number)
    return LogRecord(function_id, "inst-1", "stdout", f"line {number}", at, call_id)


async def test_invocations_come_newest_first_in_pages(platform, api, make):
    function_id = (await make())["id"]
    await platform.deps.invocations.append(
        [
            Invocation(
                f"call-{number}",
                function_id,
                InvocationStatus.SUCCESS,
                7,
                START + timedelta(seconds=number),
                http_status=200,
                cold=number == 0,
                phases={"fn": 6.5},
            )
            for number in range(5)
        ]
    )
    first = await api.get("/api/functions/hello/invocations?limit=3")
    second = await api.get(first.links["next"]["url"])
    found = first.json() + second.json()
    assert [invocation["id"] for invocation in found] == [f"call-{number}" for number in (4, 3, 2, 1, 0)]
    assert "link" not in second.headers
    assert found[-1] == {
        "call_id": "", "id": "call-0", "function_id": function_id, "status": "success", "duration_ms": 7,
        "started_at": "2026-01-31T12:00:00Z", "error_message": None, "instance_id": None,
        "http_status": 200, "method": "", "path": "", "cold": True, "phases": {"fn": 6.5},
        "attempts": 0,
    }  # fmt: skip


async def test_instances_show_their_load(platform, api, make, worker, instance):
    function_id = (await make())["id"]
    lease = await platform.deps.registry.lease("wrk-1")
    await lease.put_worker(worker)
    await lease.put_instance(instance(function_id))
    (found,) = (await api.get("/api/functions/hello/instances")).json()
    assert (found["instance_id"], found["status"], found["revision"]) == ("inst-1", "ready", 2)
    assert found["in_flight"] == 2
    await make("other")
    assert (await api.get("/api/functions/other/instances")).json() == []
    await lease.close()


async def test_logs_are_filtered(platform, api, make):
    function_id = (await make())["id"]
    for number in range(6):
        platform.deps.logs.append(line(function_id, number, f"call-{number % 2}"))

    async def texts(**query):
        found = await api.get("/api/functions/hello/logs", params=query)
        assert found.status_code == 200, found.text
        return [entry["text"] for entry in found.json()]

    assert await texts() == [f"line {number}" for number in range(6)]
    assert await texts(limit=2) == ["line 4", "line 5"]
    assert await texts(call_id="call-1") == ["line 1", "line 3", "line 5"]
    assert await texts(since="2026-01-31T13:00:04+01:00") == ["line 4", "line 5"]
    wrong = await api.get("/api/functions/hello/logs?since=yesterday&follow=maybe")
    assert set(wrong.json()["error"]["fields"]) == {"since", "follow"}


async def test_follow_gives_the_tail_then_every_line_once(platform, make, served):
    function_id = (await make())["id"]
    for number in range(2):
        platform.deps.logs.append(line(function_id, number, "call-a"))
    platform.deps.logs.append(line(function_id, 2, "call-b"))
    reader, writer = await asyncio.open_connection(*served)
    writer.write(
        b"GET /api/functions/hello/logs?follow&call_id=call-a HTTP/1.1\r\nHost: x\r\n"
        b"Authorization: Bearer key-of-the-tests\r\n\r\n"
    )
    head = await reader.readuntil(b"\r\n\r\n")
    assert b"200 OK" in head
    assert b"text/event-stream" in head

    async def next_text():
        while True:
            read = await reader.readline()
            if read.startswith(b"data: "):
                return json.loads(read.removeprefix(b"data: "))["text"]

    assert [await next_text(), await next_text()] == ["line 0", "line 1"]
    platform.deps.logs.append(line(function_id, 3, "call-b"))
    platform.deps.logs.append(line(function_id, 4, "call-a"))
    assert await next_text() == "line 4"
    writer.close()
    await writer.wait_closed()


async def test_start_sweeps_what_a_killed_gateway_left(platform):
    work = platform.deps.work_dir
    (work / "code-image-dead" / "tree").mkdir(parents=True)
    (work / "code-image-dead.ext4").write_bytes(b"x")
    (work / "upload-dead").write_bytes(b"x")
    app = create_api(platform.deps)
    async with app.router.lifespan_context(app):
        assert list(work.iterdir()) == []
