"""Clients that know nothing of ours: the keys and shapes that the seed's programs had, and no more.

As its gateway they push a bare job and look for instances; as its worker they pop jobs, and put a bare
instance into etcd, under no lease.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import httpx
import redis.asyncio

QUEUE = "queue:vm_provision"


def _b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


class PlainEtcd:
    """etcd's JSON gateway over a library's HTTP client."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    @classmethod
    @asynccontextmanager
    async def at(cls, url: str) -> AsyncIterator[PlainEtcd]:
        async with httpx.AsyncClient(base_url=url, timeout=5) as client:
            yield cls(client)

    async def put(self, key: str, value: object) -> None:
        text = value if isinstance(value, str) else json.dumps(value)
        await self._call("put", {"key": _b64(key), "value": _b64(text)})

    async def delete(self, key: str) -> None:
        await self._call("deleterange", {"key": _b64(key)})

    async def get(self, key: str) -> Any:
        """Its JSON; None where there is none."""
        found = (await self._call("range", {"key": _b64(key)})).get("kvs")
        return json.loads(base64.b64decode(found[0]["value"])) if found else None

    async def under(self, prefix: str) -> list[Any]:
        end = prefix[:-1] + chr(ord(prefix[-1]) + 1)
        found = (await self._call("range", {"key": _b64(prefix), "range_end": _b64(end)})).get("kvs", ())
        return [json.loads(base64.b64decode(kv["value"])) for kv in found]

    async def clear(self) -> None:
        await self._call("deleterange", {"key": "AA==", "range_end": "AA=="})

    async def _call(self, name: str, request: dict[str, str]) -> dict[str, Any]:
        answer = await self._client.post(f"/v3/kv/{name}", json=request)
        return dict(answer.raise_for_status().json())


def bare_job(function_id: str, **changes: object) -> dict[str, object]:
    """As the seed's gateway makes it."""
    return {
        "request_id": f"req-of-{function_id}",
        "function_id": function_id,
        "image_id": "",
        "runtime": "node",
        "entrypoint": "handler.js",
        "vcpu": 1,
        "memory_mb": 128,
        "port": 3000,
        "count": 1,
        "env_vars": {"GREETING": "hi"},
        "trace_context": {},
    } | changes


@dataclass
class PlainWorker:
    """It pops jobs at either end, and answers every request with its name and the path."""

    name: str
    etcd: PlainEtcd
    redis: redis.asyncio.Redis
    newest_first: bool = False
    """BLPOP, as the seed's own workers do; else BRPOP."""
    jobs: list[dict[str, Any]] = field(default_factory=list)
    _server: asyncio.Server | None = None
    _pops: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._answer, "127.0.0.1", 0)
        record = {"id": self.name, "hostname": "elsewhere", "public_ip": "127.0.0.1", "total_cpu": 4}
        record |= {"total_mem": 8 << 30, "version": "0.1.0", "last_heartbeat": "2026-01-01T00:00:00Z"}
        await self.etcd.put(f"/workers/{self.name}", record)
        self._pops = asyncio.ensure_future(self._pop())

    async def crash(self) -> None:
        """Its record and its instances stay: they are under no lease."""
        assert self._pops is not None
        self._pops.cancel()
        with suppress(asyncio.CancelledError):
            await self._pops
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
            self._server = None

    async def _pop(self) -> None:
        pop = self.redis.blpop if self.newest_first else self.redis.brpop
        while True:
            found = await pop([QUEUE], timeout=1)
            if found:
                job = json.loads(found[1])
                self.jobs.append(job)
                await self._register(job["function_id"])

    async def _register(self, function_id: str) -> None:
        assert self._server is not None
        instance_id = f"{self.name}-{len(self.jobs)}"
        instance = {
            "instance_id": instance_id,
            "function_id": function_id,
            "worker_id": self.name,
            "host_ip": "127.0.0.1",
            "proxy_port": self._server.sockets[0].getsockname()[1],
            "internal_ip": "172.16.0.2",
            "status": "ready",
            "started_at": "2026-01-01T00:00:00Z",
        }
        await self.etcd.put(f"/functions/{function_id}/instances/{instance_id}", instance)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            body = f"{self.name} {head.split()[1].decode()}".encode()
            writer.write(
                b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body
            )
        writer.close()
