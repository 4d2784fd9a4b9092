"""What a lease wants in etcd, and what of it is not written yet."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import structlog

from aether.adapters.etcd.answers import NOT_FOUND, Refused, text
from aether.adapters.etcd.json_gateway import JsonGateway
from aether.domain.errors import StoreUnavailable

log = structlog.get_logger()

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


class Wanted:
    """Entries by key. Those that wait are written together, in few transactions."""

    def __init__(self, gateway: JsonGateway) -> None:
        self._gateway = gateway
        self._values: dict[str, str] = {}
        """As the gateway takes values."""
        self._unwritten: dict[str, _Write] = {}

    def __len__(self) -> int:
        return len(self._values)

    def want(self, key: str, value: bytes | None) -> asyncio.Future[None]:
        """None for no entry. Done when it is written, or when etcd turned out to be away: then it will be."""
        if value is None:
            self._values.pop(key, None)
        else:
            self._values[key] = text(value)
        write = self._unwritten.get(key)
        if write is None or write.again:
            write = self._unwritten[key] = _Write()
        return write.done

    def want_again(self) -> None:
        """Under a new lease: what was written went with the old one."""
        for key in self._values:
            self._unwritten.setdefault(key, _Write(again=True))

    async def write(self, lease_id: str) -> None:
        """All that waits. Raises StoreUnavailable, and Refused when the lease is gone; it waits on then."""
        while self._unwritten:
            keys = list(self._unwritten)[:AT_ONCE]
            await self._write_some({key: self._unwritten.pop(key) for key in keys}, lease_id)

    def give_up(self, error: Exception) -> None:
        for write in self._unwritten.values():
            write.end(error)
        self._unwritten.clear()

    async def _write_some(self, batch: dict[str, _Write], lease_id: str) -> None:
        operations = [self._operation(key, write.again, lease_id) for key, write in batch.items()]
        try:
            await self._gateway.call("kv/txn", {"success": operations})
        except asyncio.CancelledError:
            self._unwritten = {**batch, **self._unwritten}
            raise
        except Refused as refused:
            if refused.grpc_code == NOT_FOUND:
                self._unwritten = {**batch, **self._unwritten}
                raise
            await self._write_singly(batch, lease_id, refused)
        except StoreUnavailable:
            for key, write in batch.items():
                self._unwritten.setdefault(key, _Write(write.again))
                write.end()
            raise
        else:
            for write in batch.values():
                write.end()

    async def _write_singly(self, batch: dict[str, _Write], lease_id: str, refused: Refused) -> None:
        """One that etcd will not have must not keep the others out."""
        if len(batch) > 1:
            # Those that come after a failure wait on, like the one that fails.
            self._unwritten = {**batch, **self._unwritten}
            for key, write in batch.items():
                if self._unwritten.get(key) is write:
                    del self._unwritten[key]
                    await self._write_some({key: write}, lease_id)
            return
        [(key, write)] = batch.items()
        log.error("entry refused by the registry", key=key, reason=refused.message)
        self._values.pop(key, None)
        write.end(refused)

    def _operation(self, key: str, again: bool, lease_id: str) -> dict[str, Any]:
        value = self._values.get(key)
        if value is None:
            return {"request_delete_range": {"key": text(key)}}
        put = {"request_put": {"key": text(key), "value": value, "lease": lease_id}}
        if not again:
            return put
        absent = {"target": "CREATE", "key": text(key), "create_revision": "0"}
        return {"request_txn": {"compare": [absent], "success": [put]}}
