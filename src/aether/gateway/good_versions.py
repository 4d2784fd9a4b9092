"""Noting which version of a function was last seen ready: what serves when a newer one never is."""

from __future__ import annotations

import asyncio

import structlog

from aether.domain.errors import AetherError, FunctionNotFound
from aether.domain.function import FunctionConfig, Version
from aether.gateway.repair import bring
from aether.ports.function_store import FunctionStore
from aether.ports.registry import Registry

log = structlog.get_logger()

RETRY_S = 1.0


class GoodVersions:
    """`seen_ready` never waits; `run` writes, at once where the stores allow it.

    At once, because an upload may follow, and the code of a version that nobody called good goes.
    """

    def __init__(self, functions: FunctionStore, registry: Registry) -> None:
        self._functions = functions
        self._registry = registry
        self._seen: dict[str, Version] = {}
        self._wake = asyncio.Event()

    def seen_ready(self, function: FunctionConfig) -> None:
        """An instance of its newest version is ready."""
        if function.good is None or function.good.revision < function.version.revision:
            self._seen[function.id] = function.version
            self._wake.set()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            for function_id, version in list(self._seen.items()):
                try:
                    await self._note(function_id, version)
                except FunctionNotFound:
                    pass
                except AetherError as error:
                    log.warning("good version not noted yet", function=function_id, reason=error.message)
                    continue
                if self._seen.get(function_id) is version:
                    del self._seen[function_id]
            if self._seen:
                await asyncio.sleep(RETRY_S)
                self._wake.set()

    async def _note(self, function_id: str, version: Version) -> None:
        """Raises FunctionNotFound."""
        await self._functions.mark_good(function_id, version)
        await bring(function_id, self._functions, self._registry)
