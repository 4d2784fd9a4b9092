"""A worker's lease: what it wants in the registry is written, and written again when it was lost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import structlog

from aether.adapters.etcd.entries import dump, key_of
from aether.adapters.etcd.json_gateway import NOT_FOUND, JsonGateway, Refused, text
from aether.domain.errors import StoreUnavailable
from aether.domain.instance import Instance
from aether.domain.worker import Worker
from aether.ports.registry import instance_key

log = structlog.get_logger()

RETRY_S = 0.3
AT_ONCE = 100
"""Writes in one transaction; etcd's own limit is 128."""


@dataclass(slots=True)
class _Write:
    again: bool = False
    """Put back after the lease was lost: only where nothing has taken its place."""
    done: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    def end(self, error: Exception | None = None) -> None:
        if self.done.done():
            return
        if error is None:
            self.done.set_result(None)
        else:
            self.done.set_exception(error)
            self.done.exception()  # not an error if nobody waits for it


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
        self._wanted: dict[str, str] = {}
        """Key to value, as the gateway takes values."""
        self._unwritten: dict[str, _Write] = {}
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

    async def put_worker(self, worker: Worker) -> None:
        await self._put(worker)

    async def put_instance(self, instance: Instance) -> None:
        await self._put(instance)

    async def remove_instance(self, function_id: str, instance_id: str) -> None:
        key = instance_key(function_id, instance_id)
        self._wanted.pop(key, None)
        if self._open:
            await self._written(key)

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
        for write in self._unwritten.values():
            write.end(self._closed())
        self._unwritten.clear()

    async def _put(self, entry: Worker | Instance) -> None:
        if not self._open:
            raise self._closed()
        key = key_of(entry)
        self._wanted[key] = text(dump(entry))
        await self._written(key)

    async def _written(self, key: str) -> None:
        """Until it is, or until etcd turned out to be away: then it will be. Raises Refused."""
        write = self._unwritten.get(key)
        if write is None or write.again:
            write = self._unwritten[key] = _Write()
        self._wake.set()
        await asyncio.shield(write.done)

    def _closed(self) -> StoreUnavailable:
        return StoreUnavailable(f"the lease of worker {self._worker_id} is closed", component="worker")

    async def _writing(self) -> None:
        away = False
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                if self._lost:
                    await self._begin_again()
                while self._unwritten:
                    await self._write_some(
                        {key: self._unwritten.pop(key) for key in list(self._unwritten)[:AT_ONCE]}
                    )
            except StoreUnavailable as error:
                if not away:
                    log.warning("registry away, entries will be written later", reason=error.message)
                away = True
                await asyncio.sleep(RETRY_S)
                self._wake.set()
            else:
                away = False

    async def _begin_again(self) -> None:
        """All entries are put again, under a new lease."""
        self._id = await _grant(self._gateway, self._ttl_s)
        self._lost = False
        log.warning("lease lost, entries are put again", worker=self._worker_id, entries=len(self._wanted))
        for key in self._wanted:
            self._unwritten.setdefault(key, _Write(again=True))

    async def _write_some(self, batch: dict[str, _Write]) -> None:
        try:
            await self._write(batch)
        except asyncio.CancelledError:
            self._unwritten = {**batch, **self._unwritten}
            raise
        except Refused as refused:
            if refused.grpc_code != NOT_FOUND:
                await self._write_singly(batch, refused)
                return
            self._unwritten = {**batch, **self._unwritten}
            self._lost = True
            await self._begin_again()
        except StoreUnavailable:
            for key, write in batch.items():
                self._unwritten.setdefault(key, _Write(write.again))
                write.end()
            raise
        else:
            for write in batch.values():
                write.end()

    async def _write_singly(self, batch: dict[str, _Write], refused: Refused) -> None:
        """One that etcd will not have must not keep the others out."""
        if len(batch) > 1:
            for key, write in batch.items():
                await self._write_some({key: write})
            return
        [(key, write)] = batch.items()
        log.error("entry refused by the registry", key=key, reason=refused.message)
        self._wanted.pop(key, None)
        write.end(refused)

    async def _write(self, batch: dict[str, _Write]) -> None:
        operations = [self._operation(key, write.again) for key, write in batch.items()]
        await self._gateway.call("kv/txn", {"success": operations})

    def _operation(self, key: str, again: bool) -> dict[str, Any]:
        value = self._wanted.get(key)
        if value is None:
            return {"request_delete_range": {"key": text(key)}}
        put = {"request_put": {"key": text(key), "value": value, "lease": self._id}}
        if not again:
            return put
        absent = {"target": "CREATE", "key": text(key), "create_revision": "0"}
        return {"request_txn": {"compare": [absent], "success": [put]}}

    async def _keeping_alive(self) -> None:
        pause_s = self._ttl_s / 3
        while True:
            await asyncio.sleep(pause_s)
            pause_s = self._ttl_s / 3
            try:
                answer = await self._gateway.call("lease/keepalive", {"ID": self._id})
            except StoreUnavailable:
                pause_s = RETRY_S
                continue
            if int(answer.get("TTL", 0)) <= 0:
                self._lost = True
                self._wake.set()


async def _grant(gateway: JsonGateway, ttl_s: int) -> str:
    return str((await gateway.call("lease/grant", {"TTL": str(ttl_s)}))["ID"])
