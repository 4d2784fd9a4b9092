"""What every registry does: `aether.ports.registry`."""

import asyncio
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aether.adapters.etcd.json_gateway import JsonGateway
from aether.adapters.etcd.registry import EtcdRegistry
from aether.adapters.memory.registry import MemoryRegistry
from aether.domain.errors import StoreUnavailable
from aether.domain.function import FunctionConfig, Limits, Version
from aether.domain.gateway import GatewayRecord
from aether.domain.instance import Instance, InstanceStatus
from aether.domain.worker import DrainWish, InstanceLoad, Worker
from aether.ports.registry import View, config_key, drain_key, gateway_key, instance_key, worker_key

NOW = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)


def a_worker(worker_id="wrk-1", **changes):
    worker = Worker(worker_id, "host", "10.0.0.1", 4, 8 << 30, "0.1", NOW, 4 << 30, 10, runtimes=("node",))
    return replace(worker, **changes)


def an_instance(instance_id="inst-1", function_id="fn-1", worker_id="wrk-1", **changes):
    instance = Instance(
        instance_id, function_id, worker_id, "10.0.0.1", 30000, "10.0.2.15", InstanceStatus.READY, NOW
    )
    return replace(instance, **changes)


def a_config(function_id="fn-1", revision=1):
    version = Version(revision, "node", "handler.js", "ab" * 32, 1, 128, 3000, {"GREETING": "grüß dich"})
    return FunctionConfig(function_id, f"name-{function_id}", version, Limits(min_instances=1), good=version)


def a_gateway(gateway_id="gw-1", **changes):
    return replace(GatewayRecord(gateway_id, "host", "0.1", NOW), **changes)


async def next_changes(watch, count):
    return [await anext(watch) for _ in range(count)]


def applied(view, changes):
    """The entries after changes: what a gateway keeps."""
    entries = dict(view.entries)
    for change in changes:
        if change.value is None:
            entries.pop(change.key)
        else:
            entries[change.key] = change.value
    return entries


class RegistryContract:
    @asynccontextmanager
    async def opened(self):
        """A registry with nothing in it."""
        raise NotImplementedError
        yield

    @pytest.fixture
    async def registry(self):
        async with self.opened() as registry:
            yield registry

    async def test_new_registry_is_empty(self, registry):
        assert (await registry.view()).entries == {}

    async def test_view_has_everything_under_its_key(self, registry):
        lease = await registry.lease("wrk-1")
        load = {"inst-1": InstanceLoad("fn-1", 2, 0.0)}
        worker = a_worker(instances=load, starting={"fn-2": 1}, draining=True)
        instance = an_instance(revision=3, vmm="qemu", accel="tcg")
        await lease.put_worker(worker)
        await lease.put_instance(instance)
        await registry.put_function(a_config())
        assert lease.worker_id == "wrk-1"
        assert (await registry.view()).entries == {
            worker_key("wrk-1"): worker,
            instance_key("fn-1", "inst-1"): instance,
            config_key("fn-1"): a_config(),
        }

    async def test_gateway_is_seen_under_its_lease(self, registry):
        told = a_gateway(
            address="10.0.0.1:8080",
            waiting={"fn-1": 3},
            starting={"fn-1": {7: 2}},
            missing_room={"fn-2": 1},
            trying_again={"fn-1": 7},
            took_over={"fn-3": 2},
            unreachable={"wrk-1": "no route to host"},
        )
        view = await registry.view()
        lease = await registry.lease("gw-1")
        async with aclosing(registry.watch(view.revision)) as watch:
            await lease.put_gateway(told)
            assert (await registry.view()).entries == {gateway_key("gw-1"): told}
            await lease.close()
            changes = await next_changes(watch, 2)
        assert [change.value for change in changes] == [told, None]
        with pytest.raises(StoreUnavailable):
            await lease.put_gateway(told)

    async def test_view_stays_as_it_was(self, registry):
        before = await registry.view()
        await registry.put_function(a_config())
        assert before.entries == {}
        assert (await registry.view()).revision > before.revision

    async def test_watch_tells_only_of_what_is_wanted(self, registry):
        view = await registry.view()
        lease = await registry.lease("wrk-1")
        async with aclosing(registry.watch(view.revision, lambda key: key != worker_key("wrk-1"))) as watch:
            await lease.put_worker(a_worker())
            await lease.put_instance(an_instance())
            await lease.put_worker(a_worker(draining=True))
            await registry.put_function(a_config())
            changes = await next_changes(watch, 2)
        assert [change.value for change in changes] == [an_instance(), a_config()]
        await lease.close()

    async def test_watch_sees_every_kind_of_change_in_order(self, registry):
        view = await registry.view()
        lease = await registry.lease("wrk-1")
        async with aclosing(registry.watch(view.revision)) as watch:
            await lease.put_worker(a_worker())
            await lease.put_instance(an_instance())
            await registry.set_status("fn-1", "inst-1", InstanceStatus.DRAINING)
            await lease.remove_instance("fn-1", "inst-1")
            await registry.put_function(a_config())
            await registry.remove_function("fn-1")
            await lease.close()
            changes = await next_changes(watch, 7)
        key = instance_key("fn-1", "inst-1")
        assert [(change.key, change.value) for change in changes] == [
            (worker_key("wrk-1"), a_worker()),
            (key, an_instance()),
            (key, an_instance(status=InstanceStatus.DRAINING)),
            (key, None),
            (config_key("fn-1"), a_config()),
            (config_key("fn-1"), None),
            (worker_key("wrk-1"), None),
        ]
        revisions = [change.revision for change in changes]
        assert revisions == sorted(revisions)
        assert revisions[0] > view.revision

    async def test_nothing_is_missed_between_view_and_watch(self, registry):
        view = await registry.view()
        await registry.put_function(a_config(revision=1))
        await registry.put_function(a_config(revision=2))
        async with aclosing(registry.watch(view.revision)) as watch:
            changes = await next_changes(watch, 2)
        assert [change.value.version.revision for change in changes] == [1, 2]

    async def test_configuration_only_ever_replaces_an_older_generation(self, registry):
        """One of an earlier version says none, and is replaced by any."""
        there = []
        for number, generation in enumerate((0, 0, 2, 1, 2, 0, 3)):
            config = replace(a_config(), generation=generation, limits=Limits(min_instances=number))
            await registry.put_function(config)
            there.append((await registry.view()).entries[config_key("fn-1")].limits.min_instances)
        assert there == [0, 1, 2, 2, 2, 2, 6]
        await registry.remove_function("fn-1")
        await registry.put_function(replace(a_config(), generation=1))
        assert (await registry.view()).entries[config_key("fn-1")].generation == 1

    async def test_first_who_claims_it_has_it(self, registry):
        wanted = [registry.claim(f"db-{number}") for number in range(5)]
        [owner] = set(await asyncio.gather(*wanted))
        assert await registry.claim("another") == owner
        assert owner.startswith("db-")
        assert (await registry.view()).entries == {}

    async def test_newest_of_many_generations_stays_in_whatever_order_they_come(self, registry):
        view = await registry.view()
        generations = [3, 9, 1, 7, 10, 2, 8, 5, 4, 6]
        async with aclosing(registry.watch(view.revision)) as watch:
            await asyncio.gather(
                *(registry.put_function(replace(a_config(), generation=each)) for each in generations)
            )
            seen = [(await anext(watch)).value.generation]
            while seen[-1] != 10:
                seen.append((await anext(watch)).value.generation)
        assert seen == sorted(set(seen))

    async def test_watch_resumes_after_a_revision_that_was_seen(self, registry):
        async with aclosing(registry.watch((await registry.view()).revision)) as watch:
            for revision in (1, 2, 3):
                await registry.put_function(a_config(revision=revision))
            first = await anext(watch)
        async with aclosing(registry.watch(first.revision)) as watch:
            assert [change.value.version.revision for change in await next_changes(watch, 2)] == [2, 3]

    async def test_two_watches_see_the_same(self, registry):
        revision = (await registry.view()).revision
        async with aclosing(registry.watch(revision)) as one, aclosing(registry.watch(revision)) as other:
            for number in range(5):
                await registry.put_function(a_config(revision=number))
            assert await next_changes(one, 5) == await next_changes(other, 5)

    async def test_watch_waits_for_a_change(self, registry):
        async with aclosing(registry.watch((await registry.view()).revision)) as watch:
            waiting = asyncio.ensure_future(anext(watch))
            await registry.put_function(a_config())
            assert (await waiting).value == a_config()

    async def test_cancelled_wait_loses_no_change(self, registry):
        async with aclosing(registry.watch((await registry.view()).revision)) as watch:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.02):
                    await anext(watch)
            await registry.put_function(a_config())
            assert (await anext(watch)).value == a_config()

    async def test_closing_a_watch_ends_who_waits_on_it(self, registry):
        watch = registry.watch((await registry.view()).revision)

        async def read():
            return [change async for change in watch]

        reading = asyncio.ensure_future(read())
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.02):
                await asyncio.shield(reading)
        await watch.aclose()
        assert await reading == []
        await watch.aclose()

    async def test_closed_lease_takes_its_worker_and_instances_along_and_nothing_else(self, registry):
        mine, other = await registry.lease("wrk-1"), await registry.lease("wrk-2")
        await mine.put_worker(a_worker())
        await mine.put_instance(an_instance("inst-1"))
        await mine.put_instance(an_instance("inst-2", "fn-2"))
        await other.put_worker(a_worker("wrk-2"))
        await other.put_instance(an_instance("inst-3", worker_id="wrk-2"))
        await registry.put_function(a_config())
        await mine.close()
        await mine.close()
        assert set((await registry.view()).entries) == {
            worker_key("wrk-2"),
            instance_key("fn-1", "inst-3"),
            config_key("fn-1"),
        }

    async def test_closed_lease_puts_nothing(self, registry):
        lease = await registry.lease("wrk-1")
        await lease.close()
        with pytest.raises(StoreUnavailable):
            await lease.put_instance(an_instance())
        with pytest.raises(StoreUnavailable):
            await lease.put_worker(a_worker())
        assert (await registry.view()).entries == {}

    async def test_new_lease_of_a_worker_owns_only_what_it_put(self, registry):
        before = await registry.lease("wrk-1")
        await before.put_worker(a_worker())
        await before.put_instance(an_instance("inst-1"))
        await before.put_instance(an_instance("inst-2"))
        after = await registry.lease("wrk-1")
        assert await after.take_worker(a_worker()) is None
        await after.put_instance(an_instance("inst-1"))
        await before.close()
        kept = {worker_key("wrk-1"), instance_key("fn-1", "inst-1")}
        assert set((await registry.view()).entries) == kept
        await after.close()
        assert (await registry.view()).entries == {}

    async def test_an_id_that_another_home_has_is_not_taken_and_one_of_the_same_home_is(self, registry):
        mine, rival, again = [await registry.lease("wrk-1") for _ in range(3)]
        record = a_worker(home="here")
        assert await mine.take_worker(record) is None
        view = await registry.view()
        assert await rival.take_worker(a_worker(home="elsewhere")) == record
        await rival.put_worker(a_worker(home="elsewhere"))
        assert await registry.view() == view
        async with aclosing(registry.watch(view.revision)) as watch:
            assert await again.take_worker(a_worker(home="here", load=1)) is None
            [change] = await next_changes(watch, 1)
            assert change.value == a_worker(home="here", load=1), "it is never gone in between"
            await mine.put_worker(a_worker(home="here", load=2))
            await mine.close()
            await again.put_worker(a_worker(home="here", load=3))
            [change] = await next_changes(watch, 1)
            assert change.value == a_worker(home="here", load=3)
        await again.close()
        assert (await registry.view()).entries == {}

    async def test_only_the_first_instance_of_a_request_is_put(self, registry):
        mine, other = await registry.lease("wrk-1"), await registry.lease("wrk-2")
        assert await mine.put_first(an_instance("inst-1"), "req-1") == "inst-1"
        assert await other.put_first(an_instance("inst-2", worker_id="wrk-2"), "req-1") == "inst-1"
        assert await other.put_first(an_instance("inst-3", worker_id="wrk-2"), "req-2") == "inst-3"
        assert await mine.put_first(an_instance("inst-1"), "req-1") == "inst-1", "it was so before"
        keys = {instance_key("fn-1", "inst-1"), instance_key("fn-1", "inst-3")}
        assert set((await registry.view()).entries) == keys
        await mine.remove_instance("fn-1", "inst-1")
        assert await other.put_first(an_instance("inst-4", worker_id="wrk-2"), "req-1") == "inst-1"
        await mine.release_request("req-1")
        await mine.release_request("req-1")
        assert await other.put_first(an_instance("inst-5", worker_id="wrk-2"), "req-1") == "inst-5"
        await other.close()
        assert await mine.put_first(an_instance("inst-6"), "req-2") == "inst-6", "the other's lease is over"

    async def test_many_at_once_make_one_first(self, registry):
        leases = [await registry.lease(f"wrk-{number}") for number in range(5)]

        async def put(number):
            return await leases[number % 5].put_first(an_instance(f"inst-{number}"), "req-1")

        firsts = await asyncio.gather(*(put(number) for number in range(20)))
        assert len(set(firsts)) == 1
        assert set((await registry.view()).entries) == {instance_key("fn-1", firsts[0])}

    async def test_a_wish_to_drain_goes_with_the_worker_it_is_for(self, registry):
        wish = DrainWish("wrk-1", NOW)
        assert not await registry.ask_to_drain(wish)
        lease = await registry.lease("wrk-1")
        await lease.put_worker(a_worker())
        view = await registry.view()
        async with aclosing(registry.watch(view.revision)) as watch:
            assert await registry.ask_to_drain(wish)
            [change] = await next_changes(watch, 1)
        assert (change.key, change.value) == (drain_key("wrk-1"), wish)
        await lease.put_worker(a_worker(draining=True))
        await lease.close()
        assert (await registry.view()).entries == {}
        assert not await registry.ask_to_drain(wish)

    async def test_status_changes_alone_and_stays_with_the_lease(self, registry):
        lease = await registry.lease("wrk-1")
        await lease.put_instance(an_instance(revision=7))
        assert await registry.set_status("fn-1", "inst-1", InstanceStatus.DRAINING)
        entries = (await registry.view()).entries
        assert list(entries.values()) == [an_instance(revision=7, status=InstanceStatus.DRAINING)]
        await lease.close()
        assert (await registry.view()).entries == {}

    async def test_status_of_an_instance_that_is_gone_does_not_bring_it_back(self, registry):
        lease = await registry.lease("wrk-1")
        await lease.put_instance(an_instance())
        await lease.remove_instance("fn-1", "inst-1")
        assert not await registry.set_status("fn-1", "inst-1", InstanceStatus.DRAINING)
        assert (await registry.view()).entries == {}

    async def test_removing_what_is_not_there_changes_nothing(self, registry):
        lease = await registry.lease("wrk-1")
        before = await registry.view()
        await lease.remove_instance("fn-1", "inst-1")
        await registry.remove_function("fn-1")
        assert await registry.view() == before

    async def test_removing_a_function_leaves_its_instances(self, registry):
        lease = await registry.lease("wrk-1")
        await lease.put_instance(an_instance())
        await registry.put_function(a_config())
        await registry.remove_function("fn-1")
        assert set((await registry.view()).entries) == {instance_key("fn-1", "inst-1")}

    async def test_concurrent_writers_and_a_watch_agree(self, registry):
        view = await registry.view()

        async def work(number):
            lease = await registry.lease(f"wrk-{number}")
            for count in range(5):
                await lease.put_instance(an_instance(f"inst-{number}-{count}", worker_id=f"wrk-{number}"))
            await lease.remove_instance("fn-1", f"inst-{number}-0")
            if number % 2:
                await lease.close()

        async with aclosing(registry.watch(view.revision)) as watch:
            async with asyncio.TaskGroup() as tasks:
                for number in range(20):
                    tasks.create_task(work(number))
            changes = await next_changes(watch, 20 * 6 + 10 * 4)
        entries = (await registry.view()).entries
        assert len(entries) == 10 * 4
        assert applied(view, changes) == entries

    @given(data=st.data())
    # Each adapter's class plays the examples by itself, and any of them may say what the others are to play.
    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.differing_executors])
    def test_view_plus_later_changes_is_the_view_later(self, data):
        """Whatever is done, and whenever the view is taken."""
        steps = data.draw(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 1), st.integers(0, 1))))
        viewed_at = data.draw(st.integers(0, len(steps)))
        asyncio.run(self._follow(steps, viewed_at))

    async def _follow(self, steps, viewed_at):
        async with self.opened() as registry:
            leases = [await registry.lease("wrk-0"), await registry.lease("wrk-1")]
            view = await registry.view()
            for number, (verb, which, thing) in enumerate(steps):
                if number == viewed_at:
                    view = await registry.view()
                await self._step(registry, leases, verb, which, thing)
            if viewed_at == len(steps):
                view = await registry.view()
            end = View((await registry.view()).revision + 1, {})
            async with aclosing(registry.watch(view.revision)) as watch:
                await registry.put_function(a_config("fn-end"))
                changes = []
                async for change in watch:
                    changes.append(change)
                    if change.key == config_key("fn-end"):
                        break
            revisions = [change.revision for change in changes]
            assert revisions == sorted(revisions)
            assert revisions[-1] >= end.revision
            assert applied(view, changes) == (await registry.view()).entries

    async def _step(self, registry, leases, verb, which, thing):
        instance = an_instance(f"inst-{thing}", worker_id=f"wrk-{which}")
        match verb:
            case 0 | 1:
                await leases[which].put_instance(instance)
            case 2:
                await leases[which].remove_instance("fn-1", f"inst-{thing}")
            case 3:
                await registry.set_status("fn-1", f"inst-{thing}", InstanceStatus.DRAINING)
            case 4:
                await registry.put_function(a_config(f"fn-{thing}"))
            case 5:
                await registry.remove_function(f"fn-{thing}")
            case 6:
                await leases[which].close()
                leases[which] = await registry.lease(f"wrk-{which}")


class TestMemoryRegistry(RegistryContract):
    @asynccontextmanager
    async def opened(self):
        yield MemoryRegistry()

    async def test_watch_too_far_behind_is_told_so(self):
        registry = MemoryRegistry(history=10)
        for revision in range(30):
            await registry.put_function(a_config(revision=revision))
        async with aclosing(registry.watch(0)) as watch:
            with pytest.raises(StoreUnavailable, match="take a new view"):
                await anext(watch)
        async with aclosing(registry.watch(20)) as watch:
            changes = await next_changes(watch, 10)
            assert [change.value.version.revision for change in changes] == list(range(20, 30))


class TestEtcdRegistry(RegistryContract):
    @pytest.fixture(autouse=True)
    def server(self, etcd_server):
        self.url = etcd_server.url

    @asynccontextmanager
    async def opened(self):
        async with aclosing(JsonGateway([self.url])) as gateway:
            await gateway.call("kv/deleterange", {"key": "AA==", "range_end": "AA=="})
            async with aclosing(EtcdRegistry(gateway, page=3)) as registry:
                yield registry
