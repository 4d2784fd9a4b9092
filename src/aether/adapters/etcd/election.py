"""The election port on etcd: whoever makes the key leads, until its lease ends."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Mapping
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import Any

import structlog

from aether.adapters.etcd.answers import plain, text
from aether.adapters.etcd.json_gateway import JsonGateway
from aether.adapters.etcd.term import EtcdTerm, Granted, now_s
from aether.domain.errors import StoreUnavailable
from aether.ports.election import KEY, Fence

log = structlog.get_logger()

TTL_S = 3
RETRY_S = 0.5
LOOK_AGAIN_S = 5.0
"""How often a candidate looks whether the key is there still, should its watch have missed that."""


@dataclass(frozen=True, slots=True)
class _Seen:
    """What lies under the key, at a revision of etcd."""

    revision: int
    kv: Mapping[str, Any] | None

    @property
    def value(self) -> str:
        return plain(self.kv.get("value", "")).decode(errors="replace") if self.kv else ""

    @property
    def vacant(self) -> bool:
        """Nobody holds it: what lies there without a lease was put by hand, and would stay for ever."""
        return self.kv is None or int(self.kv.get("lease", 0)) == 0


class EtcdElection:
    """Implements `aether.ports.election.Election`. What it opened ends with `aclose`, except the gateway."""

    def __init__(self, gateway: JsonGateway, *, ttl_s: int = TTL_S) -> None:
        self._gateway = gateway
        self._ttl_s = ttl_s
        self._terms: set[EtcdTerm] = set()

    async def elected(self, candidate_id: str) -> EtcdTerm:
        away = False
        while True:
            try:
                seen = await self._look()
                term = await self._run(candidate_id, seen) if seen.vacant else None
                if term is not None:
                    return term
                away = False
                if not seen.vacant:
                    await self._vacated(seen.revision)
            except StoreUnavailable as error:
                if not away:
                    log.warning("registry away, nobody is elected", reason=error.message)
                away = True
                await asyncio.sleep(RETRY_S)

    async def leader(self) -> str | None:
        seen = await self._look()
        if seen.vacant:
            return None
        with suppress(ValueError, KeyError, TypeError):
            return str(json.loads(seen.value)["id"])
        return None

    async def aclose(self) -> None:
        """Terms that are not resigned run out by themselves."""
        for term in list(self._terms):
            await term.abandon()

    async def _look(self) -> _Seen:
        answer = await self._gateway.call("kv/range", {"key": text(KEY)})
        return _Seen(int(answer["header"]["revision"]), next(iter(answer.get("kvs", ())), None))

    async def _run(self, candidate_id: str, seen: _Seen) -> EtcdTerm | None:
        """None if another was quicker."""
        granted_s = now_s()
        lease_id = str((await self._gateway.call("lease/grant", {"TTL": str(self._ttl_s)}))["ID"])
        fence = Fence(KEY, json.dumps({"id": candidate_id, "term": secrets.token_hex(8)}))
        try:
            if await self._put(fence, lease_id, seen):
                granted = Granted(lease_id, self._ttl_s, granted_s)
                term = EtcdTerm(self._gateway, fence, granted, self._terms.discard)
                self._terms.add(term)
                return term
        except BaseException:
            # It may be there all the same, and nobody else could lead as long as it is.
            await self._revoke(lease_id)
            raise
        await self._revoke(lease_id)
        return None

    async def _put(self, fence: Fence, lease_id: str, seen: _Seen) -> bool:
        put = {"key": text(KEY), "value": text(fence.value), "lease": lease_id}
        number = str(seen.kv["mod_revision"]) if seen.kv else "0"
        unchanged = {"target": "MOD", "key": text(KEY), "mod_revision": number}
        txn = {"compare": [unchanged], "success": [{"request_put": put}]}
        if (await self._gateway.call("kv/txn", txn)).get("succeeded"):
            return True
        # A call whose connection broke is sent again: it may be our own that came first.
        return (await self._look()).value == fence.value

    async def _revoke(self, lease_id: str) -> None:
        with suppress(StoreUnavailable):
            await self._gateway.call("lease/revoke", {"ID": lease_id})

    async def _vacated(self, revision: int) -> None:
        """Until the key went after that revision; or for some seconds."""
        create = {"key": text(KEY), "start_revision": str(revision + 1), "filters": ["NOPUT"]}
        with suppress(TimeoutError):
            async with (
                asyncio.timeout(LOOK_AGAIN_S),
                aclosing(self._gateway.stream("watch", {"create_request": create})) as results,
            ):
                async for result in results:
                    if result.get("events") or result.get("canceled"):
                        return
