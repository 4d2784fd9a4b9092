"""Instances that were told to drain: each is told once."""

from __future__ import annotations

from collections.abc import Iterable

from aether.domain.instance import Instance, InstanceStatus
from aether.ports.election import Term
from aether.ports.registry import Registry

TELL_AGAIN_S = 10.0
"""One that is still shown as ready after so long has not heard of it."""


class Leaving:
    """Knows of a drain before the registry's watch brings it back."""

    def __init__(self, registry: Registry, term: Term | None = None) -> None:
        """`term` of who tells, if it is one of several candidates."""
        self._registry = registry
        self._term = term
        self._told_at_s: dict[str, float] = {}

    def __contains__(self, instance: object) -> bool:
        if not isinstance(instance, Instance):
            return False
        drains = instance.status is InstanceStatus.DRAINING and not instance.restarting
        return drains or instance.instance_id in self._told_at_s

    async def tell(self, instance: Instance, now_s: float) -> None:
        """Mark it as draining; the worker does the rest. Raises StoreUnavailable: then it was not told.

        Nothing when another may lead by now.
        """
        if self._term is not None and not self._term.holds:
            return
        self._told_at_s[instance.instance_id] = now_s
        try:
            await self._registry.set_status(
                instance.function_id,
                instance.instance_id,
                InstanceStatus.DRAINING,
                self._term.fence if self._term is not None else None,
            )
        except BaseException:
            del self._told_at_s[instance.instance_id]
            raise

    def prune(self, instances: Iterable[Instance], now_s: float) -> None:
        """Forget what has gone or drains, and what may be told again."""
        ready = {i.instance_id for i in instances if i.status is InstanceStatus.READY}
        self._told_at_s = {
            name: at_s
            for name, at_s in self._told_at_s.items()
            if name in ready and now_s - at_s < TELL_AGAIN_S
        }

    def __bool__(self) -> bool:
        return bool(self._told_at_s)
