"""A worker whose WORKER_IP leads nowhere: gateway and worker say so, nothing starts there, until it leads."""

from __future__ import annotations

import asyncio
import json
import socket

from structlog.testing import capture_logs
from tests.integration.foreign.conftest import function


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


async def test_it_is_found_out_told_avoided_and_found_again(ours):
    await ours.code("fn-hello")
    lost, well = await ours.worker("wrk-lost"), await ours.worker("wrk-well")
    lost.shown.port = free_port()
    with capture_logs() as logs:
        client = await ours.gateway(function())

        async def told():
            found = await ours.etcd.under("/aether/gateways/")
            return found[0]["unreachable"] if found else None

        reason = (await ours.until(told))["wrk-lost"]
        assert reason.startswith(f"127.0.0.1:{lost.shown.port}: ")
        assert (await client.get("/functions/hello")).status_code == 200
        [instance] = await ours.etcd.under("/functions/fn-hello/instances/")
        assert instance["worker_id"] == well.id

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n" + json.dumps({"worker_id": "wrk-lost"}).encode())
            writer.close()

        server = await asyncio.start_server(answer, "127.0.0.1", lost.shown.port)

        async def found():
            [gateway] = await ours.etcd.under("/aether/gateways/")
            return not gateway["unreachable"]

        await ours.until(found)
        server.close()
        await server.wait_closed()
    told_by = [entry["event"] for entry in logs if "reach" in entry["event"]]
    assert sorted(told_by[:2]) == [
        "a gateway can't reach this worker, and gives it nothing while others are there",
        "worker can't be reached from here",
    ]
    assert len(told_by) <= 4
