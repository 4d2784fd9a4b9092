"""Who is there: workers, their instances, gateways, and each function's configuration."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from aether.domain.function import FunctionConfig
from aether.domain.gateway import GatewayRecord
from aether.domain.instance import Instance, InstanceStatus
from aether.domain.worker import DrainWish, Worker
from aether.ports.election import Fence
from aether.ports.feed import Feed

Wants = Callable[[str], bool]
"""Whether a reader has any use for what lies under a key, asked when it changes."""

Entry = Worker | Instance | FunctionConfig | GatewayRecord | DrainWish


@dataclass(frozen=True, slots=True)
class Change:
    """`value` is the entry now, or None when it is gone; `key` as in the wire contract."""

    revision: int
    key: str
    value: Entry | None


@dataclass(frozen=True, slots=True)
class View:
    """Everything at one revision: what a watch starts from."""

    revision: int
    entries: dict[str, Entry]
    history: str = ""
    """Another than of the view before where the engine lost what it had, as one that was restored, empty or
    from a backup: what it lacks need not be gone, its owners put it again."""


class Lease(Protocol):
    """Keeps the entries of a worker or a gateway alive, until it is closed or its holder dies.

    What is put and removed while the engine is away is kept, and so when it is back: nothing here raises
    for that. Raises StoreUnavailable for an entry that the engine will not have, and when it is closed.
    """

    @property
    def worker_id(self) -> str:
        """Of the holder, which may be a gateway."""
        ...

    async def take_worker(self, worker: Worker) -> Worker | None:
        """Put the record of a worker that begins; None, or the record of another `home` that has its id.

        What an earlier process of the same home left is replaced. Raises StoreUnavailable when the engine
        is away.
        """
        ...

    async def put_worker(self, worker: Worker) -> None:
        """Nothing is put where another lease has the id, as after one's own was lost: the watch tells."""
        ...

    async def put_instance(self, instance: Instance) -> None: ...

    async def put_first(self, instance: Instance, request_id: str) -> str:
        """Put an instance if it is the first for that request; the id of the one that is.

        Waits while the engine is away: nobody is to see a later one, not for a moment.
        """
        ...

    async def release_request(self, request_id: str) -> None:
        """No later one can come for it any more. Idempotent."""
        ...

    async def put_gateway(self, gateway: GatewayRecord) -> None: ...

    async def remove_instance(self, function_id: str, instance_id: str) -> None:
        """Idempotent."""
        ...

    async def close(self) -> None:
        """All that it put goes from the registry."""
        ...


class Registry(Protocol):
    """Revisions grow by every change. Raises StoreUnavailable when the engine is away.

    A watch from the view's revision sees every later change exactly once, in order. The engine keeps
    a bounded history: who is too far behind gets StoreUnavailable, and begins with a new view.
    """

    async def lease(self, worker_id: str) -> Lease:
        """A lease in the name of a worker or a gateway. What an earlier lease of it held stays with that."""
        ...

    async def put_function(self, config: FunctionConfig) -> None:
        """Only ever replaces an older generation, or one without: who comes late changes nothing."""
        ...

    async def claim(self, database: str) -> str:
        """Which function store the configurations are copies of: this one, if nobody has said so before."""
        ...

    async def remove_function(self, function_id: str) -> None:
        """Idempotent; instances are their workers' to remove."""
        ...

    async def set_status(
        self, function_id: str, instance_id: str, status: InstanceStatus, fence: Fence | None = None
    ) -> bool:
        """Change the status of an instance and nothing else of it; False if it is gone.

        With a fence only while that stands; False if it does not any more.
        """
        ...

    async def ask_to_drain(self, wish: DrainWish) -> bool:
        """Noted for as long as that worker's lease lives; False if there is no such worker."""
        ...

    async def view(self) -> View: ...

    def watch(self, after_revision: int, wants: Wants | None = None) -> Feed[Change]:
        """Changes after a revision, for ever; the caller closes the iterator (`aclosing`).

        Of keys that it doesn't want it is told nothing, and nothing is read.
        """
        ...


def worker_key(worker_id: str) -> str:
    return f"/workers/{worker_id}"


def instance_key(function_id: str, instance_id: str) -> str:
    return f"/functions/{function_id}/instances/{instance_id}"


def config_key(function_id: str) -> str:
    return f"/config/functions/{function_id}"


def gateway_key(gateway_id: str) -> str:
    return f"/aether/gateways/{gateway_id}"


def drain_key(worker_id: str) -> str:
    return f"/aether/drains/{worker_id}"
