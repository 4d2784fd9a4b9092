"""The instances that requests can go to: a dictionary, kept current by a registry watch."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextlib import aclosing

import structlog

from aether.domain.errors import StoreUnavailable
from aether.domain.function import FunctionConfig, Version
from aether.domain.gateway import GatewayRecord
from aether.domain.instance import Instance, InstanceStatus
from aether.domain.memory import why_no_room
from aether.domain.placement import may_take
from aether.domain.worker import Worker
from aether.gateway.held import Held
from aether.gateway.holders import Holders
from aether.gateway.names import Names
from aether.gateway.places import Places, Slot
from aether.gateway.rollouts import Rollouts
from aether.gateway.settling import Settling
from aether.ports.registry import Change, Entry, Registry, View, config_key

log = structlog.get_logger()

RETRY_WATCH_S = 0.5


class RouteTable:
    """Functions, instances and workers, as last known. Reads touch no store and never wait."""

    def __init__(self, base_domain: str = "") -> None:
        self.names = Names(base_domain)
        self._functions = self.names.functions
        self.find = self.names.find
        self.on_change: Callable[[str], None] = lambda _function_id: None
        """Called with a function's id whenever its configuration or its instances changed."""
        self.on_ready: Callable[[FunctionConfig], None] = lambda _function: None
        """Called when an instance of a function's newest version is ready."""
        self.on_instance: Callable[[Instance], None] = lambda _instance: None
        """Called with an instance that was not there before."""
        self.on_foreign: Callable[[str], None] = lambda _function_id: None
        """Called with a function's id when an instance appears that tells no revision."""
        self.on_worker: Callable[[Worker], None] = lambda _worker: None
        """Called with a worker's heartbeat."""
        self.on_worker_gone: Callable[[str], None] = lambda _worker_id: None
        self.on_gateway: Callable[[GatewayRecord], None] = lambda _gateway: None
        """Called with what a gateway tells, this one too."""
        self.on_gateway_gone: Callable[[str], None] = lambda _gateway_id: None
        self.on_leaving: Callable[[Instance], None] = lambda _instance: None
        """Called when an instance drains, or has gone: it is to get no request any more."""
        self.on_view: Callable[[], None] = lambda: None
        """Called when all was looked at anew: what the registry lacks may be what it lost."""
        self.loaded = asyncio.Event()
        self.workers: dict[str, Worker] = {}
        self.gateways: dict[str, GatewayRecord] = {}
        self.unreachable: dict[str, str] = {}
        """Workers whose instances can't be called from here, and why."""
        self.holders = Holders()
        self.revision = 0
        self._history: str | None = None
        self._held = Held(self._remove)
        self._slots: dict[str, dict[str, Slot]] = {}
        self._places: dict[str, Places] = {}
        self.rollouts = Rollouts()
        self.is_broken = self.rollouts.is_broken
        self._settling = Settling(self._functions, self.rolls)
        self.settled, self.rolled_out = self._settling.settled, self._settling.rolled_out

    # What requests ask

    def functions(self) -> Iterable[FunctionConfig]:
        return self._functions.values()

    def slots(self, function_id: str) -> Iterable[Slot]:
        return self._slots.get(function_id, {}).values()

    def instances(self, function_id: str) -> list[Instance]:
        return [slot.instance for slot in self.slots(function_id)]

    def serving(self, function: FunctionConfig) -> Version:
        """The version that answers: the newest, or the last good one if the newest is broken or to come."""
        if function.good is not None and (self.is_broken(function) or self.rolls(function)):
            return function.good
        return function.version

    def rolls(self, function: FunctionConfig) -> bool:
        """The newest version has no instance yet, and the good one before it has: that serves meanwhile."""
        if function.good is None or not self.rollouts.is_pending(function):
            return False
        good = function.good.revision
        return any(s.instance.revision == good and s.serves(good) for s in self.slots(function.id))

    def pick(self, function: FunctionConfig, avoid: Slot | None = None) -> Slot | None:
        """An instance with room, the less loaded of two random ones; one request more is counted on it."""
        places = self._places.get(function.id)
        return None if places is None else places.take(avoid)

    def places(self, function_id: str) -> Places | None:
        """None for a function that is not there."""
        return self._places.get(function_id)

    def release(self, slot: Slot) -> None:
        """A request that was counted on it has ended."""
        places = self._places.get(slot.instance.function_id)
        if places is None:
            slot.in_flight -= 1
        else:
            places.give_back(slot)

    def lose(self, slot: Slot) -> None:
        """It can't be reached, or refuses: not to be chosen until the registry says something new."""
        if not slot.lost:
            slot.lost = True
            self.changed(slot.instance.function_id)

    def ready(self, function: FunctionConfig) -> int:
        """How many instances serve now, with room or without."""
        places = self._places.get(function.id)
        return 0 if places is None else places.ready

    def has_room(self, memory_mib: int) -> bool:
        """Whether any worker says it could start such an instance, or might without saying so."""
        return any(why_no_room(w, memory_mib) is None or may_take(w) for w in self.workers.values())

    # How it is kept current

    def changed(self, function_id: str) -> None:
        """Its configuration, its instances, or which version serves, may be another."""
        function = self._functions.get(function_id)
        if function is None:
            self._places.pop(function_id, None)
        else:
            places = self._places.get(function_id)
            if places is None:
                places = self._places[function_id] = Places()
            revision = self.serving(function).revision
            places.renew(self.slots(function_id), revision, function.limits.max_concurrency)
        self._settling.look()
        self.on_change(function_id)

    def generations(self) -> dict[str, int]:
        """Of the registry's configurations; 0 for one that it has lost."""
        lost = self._held
        return {f.id: 0 if config_key(f.id) in lost else f.generation for f in self._functions.values()}

    def forget(self, function_id: str) -> None:
        """It turned out to be gone."""
        if function_id in self._functions:
            self._remove(config_key(function_id))

    async def follow(self, registry: Registry) -> None:
        """For ever. While the registry is away, everything stays as last known."""
        try:
            while True:
                try:
                    view = await registry.view()
                    self._held.heard()
                    self._load(view)
                    async with aclosing(registry.watch(view.revision)) as changes:
                        async for change in changes:
                            self._held.heard()
                            self._apply(change)
                except StoreUnavailable as error:
                    log.warning("registry away, routes stay as last known", reason=error.message)
                    await asyncio.sleep(RETRY_WATCH_S)
        finally:
            self._held.close()

    def _load(self, view: View) -> None:
        gone = self._keys() - view.entries.keys()
        for entry in view.entries.values():
            self._put(entry)
        if self._history not in (None, view.history):
            log.warning("the registry lost what it had, routes stay until it is put again", entries=len(gone))
            self._held.hold(gone)
        self._held.hold(filter(self._held.doubts, gone))
        self._history = view.history
        self._held.seen(view.entries)
        for key in gone:
            if key not in self._held:
                self._remove(key)
        self.revision = view.revision
        self.loaded.set()
        self.on_view()

    def _apply(self, change: Change) -> None:
        if change.value is None and self._held.doubts(change.key):
            self._held.hold([change.key])
            self.revision = change.revision
            return
        self._held.seen([change.key])
        if change.value is None:
            self._remove(change.key)
        else:
            self._put(change.value)
        self.revision = change.revision

    def _keys(self) -> set[str]:
        keys = {f"/workers/{w}" for w in self.workers} | {f"/config/functions/{f}" for f in self._functions}
        keys |= {f"/aether/gateways/{g}" for g in self.gateways}
        return keys | {f"/functions/{f}/instances/{i}" for f, slots in self._slots.items() for i in slots}

    def _put(self, entry: Entry) -> None:
        match entry:
            case Worker():
                self.workers[entry.id] = entry
                self.on_worker(entry)
            case Instance():
                self._put_instance(entry)
            case FunctionConfig():
                self.names.put(entry)
                if any(i.revision == entry.version.revision for i in self.instances(entry.id)):
                    self._newest_is_there(entry)
                self.changed(entry.id)
            case GatewayRecord():
                self.gateways[entry.id] = entry
                self.on_gateway(entry)

    def _put_instance(self, instance: Instance) -> None:
        slots = self._slots.setdefault(instance.function_id, {})
        slot = slots.get(instance.instance_id)
        if slot is None:
            slots[instance.instance_id] = Slot(instance)
            self.on_instance(instance)
            if instance.revision is None:
                self.on_foreign(instance.function_id)
        else:
            slot.renew(instance)
        if instance.status is InstanceStatus.DRAINING:
            self.on_leaving(instance)
        function = self._functions.get(instance.function_id)
        if function is not None:
            self.holders.saw(function, instance)
        if function is not None and function.version.revision == instance.revision:
            self._newest_is_there(function)
        self.changed(instance.function_id)

    def _newest_is_there(self, function: FunctionConfig) -> None:
        self.rollouts.ready(function)
        self.on_ready(function)

    def _remove(self, key: str) -> None:
        match key.split("/"):
            case ["", "workers", worker_id]:
                self.workers.pop(worker_id, None)
                self.on_worker_gone(worker_id)
            case ["", "aether", "gateways", gateway_id]:
                self.gateways.pop(gateway_id, None)
                self.on_gateway_gone(gateway_id)
            case ["", "functions", function_id, "instances", instance_id]:
                slots = self._slots.get(function_id, {})
                slot = slots.pop(instance_id, None)
                if not slots:
                    self._slots.pop(function_id, None)
                if slot is not None:
                    slot.gone()
                    self.on_leaving(slot.instance)
                self.changed(function_id)
            case ["", "config", "functions", function_id]:
                self.names.remove(function_id)
                self.rollouts.forget(function_id)
                self.changed(function_id)
