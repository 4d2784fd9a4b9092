"""The scripts, as calls."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from redis.asyncio.client import Pipeline
from redis.commands.core import AsyncScript

from aether.adapters.redis import scripts
from aether.adapters.redis.clients import RedisClients, answering


class Scripts:
    def __init__(self, clients: RedisClients) -> None:
        self._scripts: dict[str, AsyncScript] = {
            name: clients.commands.register_script(scripts.load(name)) for name in scripts.NAMES
        }

    async def run(self, name: str, keys: Sequence[str], arguments: Sequence[Any]) -> Any:
        """Raises StoreUnavailable."""
        async with answering(name.replace("_", " ")):
            return await self._scripts[name](keys=list(keys), args=list(arguments))

    async def add(self, pipeline: Pipeline, name: str, keys: Sequence[str], arguments: Sequence[Any]) -> None:
        """To what the pipeline does when it is executed."""
        await self._scripts[name](keys=list(keys), args=list(arguments), client=pipeline)
