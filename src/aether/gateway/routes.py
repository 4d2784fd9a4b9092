"""The instances that requests can go to: a dictionary, kept current by a registry watch."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterable
from contextlib import aclosing

import structlog

from aether.domain.errors import StoreUnavailable
from aether.domain.function import FunctionConfig, Version
from aether.domain.instance import Instance, InstanceStatus
from aether.domain.worker import Worker
from aether.gateway.rollouts import Rollouts
from aether.ports.registry import Change, Entry, Registry, View

log = structlog.get_logger()

RETRY_WATCH_S = 0.5


class Slot:
    """An instance as this gateway sees it: the record, and the requests it has there itself."""

    __slots__ = ("in_flight", "instance", "lost")

    def __init__(self, instance: Instance) -> None:
        self.instance = instance
        self.in_flight = 0
        self.lost = False
        """It refused or could not be reached: not chosen until the registry says something new."""

    def serves(self, revision: int) -> bool:
        """Whether it may get requests meant for that revision; a foreign worker's tells none."""
        return (
            self.instance.status is InstanceStatus.READY
            and not self.lost
            and self.instance.revision in (revision, None)
        )


class RouteTable:
    """Functions, instances and workers, as last known. Reads touch no store and never wait."""

    def __init__(self, base_domain: str = "") -> None:
        self._base_domain = base_domain
        self.on_change: Callable[[str], None] = lambda _function_id: None
        """Called with a function's id whenever its configuration or its instances changed."""
        self.on_ready: Callable[[FunctionConfig], None] = lambda _function: None
        """Called when an instance of a function's newest version is ready."""
        self.loaded = asyncio.Event()
        self.workers: dict[str, Worker] = {}
        self.revision = 0
        self._functions: dict[str, FunctionConfig] = {}
        self._ids_by_name: dict[str, str] = {}
        self._slots: dict[str, dict[str, Slot]] = {}
        self._ids_by_domain: dict[str, str] = {}
        self.rollouts = Rollouts()
        self._settling: list[tuple[Callable[[], bool], asyncio.Future[None]]] = []

    # What requests ask

    def find(self, id_or_name: str) -> FunctionConfig | None:
        return self._functions.get(self._ids_by_name.get(id_or_name, id_or_name))

    @property
    def has_hosts(self) -> bool:
        """Whether any host name can mean a function."""
        return bool(self._base_domain or self._ids_by_domain)

    def find_by_host(self, host: str) -> FunctionConfig | None:
        """The function that has this domain, or the name before the base domain."""
        function_id = self._ids_by_domain.get(host)
        if function_id is not None:
            return self._functions.get(function_id)
        name, dot, rest = host.partition(".")
        return self.find(name) if dot and rest == self._base_domain else None

    def owns_host(self, host: str) -> bool:
        """Whether such a host can only mean a function, there or not."""
        return bool(self._base_domain) and host.endswith("." + self._base_domain)

    def functions(self) -> Iterable[FunctionConfig]:
        return self._functions.values()

    def slots(self, function_id: str) -> Iterable[Slot]:
        return self._slots.get(function_id, {}).values()

    def instances(self, function_id: str) -> list[Instance]:
        return [slot.instance for slot in self.slots(function_id)]

    def serving(self, function: FunctionConfig) -> Version:
        """The version that answers: the newest, or the last good one if the newest is broken."""
        if function.good is not None and self.rollouts.is_broken(function):
            return function.good
        return function.version

    def pick(self, function: FunctionConfig) -> Slot | None:
        """An instance with room, the less loaded of two random ones; one request more is counted on it."""
        revision = self.serving(function).revision
        limit = function.limits.max_concurrency
        free = [s for s in self.slots(function.id) if s.in_flight < limit and s.serves(revision)]
        if not free:
            return None
        pair = random.sample(free, 2) if len(free) > 1 else free
        slot = min(pair, key=lambda s: s.in_flight)
        slot.in_flight += 1
        return slot

    def ready(self, function: FunctionConfig) -> int:
        """How many instances serve now, with room or without."""
        revision = self.serving(function).revision
        return sum(slot.serves(revision) for slot in self.slots(function.id))

    def has_room(self, memory_mib: int) -> bool:
        """Whether any worker says it could start such an instance."""
        need = memory_mib << 20
        return any(w.free_mem >= need and w.free_slots > 0 and not w.draining for w in self.workers.values())

    def is_broken(self, function: FunctionConfig) -> bool:
        """The newest version never got ready: until it does, or changes, the last good one serves."""
        return self.rollouts.is_broken(function)

    # How it is kept current

    async def follow(self, registry: Registry) -> None:
        """For ever. While the registry is away, everything stays as last known."""
        while True:
            try:
                view = await registry.view()
                self._load(view)
                async with aclosing(registry.watch(view.revision)) as changes:
                    async for change in changes:
                        self._apply(change)
            except StoreUnavailable as error:
                log.warning("registry away, routes stay as last known", reason=error.message)
                await asyncio.sleep(RETRY_WATCH_S)

    async def settled(self, function_id: str, config: FunctionConfig | None) -> None:
        """Until this configuration (None: that there is none), or a newer one, has arrived here."""

        def done() -> bool:
            known = self._functions.get(function_id)
            if known is None or config is None:
                return known is config
            return known == config or known.version.revision > config.version.revision

        if not done():
            future = asyncio.get_running_loop().create_future()
            self._settling.append((done, future))
            await future

    def _load(self, view: View) -> None:
        gone = self._keys() - view.entries.keys()
        for key, entry in view.entries.items():
            self._put(key, entry)
        for key in gone:
            self._remove(key)
        self._after(view.revision)
        self.loaded.set()

    def _apply(self, change: Change) -> None:
        if change.value is None:
            self._remove(change.key)
        else:
            self._put(change.key, change.value)
        self._after(change.revision)

    def _after(self, revision: int) -> None:
        self.revision = revision
        for done, future in self._settling:
            if done() and not future.done():
                future.set_result(None)
        self._settling = [(done, future) for done, future in self._settling if not future.done()]

    def _keys(self) -> set[str]:
        keys = {f"/workers/{w}" for w in self.workers} | {f"/config/functions/{f}" for f in self._functions}
        return keys | {f"/functions/{f}/instances/{i}" for f, slots in self._slots.items() for i in slots}

    def _put(self, _key: str, entry: Entry) -> None:
        match entry:
            case Worker():
                self.workers[entry.id] = entry
            case Instance():
                self._put_instance(entry)
            case FunctionConfig():
                self._put_function(entry)

    def _put_function(self, config: FunctionConfig) -> None:
        self._unindex(self._functions.get(config.id))
        self._functions[config.id] = config
        self._ids_by_name[config.name] = config.id
        self._ids_by_domain.update(dict.fromkeys(config.domains, config.id))
        self.on_change(config.id)

    def _unindex(self, config: FunctionConfig | None) -> None:
        """Take a function's names away, unless another has them by now."""
        if config is None:
            return
        for index, name in (
            (self._ids_by_name, config.name),
            *((self._ids_by_domain, d) for d in config.domains),
        ):
            if index.get(name) == config.id:
                del index[name]

    def _put_instance(self, instance: Instance) -> None:
        slots = self._slots.setdefault(instance.function_id, {})
        slot = slots.get(instance.instance_id)
        if slot is None:
            slots[instance.instance_id] = Slot(instance)
        else:
            slot.instance, slot.lost = instance, False
        function = self._functions.get(instance.function_id)
        if function is not None and function.version.revision == instance.revision:
            self.rollouts.ready(function)
            self.on_ready(function)
        self.on_change(instance.function_id)

    def _remove(self, key: str) -> None:
        match key.split("/"):
            case ["", "workers", worker_id]:
                self.workers.pop(worker_id, None)
            case ["", "functions", function_id, "instances", instance_id]:
                slots = self._slots.get(function_id, {})
                slot = slots.pop(instance_id, None)
                if not slots:
                    self._slots.pop(function_id, None)
                if slot is not None:
                    slot.lost = True
                self.on_change(function_id)
            case ["", "config", "functions", function_id]:
                self._unindex(self._functions.pop(function_id, None))
                self.rollouts.forget(function_id)
                self.on_change(function_id)
