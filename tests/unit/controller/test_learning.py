"""A controller that learns, with instances that are simulated, second by second."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.unit.controller.conftest import Cluster, busy, function, idle

from aether.domain.function import KEEP_ALIVE_FIXED, KEEP_ALIVE_LEARNED, Limits
from aether.domain.keep_alive import Learned


@dataclass
class Life:
    """One function's instance, if it has one, over some time."""

    cluster: Cluster
    limits: Limits
    name: str | None = None
    calls: int = 0
    idle_s: float = 0.0
    cold: list[int] = field(default_factory=list)
    """When calls came that found none."""
    seconds_on: int = 0
    starts: int = 0

    async def live(self, seconds: int, every_s: int) -> None:
        """A call comes each `every_s`, and takes a second."""
        config = await self.cluster.put(function(limits=self.limits))
        for second in range(seconds):
            if second % every_s == 0:
                await self._call(config, second)
            elif self.name is not None:
                self.idle_s += 1
                await self.cluster.second({self.name: idle(self.idle_s, self.calls)})
            else:
                await self.cluster.second()
            await self._come_and_go()
            self.seconds_on += self.name is not None

    async def _call(self, config, second: int) -> None:
        if self.name is None:
            self.cold.append(second)
        waiting = await self.cluster.call(config)
        if self.name is None:
            await self._come_up()
        grant = await waiting
        self.calls += 1
        await self.cluster.second({self.name: busy(1, self.calls)})
        self.cluster.activator.release(grant.slot)
        self.idle_s = 0.0

    async def _come_and_go(self) -> None:
        if self.name is not None and self.cluster.draining():
            await self.cluster.lease.remove_instance("fn-1", self.name)
            del self.cluster.loads[self.name]
            self.name = None
            await self.cluster.settle()
        elif self.name is None and await self.cluster.jobs.depth():
            await self._come_up()

    async def _come_up(self) -> None:
        self.starts += 1
        self.calls, self.idle_s, self.name = 0, 0.0, f"i-{self.starts}"
        await self.cluster.come_up(self.name, idle(0.0, calls=0))


async def test_the_calls_of_a_timer_find_an_instance_that_was_started_ahead_of_them(make):
    life = Life(await make(keep_alive=Learned()), Limits(keep_alive=KEEP_ALIVE_LEARNED))
    await life.live(seconds=5000, every_s=500)
    assert len(life.cold) <= 4
    assert life.cold[-1] < 2000
    assert life.starts >= 8
    assert life.seconds_on < 1500


async def test_the_same_without_learning_starts_one_for_each_call(make):
    life = Life(await make(keep_alive=Learned()), Limits(keep_alive=KEEP_ALIVE_FIXED))
    await life.live(seconds=2000, every_s=500)
    assert len(life.cold) == life.starts == 4
    assert life.seconds_on >= 4 * 300


async def test_what_was_learnt_is_forgotten_with_the_function(make):
    policy = Learned()
    cluster = await make(keep_alive=policy)
    life = Life(cluster, Limits(keep_alive=KEEP_ALIVE_LEARNED))
    await life.live(seconds=20, every_s=10)
    assert policy.known == 1
    await cluster.registry.remove_function("fn-1")
    await cluster.seconds(2)
    assert policy.known == 0
