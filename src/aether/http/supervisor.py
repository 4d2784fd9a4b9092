"""The owner of the relay's tasks: cold starts and connects, the only things it awaits."""

import asyncio
from collections.abc import Coroutine


class Supervisor:
    """Keeps every task until it ends, reports what one of them raises, and ends them all on close."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            report(self._loop, "A relay task failed", error)

    async def close(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def report(loop: asyncio.AbstractEventLoop, message: str, error: BaseException) -> None:
    """Tell the loop's exception handler of an error that must not stop the relay."""
    loop.call_exception_handler({"message": message, "exception": error})
