"""The registry port in one process."""

from __future__ import annotations

from dataclasses import replace

from aether.adapters.memory.history_watch import HistoryWatch
from aether.domain.errors import StoreUnavailable
from aether.domain.function import FunctionConfig
from aether.domain.gateway import GatewayRecord
from aether.domain.instance import Instance, InstanceStatus
from aether.domain.worker import DrainWish, Worker
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
    gateway_key,
    instance_key,
    worker_key,
)


class MemoryRegistry:
    """Implements `aether.ports.registry.Registry`. Every change has a revision of its own, from 1 on."""

    def __init__(self, *, history: int = 20_000) -> None:
        """`history`: changes kept at least for watches that are behind; at most twice that."""
        self._history = history
        self._changes: list[Change] = []
        self._revision = 0
        self._database = ""
        self._entries: dict[str, Entry] = {}
        self.fences: dict[str, str] = {}
        """Of elections, by key."""
        self._owners: dict[str, _MemoryLease] = {}
        self.firsts: dict[str, str] = {}
        """By request, which instance is the first."""
        self._watches: set[HistoryWatch] = set()

    async def lease(self, worker_id: str) -> Lease:
        return _MemoryLease(self, worker_id)

    async def put_function(self, config: FunctionConfig) -> None:
        there = self._entries.get(config_key(config.id))
        if config.replaces(there if isinstance(there, FunctionConfig) else None):
            self.record(config_key(config.id), config)

    async def claim(self, database: str) -> str:
        self._database = self._database or database
        return self._database

    async def remove_function(self, function_id: str) -> None:
        self.record(config_key(function_id), None)

    async def set_status(
        self, function_id: str, instance_id: str, status: InstanceStatus, fence: Fence | None = None
    ) -> bool:
        if fence is not None and self.fences.get(fence.key) != fence.value:
            return False
        key = instance_key(function_id, instance_id)
        current = self._entries.get(key)
        if not isinstance(current, Instance):
            return False
        if current.status is not status:
            self.record(key, replace(current, status=status), self._owners.get(key))
        return True

    async def ask_to_drain(self, wish: DrainWish) -> bool:
        owner = self._owners.get(worker_key(wish.worker_id))
        if owner is None:
            return False
        self.record(drain_key(wish.worker_id), wish, owner)
        return True

    async def view(self) -> View:
        return View(self._revision, dict(self._entries))

    def watch(self, after_revision: int, wants: Wants | None = None) -> Feed[Change]:
        watch = HistoryWatch(self.changes_after, after_revision, self._watches.discard, wants)
        self._watches.add(watch)
        return watch

    def record(self, key: str, value: Entry | None, owner: _MemoryLease | None = None) -> None:
        """Put or remove an entry. Removing what isn't there changes nothing."""
        self._owners.pop(key, None)
        if value is not None:
            self._entries[key] = value
            if owner is not None:
                self._owners[key] = owner
        elif self._entries.pop(key, None) is None:
            return
        self._revision += 1
        self._changes.append(Change(self._revision, key, value))
        if len(self._changes) > 2 * self._history:
            del self._changes[: self._history]
        for watch in self._watches:
            watch.wake()

    def worker_of_another(self, worker_id: str, lease: _MemoryLease) -> Worker | None:
        """The record under that id, where another lease holds it."""
        key = worker_key(worker_id)
        there = self._entries.get(key)
        if self._owners.get(key) is lease or not isinstance(there, Worker):
            return None
        return there

    def owned_by(self, lease: _MemoryLease) -> list[str]:
        return [key for key, owner in self._owners.items() if owner is lease]

    def changes_after(self, revision: int) -> Change | None:
        """The first change after `revision`, if there is one. Raises StoreUnavailable if forgotten."""
        if revision >= self._revision:
            return None
        oldest = self._changes[0].revision
        if revision + 1 < oldest:
            raise StoreUnavailable(
                f"the registry's history begins at revision {oldest}, after {revision}: take a new view"
            )
        # Revisions are consecutive, so the place in the list follows from the number.
        return self._changes[revision + 1 - oldest]


class _MemoryLease:
    """Implements `aether.ports.registry.Lease`: owns the keys it put last."""

    def __init__(self, registry: MemoryRegistry, worker_id: str) -> None:
        self._registry = registry
        self._worker_id = worker_id
        self._open = True
        self._requests: set[str] = set()

    @property
    def worker_id(self) -> str:
        return self._worker_id

    async def take_worker(self, worker: Worker) -> Worker | None:
        there = self._registry.worker_of_another(worker.id, self)
        if there is not None and there.home != worker.home:
            return there
        self._put(worker_key(worker.id), worker)
        return None

    async def put_worker(self, worker: Worker) -> None:
        if self._registry.worker_of_another(worker.id, self) is None:
            self._put(worker_key(worker.id), worker)

    async def put_first(self, instance: Instance, request_id: str) -> str:
        first = self._registry.firsts.setdefault(request_id, instance.instance_id)
        if first == instance.instance_id:
            self._requests.add(request_id)
            await self.put_instance(instance)
        return first

    async def release_request(self, request_id: str) -> None:
        if request_id in self._requests:
            self._requests.discard(request_id)
            self._registry.firsts.pop(request_id, None)

    async def put_instance(self, instance: Instance) -> None:
        self._put(instance_key(instance.function_id, instance.instance_id), instance)

    async def put_gateway(self, gateway: GatewayRecord) -> None:
        self._put(gateway_key(gateway.id), gateway)

    async def remove_instance(self, function_id: str, instance_id: str) -> None:
        self._registry.record(instance_key(function_id, instance_id), None)

    async def close(self) -> None:
        self._open = False
        for request_id in list(self._requests):
            await self.release_request(request_id)
        for key in self._registry.owned_by(self):
            self._registry.record(key, None)

    def _put(self, key: str, entry: Worker | Instance | GatewayRecord) -> None:
        if not self._open:
            raise StoreUnavailable(f"the lease of {self._worker_id} is closed", component="worker")
        self._registry.record(key, entry, self)
