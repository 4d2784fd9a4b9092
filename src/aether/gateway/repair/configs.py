"""Repairing what is between functions' rows and the registry's configurations."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress

import structlog

from aether.domain.errors import AetherError, FunctionNotFound
from aether.gateway.repair.bring import bring
from aether.gateway.repair.claim import require_same_database
from aether.ports.function_store import FunctionStore
from aether.ports.registry import Registry

log = structlog.get_logger()

EVERY_S = 15.0
"""How long a change may be unseen that was cut off between its row and the registry."""
RETRY_S = 1.0
AT_ONCE = 8


class ConfigRepair:
    """Runs in every gateway; several at once do no harm, since older generations replace nothing."""

    def __init__(
        self,
        functions: FunctionStore,
        registry: Registry,
        known: Callable[[], Mapping[str, int]],
        forget: Callable[[str], None] = lambda _function_id: None,
    ) -> None:
        """`known`: generations of the registry's configurations, by id, as this gateway has last seen them.

        `forget`: called with one that has no row: the registry may have lost it before that was told.
        """
        self._functions = functions
        self._registry = registry
        self._known = known
        self._forget = forget
        self._wake = asyncio.Event()
        self._told = ""
        self.tried = asyncio.Event()
        """Set after the first try, whatever came of it."""

    def soon(self) -> None:
        """Look now: the registry's view is new, and may lack what it had."""
        self._wake.set()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self._wake.clear()
            again_after_s = EVERY_S if await self._tried() else RETRY_S
            self.tried.set()
            with suppress(TimeoutError):
                async with asyncio.timeout(again_after_s):
                    await self._wake.wait()

    async def repair(self) -> int:
        """How many differed. Raises StoreUnavailable, with the rest left for the next time; OtherDatabase."""
        await require_same_database(self._functions, self._registry)
        # Known first: a row is written before its configuration, so what is known can't be ahead of it.
        known = dict(self._known())
        rows = await self._functions.generations()
        differ = [each for each in known.keys() | rows.keys() if known.get(each) != rows.get(each)]
        waiting, failed = list(differ), list[AetherError]()

        async def work() -> None:
            while waiting and not failed:
                function_id = waiting.pop()
                try:
                    await self._put_right(function_id, known.get(function_id, 0), rows.get(function_id))
                except AetherError as error:
                    failed.append(error)

        async with asyncio.TaskGroup() as group:
            for _ in range(min(AT_ONCE, len(differ))):
                group.create_task(work())
        if failed:
            raise failed[0]
        return len(differ)

    async def _put_right(self, function_id: str, known: int, row: int | None) -> None:
        if row is not None and known > row:
            log.warning(
                "the database is behind the registry, as after a restore: its row counts",
                function=function_id,
                generation=row,
                registry=known,
            )
            await self._functions.outgrow(function_id, known)
        try:
            await bring(function_id, self._functions, self._registry)
        except FunctionNotFound:
            self._forget(function_id)

    async def _tried(self) -> bool:
        try:
            repaired = await self.repair()
        except AetherError as error:
            if error.message != self._told:
                log.warning("configurations not compared with the database", reason=error.message)
                self._told = error.message
            return False
        self._told = ""
        if repaired:
            log.info("configurations repaired from the database", functions=repaired)
        return True
