"""What a lease wants in etcd, and what of it is not written yet."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import structlog

from aether.adapters.etcd.answers import NOT_FOUND, Refused, text
from aether.adapters.etcd.json_gateway import JsonGateway
from aether.adapters.etcd.writes import Claim, How, Write, first_of, operation
from aether.domain.errors import StoreUnavailable

log = structlog.get_logger()

AT_ONCE = 100
"""Writes in one transaction; etcd's own limit is 128."""


class Wanted:
    """Entries by key. Those that wait are written together, in few transactions."""

    def __init__(self, gateway: JsonGateway) -> None:
        self._gateway = gateway
        self._values: dict[str, str] = {}
        """As the gateway takes values."""
        self._unwritten: dict[str, Write] = {}

    def __len__(self) -> int:
        return len(self._values)

    def want(
        self, key: str, value: bytes | None, how: How = How.WHATEVER_IS_THERE, claim: Claim | None = None
    ) -> asyncio.Future[str]:
        """None for no entry. Done when it is written, or when etcd turned out to be away: then it will be.

        With a claim only when it is written, or was not because another instance has the claim.
        """
        if value is None:
            self._values.pop(key, None)
        else:
            self._values[key] = text(value)
        write = self._unwritten.get(key)
        if write is not None and write.claim is not None:
            write.end(StoreUnavailable("given up before it was written", component="registry"))
        if write is None or write.how is How.AGAIN or write.claim is not None:
            write = self._unwritten[key] = Write(how, claim)
        return write.done

    def written(self, key: str, value: bytes) -> None:
        """By somebody else, under the same lease: to be put again where that is lost."""
        self._values[key] = text(value)

    def want_again(self) -> None:
        """Under a new lease: what was written went with the old one."""
        for key in self._values:
            self._unwritten.setdefault(key, Write(How.AGAIN))

    async def write(self, lease_id: str) -> None:
        """All that waits. Raises StoreUnavailable, and Refused when the lease is gone; it waits on then."""
        while self._unwritten:
            keys = list(self._unwritten)[:AT_ONCE]
            await self._write_some({key: self._unwritten.pop(key) for key in keys}, lease_id)

    def give_up(self, error: Exception) -> None:
        for write in self._unwritten.values():
            write.end(error)
        self._unwritten.clear()

    async def _write_some(self, batch: dict[str, Write], lease_id: str) -> None:
        operations = [operation(key, self._values.get(key), write, lease_id) for key, write in batch.items()]
        try:
            answer = await self._gateway.call("kv/txn", {"success": operations})
        except asyncio.CancelledError:
            self._unwritten = {**batch, **self._unwritten}
            raise
        except Refused as refused:
            if refused.grpc_code == NOT_FOUND:
                self._unwritten = {**batch, **self._unwritten}
                raise
            await self._write_singly(batch, lease_id, refused)
        except StoreUnavailable:
            self._wait_on(batch)
            raise
        else:
            self._ended(batch, answer["responses"])

    def _ended(self, batch: dict[str, Write], answers: Sequence[dict[str, Any]]) -> None:
        for (key, write), answer in zip(batch.items(), answers, strict=True):
            if write.claim is None or "response_txn" not in answer:
                write.end()
                continue
            first = first_of(write.claim, answer)
            if first == write.claim.instance_id:
                self._values[write.claim.key] = write.claim.value
            elif key not in self._unwritten:
                self._values.pop(key, None)
            write.end(first)

    def _wait_on(self, batch: dict[str, Write]) -> None:
        """They will be written; nobody waits for that, but for who has a claim."""
        for key, write in batch.items():
            if write.claim is None:
                self._unwritten.setdefault(key, Write(write.how))
                write.end()
            elif self._unwritten.setdefault(key, write) is not write:
                write.end(StoreUnavailable("given up before it was written", component="registry"))

    async def _write_singly(self, batch: dict[str, Write], lease_id: str, refused: Refused) -> None:
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
