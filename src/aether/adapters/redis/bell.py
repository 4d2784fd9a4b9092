"""Waiting until something lies in a queue, without taking it."""

from __future__ import annotations

import asyncio

from aether.adapters.redis.clients import ANSWER_WITHIN_S, WAIT_S, RedisClients, answering


class Bell:
    """For some queues. A wait that is cut or cancelled has changed nothing: there is nothing to lose."""

    def __init__(self, clients: RedisClients, queues: tuple[str, ...]) -> None:
        self._pipes = {queue: clients.another_pipe() for queue in queues}
        self._waits: dict[str, asyncio.Task[None] | None] = dict.fromkeys(queues)

    async def wait(self, only_own_for_s: float | None = None) -> None:
        """Also returns now and then when there is nothing. Raises StoreUnavailable.

        With a time, only the first queue is waited for: what lies in the others is known.
        """
        queues = list(self._waits) if only_own_for_s is None else list(self._waits)[:1]
        waits = [self._wait_on(queue) for queue in queues]
        await asyncio.wait(waits, timeout=only_own_for_s, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            if wait.done():
                wait.result()

    async def aclose(self) -> None:
        waits = [wait for wait in self._waits.values() if wait is not None]
        for wait in waits:
            wait.cancel()
        await asyncio.gather(*waits, return_exceptions=True)
        for pipe in self._pipes.values():
            await pipe.aclose()

    def _wait_on(self, queue: str) -> asyncio.Task[None]:
        """One that nobody needed any more is still under way, and serves the next."""
        wait = self._waits[queue]
        if wait is None or wait.done():
            wait = self._waits[queue] = asyncio.ensure_future(self._until_there_is(queue))
            wait.add_done_callback(_seen)
        return wait

    async def _until_there_is(self, queue: str) -> None:
        async with answering("wait for jobs", WAIT_S + ANSWER_WITHIN_S):
            # From the end that is taken from, to where it was.
            await self._pipes[queue].call("BLMOVE", queue, queue, "RIGHT", "RIGHT", WAIT_S)


def _seen(wait: asyncio.Task[None]) -> None:
    """Of several that were cut at once, one failure is raised: the others tell nothing more."""
    if not wait.cancelled():
        wait.exception()
