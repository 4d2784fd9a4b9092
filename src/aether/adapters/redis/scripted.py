"""The scripts, as calls."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from redis.exceptions import NoScriptError

from aether.adapters.redis import scripts
from aether.adapters.redis.clients import RedisClients, answering
from aether.adapters.redis.pipe import Argument


class Scripts:
    """Known to Redis by their digest, and told in full where it has forgotten them."""

    def __init__(self, clients: RedisClients) -> None:
        self._pipe = clients.pipe
        self._scripts = {name: scripts.load(name) for name in scripts.NAMES}
        self._digests = {
            name: hashlib.sha1(text.encode()).hexdigest()  # noqa: S324 (how Redis names them)
            for name, text in self._scripts.items()
        }

    async def run(self, name: str, keys: Sequence[str], arguments: Sequence[Argument]) -> Any:
        """Raises StoreUnavailable."""
        async with answering(name.replace("_", " ")):
            try:
                return await self._pipe.call("EVALSHA", self._digests[name], len(keys), *keys, *arguments)
            except NoScriptError:
                return await self._pipe.call("EVAL", self._scripts[name], len(keys), *keys, *arguments)
