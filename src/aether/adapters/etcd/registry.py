"""The registry port on etcd."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from aether.adapters.etcd import history, revisions
from aether.adapters.etcd.answers import OUT_OF_RANGE, Refused, plain, text
from aether.adapters.etcd.entries import PREFIXES, SetAside, dump, is_ours, load
from aether.adapters.etcd.json_gateway import JsonGateway
from aether.adapters.etcd.lease import EtcdLease
from aether.adapters.etcd.watch import EtcdWatch
from aether.domain.errors import StoreUnavailable
from aether.domain.function import FunctionConfig
from aether.domain.instance import Instance, InstanceStatus
from aether.domain.worker import DrainWish
from aether.ports.election import Fence
from aether.ports.feed import Feed
from aether.ports.registry import (
    Change,
    Entry,
    Lease,
    View,
    Wants,
    config_key,
    drain_key,
    instance_key,
    worker_key,
)

LEASE_TTL_S = 10
"""Source: the wire contract."""
DATABASE_KEY = "/aether/database"
PAGE = 500
"""Entries of a prefix in one answer."""


class EtcdRegistry:
    """Implements `aether.ports.registry.Registry`. What it opened ends with `aclose`, except the gateway."""

    def __init__(self, gateway: JsonGateway, *, lease_ttl_s: int = LEASE_TTL_S, page: int = PAGE) -> None:
        self._gateway = gateway
        self._lease_ttl_s = lease_ttl_s
        self._page = page
        self._history = ""
        """Which one the last view was of."""
        self._seen = 0
        """The revision of the last view, or what a watch saw after it."""
        self._restores = 0
        self._set_aside = SetAside()
        self._leases: set[EtcdLease] = set()
        self._watches: set[EtcdWatch] = set()

    async def lease(self, worker_id: str) -> Lease:
        lease = await EtcdLease.granted(self._gateway, worker_id, self._lease_ttl_s, self._leases.discard)
        self._leases.add(lease)
        return lease

    async def put_function(self, config: FunctionConfig) -> None:
        key = config_key(config.id)
        put = {"request_put": {"key": text(key), "value": text(dump(config))}}
        while True:
            kvs = (await self._gateway.call("kv/range", {"key": text(key)})).get("kvs")
            there = self._set_aside.load(key, plain(kvs[0].get("value", ""))) if kvs else None
            if not config.replaces(there if isinstance(there, FunctionConfig) else None):
                return
            revision = kvs[0]["mod_revision"] if kvs else "0"
            unchanged = {"target": "MOD", "key": text(key), "mod_revision": revision}
            answer = await self._gateway.call("kv/txn", {"compare": [unchanged], "success": [put]})
            if answer.get("succeeded"):
                return

    async def claim(self, database: str) -> str:
        there = {"request_range": {"key": text(DATABASE_KEY)}}
        put = {"request_put": {"key": text(DATABASE_KEY), "value": text(database)}}
        absent = {"target": "CREATE", "key": text(DATABASE_KEY), "create_revision": "0"}
        answer = await self._gateway.call(
            "kv/txn", {"compare": [absent], "success": [put], "failure": [there]}
        )
        if answer.get("succeeded"):
            return database
        [kv] = answer["responses"][0]["response_range"]["kvs"]
        return plain(kv.get("value", "")).decode(errors="replace")

    async def remove_function(self, function_id: str) -> None:
        await self._gateway.call("kv/deleterange", {"key": text(config_key(function_id))})

    async def set_status(
        self, function_id: str, instance_id: str, status: InstanceStatus, fence: Fence | None = None
    ) -> bool:
        """Changes the field in whatever JSON is there: fields that we don't know stay."""
        key = instance_key(function_id, instance_id)
        while True:
            answer = await self._gateway.call("kv/range", {"key": text(key)})
            if not answer.get("kvs"):
                return False
            [kv] = answer["kvs"]
            raw = plain(kv.get("value", ""))
            try:
                entry = load(key, raw)
            except ValueError:
                return False
            assert isinstance(entry, Instance)
            if entry.status is status:
                return True
            done, stands = await self._replace(kv, {**json.loads(raw), "status": status}, fence)
            if done or not stands:
                return done

    async def ask_to_drain(self, wish: DrainWish) -> bool:
        """Under the worker's own lease, so that it goes with that."""
        key = text(worker_key(wish.worker_id))
        while True:
            kvs = (await self._gateway.call("kv/range", {"key": key})).get("kvs")
            lease = str(kvs[0].get("lease", "0")) if kvs else "0"
            if lease == "0":
                return False
            still = {"target": "LEASE", "key": key, "lease": lease}
            put = {"key": text(drain_key(wish.worker_id)), "value": text(dump(wish)), "lease": lease}
            answer = await self._gateway.call(
                "kv/txn", {"compare": [still], "success": [{"request_put": put}]}
            )
            if answer.get("succeeded"):
                return True

    async def view(self) -> View:
        while True:
            self._history = await history.begun(self._gateway)
            view = await self._taken()
            # Everything may have been lost just before it was taken.
            if await history.known(self._gateway) == self._history:
                break
        if view.revision < self._seen:
            self._restores += 1  # from a backup of the same history
        self._seen = view.revision
        return replace(view, history=f"{view.history}.{self._restores}")

    async def _taken(self) -> View:
        entries: dict[str, Entry] = {}
        more, revision = [(prefix, prefix.encode()) for prefix in PREFIXES], 0
        while more:
            header, answers = await self._ranges(more, revision)
            revision = revision or int(header["revision"])
            following = []
            for (prefix, _), answer in zip(more, answers, strict=True):
                last = self._read(answer.get("kvs", ()), entries)
                if answer.get("more"):
                    following.append((prefix, last + b"\0"))
            more = following
        return View(revisions.number(revision), entries, self._history)

    def watch(self, after_revision: int, wants: Wants | None = None) -> Feed[Change]:
        watch = EtcdWatch(
            self._gateway, after_revision, self._history, self._set_aside, self._closed, wants=wants
        )
        self._watches.add(watch)
        return watch

    def _closed(self, watch: EtcdWatch) -> None:
        self._watches.discard(watch)
        self._seen = max(self._seen, watch.after)

    async def aclose(self) -> None:
        """Leases that are still open run out by themselves: who comes after may take their entries over."""
        for watch in list(self._watches):
            await watch.aclose()
        for lease in list(self._leases):
            await lease.abandon()

    async def _replace(
        self, kv: Mapping[str, Any], fields: Mapping[str, Any], fence: Fence | None
    ) -> tuple[bool, bool]:
        """Not done if it changed since it was read; whether the fence stands. It stays under its lease."""
        value = text(json.dumps(fields, ensure_ascii=False))
        unchanged = {"target": "MOD", "key": kv["key"], "mod_revision": kv["mod_revision"]}
        put = {"request_put": {"key": kv["key"], "value": value, "ignore_lease": True}}
        if fence is None:
            answer = await self._gateway.call("kv/txn", {"compare": [unchanged], "success": [put]})
            return bool(answer.get("succeeded")), True
        stands = {"target": "VALUE", "key": text(fence.key), "value": text(fence.value)}
        look = {"request_range": {"key": text(fence.key)}}
        txn = {"compare": [unchanged, stands], "success": [put], "failure": [look]}
        answer = await self._gateway.call("kv/txn", txn)
        if answer.get("succeeded"):
            return True, True
        kvs = answer["responses"][0]["response_range"].get("kvs")
        return False, bool(kvs) and kvs[0].get("value") == text(fence.value)

    async def _ranges(
        self, wanted: list[tuple[str, bytes]], revision: int
    ) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """A page of each prefix from a key on, all at one revision; 0 is the latest."""
        ranges = [
            {
                "request_range": {
                    "key": text(start),
                    "range_end": text(prefix[:-1] + chr(ord(prefix[-1]) + 1)),
                    "limit": str(self._page),
                    "revision": str(revision),
                }
            }
            for prefix, start in wanted
        ]
        try:
            answer = await self._gateway.call("kv/txn", {"success": ranges})
        except Refused as refused:
            if refused.grpc_code == OUT_OF_RANGE:
                message = "etcd was compacted while a view was taken: take a new one"
                raise StoreUnavailable(message, component="registry") from refused
            raise
        return answer["header"], [response["response_range"] for response in answer["responses"]]

    def _read(self, kvs: list[Mapping[str, Any]], entries: dict[str, Entry]) -> bytes:
        """The last key."""
        raw_key = b""
        for kv in kvs:
            raw_key = plain(kv["key"])
            key = raw_key.decode(errors="replace")
            if is_ours(key):
                entry = self._set_aside.load(key, plain(kv.get("value", "")))
                if entry is not None:
                    entries[key] = entry
        return raw_key
