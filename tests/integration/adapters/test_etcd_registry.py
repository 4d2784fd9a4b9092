"""What only an engine of its own can do to a registry: go, come back, forget, and hold others' entries."""

import asyncio
import contextlib
import json
import shutil
from base64 import b64decode
from contextlib import AsyncExitStack, aclosing
from datetime import UTC, datetime

import pytest
from structlog.testing import capture_logs
from tests.integration.edge.conftest import make_certificate, trusting
from tests.proxies import network

from aether.adapters.etcd.answers import text
from aether.adapters.etcd.entries import dump
from aether.adapters.etcd.json_gateway import Credentials, JsonGateway
from aether.adapters.etcd.registry import EtcdRegistry
from aether.domain.errors import StoreUnavailable
from aether.domain.function import FunctionConfig, Limits, Version
from aether.domain.instance import Instance, InstanceStatus
from aether.domain.worker import Worker
from aether.gateway.tls import Certificate
from aether.ports.registry import config_key, instance_key, worker_key

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
EVERYTHING = {"key": "AA==", "range_end": "AA=="}
BARE = {
    "instance_id": "i-7",
    "function_id": "fn-1",
    "worker_id": "w-9",
    "host_ip": "10.0.0.7",
    "proxy_port": 30007,
    "internal_ip": "172.16.0.2",
    "status": "ready",
    "started_at": "2026-01-02T03:04:05.123456789+02:00",
}


class SlowKeepAlive(JsonGateway):
    """Its answers about leases come when they are let go on."""

    def __init__(self, endpoints):
        super().__init__(endpoints)
        self.asked = asyncio.Queue()
        self.go_on = asyncio.Event()

    async def call(self, name, request):
        answer = await super().call(name, request)
        if name == "lease/keepalive":
            self.asked.put_nowait(request["ID"])
            await self.go_on.wait()
        return answer


def a_worker(worker_id="wrk-1"):
    return Worker(worker_id, "host", "10.0.0.1", 4, 8 << 30, "0.1", NOW, 4 << 30, 10)


def an_instance(instance_id="inst-1", worker_id="wrk-1", status=InstanceStatus.READY):
    return Instance(instance_id, "fn-1", worker_id, "10.0.0.1", 30000, "10.0.2.15", status, NOW, 1)


def a_config(revision):
    version = Version(revision, "node", "handler.js", "ab" * 32, 1, 128, 3000, {})
    return FunctionConfig("fn-1", "name", version, Limits())


def revision_of(change):
    return change.value.version.revision


@pytest.fixture
async def stack():
    async with AsyncExitStack() as stack:
        yield stack


@pytest.fixture
async def gateway(etcd_server, stack):
    gateway = await stack.enter_async_context(aclosing(JsonGateway([etcd_server.url], call_within_s=2)))
    await gateway.call("kv/deleterange", EVERYTHING)
    return gateway


@pytest.fixture
async def registry(gateway, stack):
    return await stack.enter_async_context(aclosing(EtcdRegistry(gateway, lease_ttl_s=2)))


async def put(gateway, key, value, **more):
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    await gateway.call("kv/put", {"key": text(key), "value": text(raw), **more})


async def stored(gateway, key):
    [kv] = (await gateway.call("kv/range", {"key": text(key)}))["kvs"]
    return json.loads(b64decode(kv["value"])), kv.get("lease")


async def until(watch, wanted):
    """The changes up to the one that is wanted."""
    changes = []
    async with asyncio.timeout(20):
        while not changes or not wanted(changes[-1]):
            changes.append(await anext(watch))
    return changes


class TestShapes:
    async def test_keys_and_fields_are_the_contracts(self, registry, gateway):
        lease = await registry.lease("wrk-1")
        await lease.put_worker(a_worker())
        await lease.put_instance(an_instance())
        await registry.put_function(a_config(3))
        worker, worker_lease = await stored(gateway, "/workers/wrk-1")
        named = {"id", "hostname", "public_ip", "total_cpu", "total_mem", "version", "last_heartbeat"}
        assert worker.keys() >= named | {"free_mem", "free_slots", "load", "runtimes", "draining"}
        instance, instance_lease = await stored(gateway, "/functions/fn-1/instances/inst-1")
        assert instance.keys() >= BARE.keys()
        assert instance["status"] == "ready"
        assert instance["started_at"] == "2026-01-02T03:04:05Z"
        assert worker_lease == instance_lease
        config, config_lease = await stored(gateway, "/config/functions/fn-1")
        assert config["version"]["revision"] == 3
        assert config_lease is None

    async def test_bare_instance_of_a_foreign_worker_is_there_and_keeps_its_fields(self, registry, gateway):
        await put(gateway, "/functions/fn-1/instances/i-7", BARE | {"pid": 77, "revision": None})
        view = await registry.view()
        [entry] = view.entries.values()
        assert (entry.host_ip, entry.proxy_port, entry.revision) == ("10.0.0.7", 30007, None)
        assert entry.started_at == datetime(2026, 1, 2, 1, 4, 5, 123456, tzinfo=UTC)
        async with aclosing(registry.watch(view.revision)) as watch:
            assert await registry.set_status("fn-1", "i-7", InstanceStatus.DRAINING)
            assert (await anext(watch)).value.status is InstanceStatus.DRAINING
        there = BARE | {"pid": 77, "revision": None, "status": "draining"}
        assert await stored(gateway, "/functions/fn-1/instances/i-7") == (there, None)

    async def test_foreign_worker_is_there_without_room_for_jobs_of_ours(self, registry, gateway):
        worker = {
            "id": "w-9",
            "hostname": "h",
            "public_ip": "10.0.0.9",
            "total_cpu": 4,
            "total_mem": 8192,
            "version": "1",
            "last_heartbeat": "2026-01-02T03:04:05Z",
        }
        await put(gateway, "/workers/w-9", worker)
        entry = (await registry.view()).entries["/workers/w-9"]
        assert (entry.id, entry.free_slots, entry.free_mem) == ("w-9", 0, 0)

    @pytest.mark.parametrize(
        "garbage",
        [
            b"",
            b"\xff\xfe",
            b"[1]",
            b"null",
            b"[" * 100_000,
            b"{}",
            json.dumps(BARE | {"status": "??"}).encode(),
            json.dumps(BARE | {"proxy_port": 0}).encode(),
            json.dumps(BARE | {"proxy_port": 1 << 40}).encode(),
            json.dumps(BARE | {"host_ip": " "}).encode(),
            json.dumps(BARE | {"instance_id": "another"}).encode(),
        ],
    )
    async def test_garbage_is_set_aside_and_told_once(self, registry, gateway, garbage):
        key = instance_key("fn-1", "i-7")
        await put(gateway, key, garbage)
        with capture_logs() as logs:
            view = await registry.view()
            await registry.view()
            async with aclosing(registry.watch(view.revision)) as watch:
                await put(gateway, key, BARE)
                await put(gateway, key, garbage)
                await put(gateway, key, garbage)
                await gateway.call("kv/deleterange", {"key": text(key)})
                await registry.put_function(a_config(1))
                changes = await until(watch, lambda change: change.key == config_key("fn-1"))
        assert view.entries == {}
        told = [change.value and change.value.host_ip for change in changes[:-1]]
        assert told == ["10.0.0.7", None]
        assert [entry["key"] for entry in logs] == [key, key]
        assert not await registry.set_status("fn-1", "i-7", InstanceStatus.DRAINING)

    async def test_neighbours_under_the_same_prefixes_are_passed_over(self, registry, gateway):
        for key in ("/functions/fn-1", "/functions/fn-1/notes", "/registry/pods/x", "/workers/w/1"):
            await put(gateway, key, b"not ours")
        view = await registry.view()
        assert view.entries == {}
        async with aclosing(registry.watch(view.revision)) as watch:
            await put(gateway, "/registry/pods/y", b"not ours")
            await registry.put_function(a_config(1))
            assert (await anext(watch)).key == config_key("fn-1")


class TestWatch:
    async def test_change_of_many_keys_at_once_is_resumed_in_its_middle(self, registry):
        lease = await registry.lease("wrk-1")
        for number in range(3):
            await lease.put_instance(an_instance(f"inst-{number}"))
        view = await registry.view()
        await lease.close()
        seen, after = [], view.revision
        for _ in range(3):
            async with aclosing(registry.watch(after)) as watch:
                change = await anext(watch)
                seen.append(change.key)
                after = change.revision
        assert sorted(seen) == sorted(view.entries)
        assert after == (await registry.view()).revision

    async def test_cut_connection_neither_loses_nor_doubles_a_change(self, etcd_server, registry, stack):
        net = await stack.enter_async_context(network(etcd_server.port))
        far = await stack.enter_async_context(aclosing(JsonGateway([f"127.0.0.1:{net.port}"])))
        watching = await stack.enter_async_context(aclosing(EtcdRegistry(far)))
        async with aclosing(watching.watch((await watching.view()).revision)) as watch:
            for revision in range(60):
                await registry.put_function(a_config(revision))
                if revision % 7 == 3:
                    net.cut()
            changes = await until(watch, lambda change: revision_of(change) == 59)
        assert [revision_of(change) for change in changes] == list(range(60))
        assert net.connections > 2

    async def test_server_killed_and_back_goes_on_where_it_was(self, etcd_server, registry):
        view = await registry.view()
        async with aclosing(registry.watch(view.revision)) as watch:
            await registry.put_function(a_config(1))
            assert revision_of(await anext(watch)) == 1
            etcd_server.kill()
            waiting = asyncio.ensure_future(anext(watch))
            with pytest.raises(StoreUnavailable):
                await registry.put_function(a_config(2))
            with pytest.raises(StoreUnavailable):
                await registry.view()
            assert not waiting.done()
            etcd_server.start()
            await registry.put_function(a_config(3))
            async with asyncio.timeout(1):
                assert revision_of(await waiting) == 3

    async def test_watch_behind_a_compaction_is_told_to_take_a_new_view(self, registry, gateway):
        view = await registry.view()
        for revision in range(5):
            await registry.put_function(a_config(revision))
        now = (await registry.view()).revision
        await gateway.call("kv/compaction", {"revision": str(now >> 20)})
        async with aclosing(registry.watch(view.revision)) as watch:
            for _ in range(2):
                with pytest.raises(StoreUnavailable, match="take a new view"):
                    await anext(watch)
        async with aclosing(registry.watch(now)) as watch:
            await registry.put_function(a_config(9))
            assert revision_of(await anext(watch)) == 9

    async def test_etcd_restored_empty_is_told_from_one_that_goes_on(self, etcd_server, registry):
        for revision in range(20):
            await registry.put_function(a_config(revision))
        view = await registry.view()
        async with aclosing(registry.watch(view.revision)) as watch:
            etcd_server.lose_everything()
            with pytest.raises(StoreUnavailable, match="another history"):
                await anext(watch)
        after = await registry.view()
        assert after.entries == {}
        assert after.history != view.history

    async def test_etcd_restored_from_a_backup_is_told(self, etcd_server, registry, tmp_path):
        """What it lacks was put after the backup was made, and need not be gone."""
        await registry.put_function(a_config(1))
        data = etcd_server.directory / "data"
        before = await registry.view()
        assert (await registry.view()).history == before.history
        etcd_server.kill()
        shutil.copytree(data, tmp_path / "backup")
        etcd_server.start()
        async with aclosing(registry.watch(before.revision)) as watch:
            for revision in range(2, 9):
                await registry.put_function(a_config(revision))
            while revision_of(await anext(watch)) < 8:
                pass
            etcd_server.kill()
            shutil.rmtree(data)
            shutil.copytree(tmp_path / "backup", data)
            etcd_server.start()
            with pytest.raises(StoreUnavailable, match="another history"):
                await anext(watch)
        after = await registry.view()
        assert after.history != before.history
        assert (await registry.view()).history == after.history

    async def test_etcd_restored_empty_is_told_also_when_it_has_grown_since(
        self, etcd_server, gateway, registry, stack
    ):
        etcd_server.lose_everything()  # few revisions, soon grown beyond
        net = await stack.enter_async_context(network(etcd_server.port))
        far = await stack.enter_async_context(aclosing(JsonGateway([f"127.0.0.1:{net.port}"])))
        away = await stack.enter_async_context(aclosing(EtcdRegistry(far)))
        view = await away.view()
        async with aclosing(away.watch(view.revision)) as watch:
            await registry.put_function(a_config(1))
            assert revision_of(await anext(watch)) == 1
            net.refuses = True
            net.cut()
            etcd_server.lose_everything()
            for revision in range(view.revision >> 20):
                await registry.put_function(a_config(revision))
            assert (await registry.view()).revision > view.revision
            net.refuses = False
            with pytest.raises(StoreUnavailable, match="another history"):
                await anext(watch)

    async def test_configuration_takes_the_place_of_garbage(self, gateway, registry):
        await put(gateway, config_key("fn-1"), "[1, 2")
        await registry.put_function(a_config(1))
        assert set((await registry.view()).entries) == {config_key("fn-1")}

    async def test_reader_that_is_slow_gets_all(self, registry, monkeypatch):
        monkeypatch.setattr("aether.adapters.etcd.watch.BUFFER", 5)
        async with aclosing(registry.watch((await registry.view()).revision)) as watch:
            for revision in range(40):
                await registry.put_function(a_config(revision))
            changes = await until(watch, lambda change: revision_of(change) == 39)
        assert [revision_of(change) for change in changes] == list(range(40))

    async def test_large_entries_come_too(self, registry, gateway):
        view = await registry.view()
        big = {"key": "x" * 1_000_000}
        for number in range(5):
            await put(
                gateway, instance_key("fn-1", f"i-{number}"), BARE | {"instance_id": f"i-{number}"} | big
            )
        async with aclosing(registry.watch(view.revision)) as watch:
            changes = await until(watch, lambda change: change.key == instance_key("fn-1", "i-4"))
        assert len(changes) == 5
        assert len((await registry.view()).entries) == 5


class TestLease:
    async def test_entries_last_as_long_as_the_worker_and_go_after_it(self, registry, etcd_server, stack):
        view = await registry.view()
        async with aclosing(JsonGateway([etcd_server.url])) as gateway:
            dying = EtcdRegistry(gateway, lease_ttl_s=2)
            lease = await dying.lease("wrk-1")
            await lease.put_worker(a_worker())
            await lease.put_instance(an_instance())
            async with aclosing(registry.watch(view.revision)) as watch:
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(3):
                        await until(watch, lambda change: change.value is None)
                await dying.aclose()
                async with asyncio.timeout(6):
                    gone = await until(watch, lambda change: change.value is None)
        assert gone[-1].key in (worker_key("wrk-1"), instance_key("fn-1", "inst-1"))

    async def test_lost_lease_is_replaced_and_its_entries_put_again(self, registry, gateway):
        lease = await registry.lease("wrk-1")
        await lease.put_worker(a_worker())
        await lease.put_instance(an_instance())
        view = await registry.view()
        _, lease_id = await stored(gateway, worker_key("wrk-1"))
        async with aclosing(registry.watch(view.revision)) as watch:
            await gateway.call("lease/revoke", {"ID": lease_id})
            back = await until(watch, lambda change: change.value == an_instance())
        assert [change.value for change in back].count(None) == 2
        assert (await registry.view()).entries == view.entries
        assert (await stored(gateway, worker_key("wrk-1")))[1] != lease_id
        await lease.close()
        assert (await registry.view()).entries == {}

    async def test_put_finds_out_that_the_lease_was_lost(self, registry, gateway):
        lease = await registry.lease("wrk-1")
        await lease.put_worker(a_worker())
        _, lease_id = await stored(gateway, worker_key("wrk-1"))
        await gateway.call("lease/revoke", {"ID": lease_id})
        await lease.put_instance(an_instance())
        assert set((await registry.view()).entries) == {worker_key("wrk-1"), instance_key("fn-1", "inst-1")}

    async def test_late_word_of_a_lost_lease_does_not_end_its_successor(self, etcd_server, gateway, stack):
        slow = await stack.enter_async_context(aclosing(SlowKeepAlive([etcd_server.url])))
        registry = await stack.enter_async_context(aclosing(EtcdRegistry(slow, lease_ttl_s=2)))
        lease = await registry.lease("wrk-1")
        await lease.put_worker(a_worker())
        _, lost = await stored(gateway, worker_key("wrk-1"))
        await gateway.call("lease/revoke", {"ID": lost})
        async with asyncio.timeout(10):
            assert await slow.asked.get() == lost
            await lease.put_instance(an_instance())
            slow.go_on.set()
            kept_alive = await slow.asked.get()
        keys = (worker_key("wrk-1"), instance_key("fn-1", "inst-1"))
        holders = [(await stored(gateway, key))[1] for key in keys]
        assert holders == [kept_alive, kept_alive]

    async def test_entries_that_a_successor_holds_are_left_to_it(self, registry, gateway):
        before, after = await registry.lease("wrk-1"), await registry.lease("wrk-1")
        await before.put_instance(an_instance("inst-1"))
        _, lease_id = await stored(gateway, instance_key("fn-1", "inst-1"))
        await before.put_instance(an_instance("inst-2"))
        draining = an_instance("inst-1", status=InstanceStatus.DRAINING)
        await after.put_instance(draining)
        await gateway.call("lease/revoke", {"ID": lease_id})
        await before.put_instance(an_instance("inst-3"))
        entries = (await registry.view()).entries
        assert entries[instance_key("fn-1", "inst-1")] == draining
        assert len(entries) == 3

    async def test_what_is_put_and_removed_while_etcd_is_away_is_so_when_it_is_back(
        self, etcd_server, registry
    ):
        lease = await registry.lease("wrk-1")
        for number in (1, 2):
            await lease.put_instance(an_instance(f"inst-{number}"))
        etcd_server.kill()
        try:
            await lease.put_instance(an_instance("inst-1", status=InstanceStatus.DRAINING))
            await lease.remove_instance("fn-1", "inst-2")
            await lease.put_instance(an_instance("inst-3"))
        finally:
            etcd_server.start()
        await lease.put_worker(a_worker())
        assert (await registry.view()).entries == {
            worker_key("wrk-1"): a_worker(),
            instance_key("fn-1", "inst-1"): an_instance("inst-1", status=InstanceStatus.DRAINING),
            instance_key("fn-1", "inst-3"): an_instance("inst-3"),
        }

    async def test_worker_registers_again_in_an_etcd_that_lost_everything(self, etcd_server, registry):
        lease = await registry.lease("wrk-1")
        await lease.put_worker(a_worker())
        await lease.put_instance(an_instance())
        etcd_server.lose_everything()
        async with aclosing(registry.watch((await registry.view()).revision)) as watch:
            put = await until(watch, lambda change: isinstance(change.value, Instance))
        assert [change.value for change in put] == [a_worker(), an_instance()]

    async def test_many_instances_go_in_few_transactions(self, registry):
        lease = await registry.lease("wrk-1")
        before = (await registry.view()).revision >> 20
        async with asyncio.TaskGroup() as tasks:
            for number in range(250):
                tasks.create_task(lease.put_instance(an_instance(f"inst-{number}")))
        view = await registry.view()
        assert len(view.entries) == 250
        assert (view.revision >> 20) - before < 10

    async def test_entry_that_etcd_refuses_keeps_no_other_out(self, registry):
        lease = await registry.lease("wrk-1")
        huge = Instance("inst-0", "fn-1", "x" * 2_000_000, "10.0.0.1", 30000, "", InstanceStatus.READY, NOW)
        putting = [lease.put_instance(huge), *(lease.put_instance(an_instance(f"inst-{n}")) for n in (1, 2))]
        refused, *put = await asyncio.gather(*putting, return_exceptions=True)
        assert isinstance(refused, StoreUnavailable)
        assert put == [None, None]
        assert len((await registry.view()).entries) == 2


class TestEndpoints:
    async def test_endpoint_that_is_away_is_passed_over(self, etcd_server, stack):
        async with network(etcd_server.port) as net:
            gone = f"http://127.0.0.1:{net.port}"
        endpoints = [gone, etcd_server.url]
        gateway = await stack.enter_async_context(aclosing(JsonGateway(endpoints)))
        await EtcdRegistry(gateway).put_function(a_config(1))

    async def test_nobody_there_is_said_with_the_addresses(self):
        async with aclosing(JsonGateway(["http://127.0.0.1:1", "127.0.0.1:2"])) as gateway:
            with pytest.raises(StoreUnavailable, match=r"http://127\.0\.0\.1:1: .*; http://127\.0\.0\.1:2: "):
                await EtcdRegistry(gateway).view()

    async def test_server_that_hangs_is_given_up(self, etcd_server, stack):
        gateway = await stack.enter_async_context(aclosing(JsonGateway([etcd_server.url], call_within_s=0.2)))
        etcd_server.pause()
        try:
            with pytest.raises(StoreUnavailable, match=r"no answer within 0\.2 s"):
                await EtcdRegistry(gateway).view()
        finally:
            etcd_server.resume()

    async def test_member_that_hangs_is_left_for_another(self, etcd_server, registry, stack):
        async def hang(reader, writer):
            with contextlib.suppress(OSError):
                await reader.read()
            writer.close()

        server = await asyncio.start_server(hang, "127.0.0.1", 0)
        stack.push_async_callback(server.wait_closed)
        stack.callback(server.close)
        hanging = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        endpoints = [hanging, etcd_server.url]
        view = await registry.view()
        await registry.put_function(a_config(1))

        watching = await stack.enter_async_context(aclosing(JsonGateway(endpoints, call_within_s=0.2)))
        async with aclosing(EtcdRegistry(watching).watch(view.revision)) as watch:
            assert revision_of(await anext(watch)) == 1

        asking = await stack.enter_async_context(aclosing(JsonGateway(endpoints, call_within_s=0.2)))
        with pytest.raises(StoreUnavailable):
            await EtcdRegistry(asking).view()
        assert len((await EtcdRegistry(asking).view()).entries) == 1

    async def test_member_that_comes_to_hang_costs_one_call(self, etcd_server, stack):
        net = await stack.enter_async_context(network(etcd_server.port))
        endpoints = [f"127.0.0.1:{net.port}", etcd_server.url]
        gateway = await stack.enter_async_context(aclosing(JsonGateway(endpoints, call_within_s=0.5)))
        registry = EtcdRegistry(gateway)
        await asyncio.gather(*(registry.put_function(a_config(n)) for n in range(5)))
        assert net.connections > 2
        net.flows.clear()
        with pytest.raises(StoreUnavailable):
            await registry.put_function(a_config(6))
        await registry.put_function(a_config(7))

    async def test_key_that_is_no_text_is_passed_over(self, gateway, stack):
        registry = await stack.enter_async_context(aclosing(EtcdRegistry(gateway, page=1)))
        for key in (b"/workers/\xff\xfe", b"/workers/\xff\xff", b"/functions/\x00\x80/instances/\xff"):
            await put(gateway, key, b"{}")
        await put(gateway, worker_key("wrk-1"), dump(a_worker()))
        await put(gateway, worker_key("\U0001f600"), b"{}")
        assert (await registry.view()).entries == {worker_key("wrk-1"): a_worker()}

    async def test_tls_is_spoken_and_its_certificate_checked(self, etcd_server, stack, tmp_path):
        certificate, key = make_certificate(tmp_path)
        net = await stack.enter_async_context(
            network(etcd_server.port, Certificate(certificate, key).context())
        )
        url = f"https://localhost:{net.port}"
        gateway = await stack.enter_async_context(aclosing(JsonGateway([url], tls=trusting(certificate))))
        registry = await stack.enter_async_context(aclosing(EtcdRegistry(gateway)))
        async with aclosing(registry.watch((await registry.view()).revision)) as watch:
            await registry.put_function(a_config(1))
            assert revision_of(await anext(watch)) == 1
        doubting = await stack.enter_async_context(aclosing(JsonGateway([url])))
        with pytest.raises(StoreUnavailable, match="certificate verify failed"):
            await EtcdRegistry(doubting).view()

    async def test_credentials_are_used_and_renewed_and_never_shown(self, etcd_server, gateway, stack):
        open_to_all = Credentials("root", "s3cret")
        assert "s3cret" not in repr(open_to_all)
        await gateway.call("auth/user/add", {"name": "root", "password": "s3cret"})
        await gateway.call("auth/role/add", {"name": "root"})
        await gateway.call("auth/user/grant", {"user": "root", "role": "root"})
        await gateway.call("auth/enable", {})
        knowing = await stack.enter_async_context(
            aclosing(JsonGateway([etcd_server.url], credentials=open_to_all))
        )
        wrong = await stack.enter_async_context(
            aclosing(JsonGateway([etcd_server.url], credentials=Credentials("root", "wrong")))
        )
        try:
            for refused in (gateway, wrong):
                with pytest.raises(StoreUnavailable, match="etcd refused"):
                    await EtcdRegistry(refused).put_function(a_config(1))
            registry = await stack.enter_async_context(aclosing(EtcdRegistry(knowing)))
            async with aclosing(registry.watch((await registry.view()).revision)) as watch:
                await registry.put_function(a_config(1))
                assert revision_of(await anext(watch)) == 1
                # Tokens are in memory: this forgets them.
                etcd_server.kill()
                etcd_server.start()
                await registry.put_function(a_config(2))
                async with asyncio.timeout(2):
                    assert revision_of(await anext(watch)) == 2
        finally:
            await knowing.call("auth/disable", {})
            await gateway.call("auth/user/delete", {"name": "root"})
            await gateway.call("auth/role/delete", {"role": "root"})

    @pytest.mark.parametrize("url", ["", "ftp://host", "http://"])
    async def test_what_is_no_endpoint_is_refused(self, url):
        with pytest.raises(ValueError, match="no etcd endpoint"):
            JsonGateway([url])
