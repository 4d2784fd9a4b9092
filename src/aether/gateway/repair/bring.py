"""Bringing the registry's configuration of a function to its row."""

from __future__ import annotations

from aether.domain.errors import FunctionNotFound
from aether.ports.function_store import FunctionStore
from aether.ports.registry import Registry


async def bring(function_id: str, functions: FunctionStore, registry: Registry) -> None:
    """Also when the row changes, or goes, while that is done: it is looked at once more at the end.

    Raises FunctionNotFound when it is gone, after the configuration is.
    """
    try:
        config = (await functions.get(function_id)).to_config()
        while True:
            await registry.put_function(config)
            now = (await functions.get(function_id)).to_config()
            if now == config:
                return
            config = now
    except FunctionNotFound:
        await registry.remove_function(function_id)
        raise
