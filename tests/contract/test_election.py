"""What every election does: `aether.ports.election`."""

import asyncio
import time
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime

import pytest

from aether.adapters.etcd.election import EtcdElection
from aether.adapters.etcd.json_gateway import JsonGateway
from aether.adapters.etcd.registry import EtcdRegistry
from aether.adapters.memory.election import MemoryElection
from aether.adapters.memory.registry import MemoryRegistry
from aether.domain.instance import Instance, InstanceStatus

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
READY, DRAINING = InstanceStatus.READY, InstanceStatus.DRAINING


class ElectionContract:
    @asynccontextmanager
    async def opened(self):
        """An election without candidates, and the registry that its fences stand in."""
        raise NotImplementedError
        yield

    @pytest.fixture
    async def both(self):
        async with self.opened() as both:
            yield both

    @pytest.fixture
    def election(self, both):
        return both[0]

    async def test_nobody_leads_at_first(self, election):
        assert await election.leader() is None

    async def test_first_candidate_leads(self, election):
        term = await election.elected("one")
        assert term.holds
        assert await election.leader() == "one"

    async def test_another_waits_until_the_first_resigns_and_begins_at_once(self, election):
        first = await election.elected("one")
        waiting = asyncio.ensure_future(election.elected("two"))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await asyncio.shield(waiting)
        began = time.monotonic()
        await first.resign()
        assert not first.holds
        second = await waiting
        assert time.monotonic() - began < 0.1
        assert second.holds
        assert await election.leader() == "two"

    async def test_of_many_one_leads_at_a_time_and_all_in_the_end(self, election):
        leading, led = [], []

        async def lead(name):
            term = await election.elected(name)
            leading.append(name)
            assert leading == [name]
            await asyncio.sleep(0)
            leading.remove(name)
            led.append(name)
            await term.resign()

        names = [f"candidate-{number}" for number in range(6)]
        async with asyncio.timeout(10), asyncio.TaskGroup() as group:
            for name in names:
                group.create_task(lead(name))
        assert sorted(led) == names
        assert await election.leader() is None

    async def test_over_ends_with_the_term(self, election):
        term = await election.elected("one")
        over = asyncio.ensure_future(term.over())
        await asyncio.sleep(0)
        assert not over.done()
        await term.resign()
        await over

    async def test_who_resigns_twice_takes_nothing_from_the_next(self, election):
        first = await election.elected("one")
        await first.resign()
        second = await election.elected("two")
        await first.resign()
        assert second.holds
        assert await election.leader() == "two"

    async def test_candidate_that_waits_no_more_is_not_elected(self, election):
        first = await election.elected("one")
        waiting = asyncio.ensure_future(election.elected("two"))
        await asyncio.sleep(0.05)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await first.resign()
        assert (await election.elected("three")).holds

    async def test_terms_of_one_candidate_have_fences_of_their_own(self, election):
        first = await election.elected("one")
        await first.resign()
        assert (await election.elected("one")).fence != first.fence

    async def test_leader_may_change_an_instance_and_who_led_before_may_not(self, both):
        election, registry = both
        lease = await registry.lease("wrk-1")
        await lease.put_instance(
            Instance("inst-1", "fn-1", "wrk-1", "10.0.0.1", 30000, "10.0.2.15", READY, NOW)
        )
        first = await election.elected("one")
        await first.resign()
        assert not await registry.set_status("fn-1", "inst-1", DRAINING, first.fence)
        second = await election.elected("two")
        assert not await registry.set_status("fn-1", "inst-1", DRAINING, first.fence)
        assert [i.status for i in (await registry.view()).entries.values()] == [READY]
        assert await registry.set_status("fn-1", "inst-1", DRAINING, second.fence)
        assert [i.status for i in (await registry.view()).entries.values()] == [DRAINING]
        assert not await registry.set_status("fn-1", "inst-2", DRAINING, second.fence)
        await lease.close()


class TestMemoryElection(ElectionContract):
    @asynccontextmanager
    async def opened(self):
        registry = MemoryRegistry()
        yield MemoryElection(registry), registry


class TestEtcdElection(ElectionContract):
    @pytest.fixture(autouse=True)
    def server(self, etcd_server):
        self.url = etcd_server.url

    @asynccontextmanager
    async def opened(self):
        async with aclosing(JsonGateway([self.url])) as gateway:
            await gateway.call("kv/deleterange", {"key": "AA==", "range_end": "AA=="})
            async with (
                aclosing(EtcdRegistry(gateway)) as registry,
                aclosing(EtcdElection(gateway)) as election,
            ):
                yield election, registry
