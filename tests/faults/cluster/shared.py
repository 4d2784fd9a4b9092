"""The cluster that scenarios of one kind play on, one after the other."""

from __future__ import annotations

import sys
from contextlib import AsyncExitStack
from typing import Self

from tests.api import until
from tests.cluster.cluster import Cluster, Plan, running
from tests.faults.cluster.functions import all_there, deploy_all

PLANS = {
    "simulated": Plan(
        vmm="simulated",
        worker=(sys.executable, "-m", "tests.faults.cluster.worker"),
    ),
    "microvm": Plan(workers=1),
}
WHOLE_WITHIN_S = 30.0


class Shared:
    """Use as a context: what is there in the end goes with it."""

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._stack = AsyncExitStack()
        self.now: Cluster | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def cluster(self) -> Cluster:
        """One that is whole: that of the scenario before, or a new one."""
        if self.now is None:
            self.now = await self._stack.enter_async_context(running(PLANS[self._kind]))
            if self._kind == "simulated":
                await deploy_all(self.now.api[0])
                await until(self.whole, WHOLE_WITHIN_S, "all functions' instances")
        return self.now

    async def whole(self) -> bool:
        """All processes are up and know each other, and every function has its instances, by each gateway."""
        cluster = self.now
        if cluster is None or not await cluster.is_up():
            return False
        return self._kind != "simulated" or all([await all_there(api) for api in cluster.api])

    async def give_up(self) -> list[str]:
        """End it; what did not end well. The next one who asks gets a new one."""
        self.now = None
        try:
            await self._stack.aclose()
        except RuntimeError as error:
            return [str(error)]
        return []
