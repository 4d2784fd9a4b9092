"""Code that a foreign gateway changes: nobody tells of it but a notification, which may be lost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing

import structlog

from aether.domain.errors import AetherError, StoreUnavailable
from aether.ports.notifications import Notifications
from aether.worker.code_cache import CodeCache
from aether.worker.known_functions import KnownFunctions

log = structlog.get_logger()

LOOK_EVERY_S = 10.0
"""So long, and a look at each function, may old code serve whose change nobody heard of."""
RETRY_S = 0.5


class ForeignCode:
    """Has instances replaced whose code, or settings, another gateway has changed.

    Only those that were started without a sha256 of their code. What a gateway of ours changes is in the
    registry as well, whose watch can't miss it.
    """

    def __init__(
        self,
        code: CodeCache,
        notifications: Notifications,
        functions: KnownFunctions,
        drain: Callable[[str], None],
    ) -> None:
        """`drain` ends an instance, by its id, when its requests have: its gateway asks for others."""
        self._code = code
        self._notifications = notifications
        self._functions = functions
        self._drain = drain

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._listen(), name="foreign code notifications")
            group.create_task(self._look_now_and_then(), name="foreign code looks")

    async def _listen(self) -> None:
        while True:
            try:
                async with aclosing(self._notifications.subscribe()) as told:
                    async for function_id in told:
                        await self._hear(function_id)
            except StoreUnavailable as error:
                log.warning("notifications away", reason=error.message)
            await asyncio.sleep(RETRY_S)

    async def _hear(self, function_id: str) -> None:
        """A foreign gateway may have changed settings alone, which nothing but this tells."""
        instance_ids = self._code.foreign().get(function_id, [])
        if instance_ids and function_id not in self._functions:
            self._replace(function_id, instance_ids, "it was told to have changed")
        elif instance_ids:
            await self._look_at(function_id)

    async def _look_now_and_then(self) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            for function_id in self._code.foreign():
                await self._look_at(function_id)

    async def _look_at(self, function_id: str) -> None:
        try:
            outdated = await self._code.outdated(function_id)
        except AetherError as error:
            log.warning("foreign code not looked at", function=function_id, reason=error.message)
        else:
            self._replace(function_id, outdated, "its code is another now")

    def _replace(self, function_id: str, instance_ids: list[str], why: str) -> None:
        for instance_id in instance_ids:
            log.info("instance outdated", function=function_id, instance=instance_id, reason=why)
            self._drain(instance_id)
