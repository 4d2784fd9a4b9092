"""A worker's lease: what it wants in the registry is written, and written again when it was lost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import structlog

from aether.adapters.etcd.answers import NOT_FOUND, Refused, plain, text
from aether.adapters.etcd.entries import WORKER, dump, key_of
from aether.adapters.etcd.json_gateway import JsonGateway
from aether.adapters.etcd.wanted import Wanted
from aether.adapters.etcd.writes import Claim, How, taking
from aether.domain.errors import StoreUnavailable
from aether.domain.gateway import GatewayRecord
from aether.domain.instance import Instance
from aether.domain.worker import Worker
from aether.ports.registry import instance_key

log = structlog.get_logger()

RETRY_S = 0.3


class EtcdLease:
    """Implements `aether.ports.registry.Lease`. One task writes, another keeps the lease alive."""

    def __init__(
        self,
        gateway: JsonGateway,
        worker_id: str,
        lease: tuple[str, int],
        on_end: Callable[[EtcdLease], None],
    ) -> None:
        self._gateway = gateway
        self._worker_id = worker_id
        self._id, self._ttl_s = lease
        self._on_end = on_end
        self._open = True
        self._lost = False
        self._wanted = Wanted(gateway)
        self._wake = asyncio.Event()
        loop = asyncio.get_running_loop()
        self._tasks = [
            loop.create_task(self._writing(), name=f"registry writer of {worker_id}"),
            loop.create_task(self._keeping_alive(), name=f"registry lease of {worker_id}"),
        ]

    @classmethod
    async def granted(
        cls, gateway: JsonGateway, worker_id: str, ttl_s: int, on_end: Callable[[EtcdLease], None]
    ) -> EtcdLease:
        return cls(gateway, worker_id, (await _grant(gateway, ttl_s), ttl_s), on_end)

    @property
    def worker_id(self) -> str:
        return self._worker_id

    async def take_worker(self, worker: Worker) -> Worker | None:
        key = key_of(worker)
        while True:
            there = await self._taken(key, dump(worker))
            if there is None:
                self._wanted.written(key, dump(worker))
                return None
            try:
                holder = WORKER.load(plain(there.get("value", "")))
            except ValueError:
                holder = None
            if holder is not None and holder.home != worker.home:
                return holder
            # An earlier process of the same home, or garbage.
            if await self._replaced(there, dump(worker)):
                self._wanted.written(key, dump(worker))
                return None

    async def _taken(self, key: str, value: bytes) -> dict[str, Any] | None:
        """What was there instead; None when it is put."""
        answer = await self._gateway.call("kv/txn", taking(key, text(value), self._id))
        if answer.get("succeeded"):
            return None
        inner = answer["responses"][0]["response_txn"]
        if inner.get("succeeded"):
            return None
        kvs = inner["responses"][0]["response_range"].get("kvs")
        return dict(kvs[0]) if kvs else None

    async def _replaced(self, there: Mapping[str, Any], value: bytes) -> bool:
        """False if it has changed since."""
        unchanged = {"target": "MOD", "key": there["key"], "mod_revision": there["mod_revision"]}
        put = {"key": there["key"], "value": text(value), "lease": self._id}
        answer = await self._gateway.call(
            "kv/txn", {"compare": [unchanged], "success": [{"request_put": put}]}
        )
        return bool(answer.get("succeeded"))

    async def put_worker(self, worker: Worker) -> None:
        await self._want(key_of(worker), dump(worker), How.IF_OURS)

    async def put_first(self, instance: Instance, request_id: str) -> str:
        claim = Claim(request_id, instance.instance_id, self._worker_id)
        return await self._want(key_of(instance), dump(instance), claim=claim)

    async def release_request(self, request_id: str) -> None:
        if self._open:
            await self._want(Claim(request_id, "", "").key, None)

    async def put_instance(self, instance: Instance) -> None:
        await self._want(key_of(instance), dump(instance))

    async def put_gateway(self, gateway: GatewayRecord) -> None:
        await self._want(key_of(gateway), dump(gateway))

    async def remove_instance(self, function_id: str, instance_id: str) -> None:
        if self._open:
            await self._want(instance_key(function_id, instance_id), None)

    async def close(self) -> None:
        if not self._open:
            return
        await self.abandon()
        # What can't be revoked now runs out by itself.
        with suppress(StoreUnavailable):
            await self._gateway.call("lease/revoke", {"ID": self._id})

    async def abandon(self) -> None:
        """Renew it no more; what it holds stays until it runs out."""
        self._open = False
        self._on_end(self)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._wanted.give_up(self._closed())

    async def _want(
        self,
        key: str,
        value: bytes | None,
        how: How = How.WHATEVER_IS_THERE,
        claim: Claim | None = None,
    ) -> str:
        if not self._open:
            raise self._closed()
        written = self._wanted.want(key, value, how, claim)
        self._wake.set()
        return await asyncio.shield(written)

    def _closed(self) -> StoreUnavailable:
        return StoreUnavailable(f"the lease of {self._worker_id} is closed", component="worker")

    async def _writing(self) -> None:
        away = False
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                await self._write()
                away = False
            except StoreUnavailable as error:
                if not away:
                    log.warning("registry away, entries will be written later", reason=error.message)
                away = True
                await self._pause()
            except Exception:
                log.exception("writing to the registry failed", worker=self._worker_id)
                await self._pause()

    async def _pause(self) -> None:
        await asyncio.sleep(RETRY_S)
        self._wake.set()

    async def _write(self) -> None:
        if not self._lost:
            try:
                await self._wanted.write(self._id)
            except Refused as refused:
                if refused.grpc_code != NOT_FOUND:
                    raise
                self._lost = True
        if self._lost:
            await self._begin_again()
            await self._wanted.write(self._id)

    async def _begin_again(self) -> None:
        """All entries are put again, under a new lease."""
        self._id = await _grant(self._gateway, self._ttl_s)
        self._lost = False
        log.warning("lease lost, entries are put again", worker=self._worker_id, entries=len(self._wanted))
        self._wanted.want_again()

    async def _keeping_alive(self) -> None:
        pause_s = self._ttl_s / 3
        while True:
            await asyncio.sleep(pause_s)
            pause_s = self._ttl_s / 3
            lease_id = self._id
            try:
                answer = await self._gateway.call("lease/keepalive", {"ID": lease_id})
            except StoreUnavailable:
                pause_s = RETRY_S
                continue
            # An answer about one that was replaced meanwhile says nothing about its successor.
            if int(answer.get("TTL", 0)) <= 0 and lease_id == self._id:
                self._lost = True
                self._wake.set()


async def _grant(gateway: JsonGateway, ttl_s: int) -> str:
    return str((await gateway.call("lease/grant", {"TTL": str(ttl_s)}))["ID"])
