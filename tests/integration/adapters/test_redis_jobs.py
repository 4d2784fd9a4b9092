"""What only an engine of its own can do to jobs: outlive who takes them, go, come back, hold others' jobs."""

import asyncio
import gc
import json
import subprocess
import sys
from contextlib import AsyncExitStack, aclosing
from dataclasses import replace

import pytest
from structlog.testing import capture_logs
from tests.integration.edge.conftest import make_certificate
from tests.proxies import network

from aether.adapters.redis.clients import RedisClients
from aether.adapters.redis.job_form import dump_reply
from aether.adapters.redis.job_queue import RedisJobQueue
from aether.adapters.redis.notifications import RedisNotifications
from aether.domain.errors import QueueFull, StoreUnavailable
from aether.domain.job import JobReply, ProvisionJob, Spare
from aether.gateway.tls import Certificate

ALIVE_S = 0.6
SHARED, REJECTED = "queue:vm_provision", "queue:vm_provision:rejected"
BARE = {
    "request_id": "req-7",
    "function_id": "fn-7",
    "image_id": "",
    "runtime": "node",
    "entrypoint": "handler.js",
    "vcpu": 1,
    "memory_mb": 128,
    "port": 3000,
    "count": 1,
    "env_vars": {"A": "b"},
    "trace_context": {},
}

DYING_WORKER = """
import asyncio, sys
from aether.adapters.redis.clients import RedisClients
from aether.adapters.redis.job_queue import RedisJobQueue

async def main():
    queue = RedisJobQueue(RedisClients.open(sys.argv[1]), alive_s=float(sys.argv[2]))
    claim = await queue.take("wrk-dying")
    print(claim.job.request_id, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


def a_job(request_id="req-1", **changes):
    fields = {
        "request_id": request_id,
        "function_id": "fn-1",
        "runtime": "node",
        "entrypoint": "handler.js",
        "vcpu": 1,
        "memory_mb": 128,
        "port": 3000,
        "env_vars": {},
        "code_sha256": "ab" * 32,
        "remaining_ms": 30_000,
        "reply_to": "gateway-1",
    }
    return ProvisionJob(**fields | changes)


def a_reply(request_id="req-1"):
    return JobReply(request_id, "fn-1", 0, "inst-1")


@pytest.fixture
async def stack():
    async with AsyncExitStack() as stack:
        yield stack


@pytest.fixture
async def clients(redis_server, stack):
    clients = await stack.enter_async_context(aclosing(RedisClients.open(redis_server.url)))
    await clients.commands.flushall()
    return clients


@pytest.fixture
async def redis(clients):
    return clients.commands


@pytest.fixture
async def queue(clients, stack):
    return await stack.enter_async_context(aclosing(RedisJobQueue(clients, alive_s=ALIVE_S)))


@pytest.fixture
async def another_queue(redis_server, stack):
    """Of another worker's process, over a network that can be cut."""
    net = await stack.enter_async_context(network(redis_server.port))
    clients = await stack.enter_async_context(aclosing(RedisClients.open(f"127.0.0.1:{net.port}")))
    queue = await stack.enter_async_context(aclosing(RedisJobQueue(clients, alive_s=ALIVE_S)))
    return queue, net


async def within(seconds, awaitable):
    async with asyncio.timeout(seconds):
        return await awaitable


async def next_millisecond(redis):
    """Entries of a stream are told apart by it, also over a flush."""
    begun = now = await redis.time()
    while now[0] == begun[0] and now[1] // 1000 == begun[1] // 1000:
        now = await redis.time()


async def both_queues_are_waited_for(redis):
    while (await redis.info("clients"))["blocked_clients"] < 2:
        await asyncio.sleep(0.01)


class TestShapes:
    async def test_job_on_the_wire_is_the_contracts(self, queue, redis):
        await queue.submit(a_job("req-1"))
        await queue.submit(a_job("req-2", remaining_ms=4_000), worker_id="wrk-9")
        job = json.loads(await redis.rpop(SHARED))
        assert job.keys() >= BARE.keys() | {"code_sha256", "remaining_ms", "reply_to", "enqueued_at"}
        seconds, microseconds = await redis.time()
        assert 0 <= seconds * 1000 + microseconds // 1000 - job["enqueued_at"] < 5_000
        assert json.loads(await redis.rpop("queue:vm_provision:wrk-9"))["remaining_ms"] == 4_000

    async def test_foreign_worker_that_takes_the_newest_shares_the_list(self, queue, redis):
        for number in range(3):
            await queue.submit(a_job(f"req-{number}"))
        _, newest = await redis.blpop([SHARED])
        assert json.loads(newest)["request_id"] == "req-2"
        assert (await queue.take("wrk-1")).job.request_id == "req-0"

    async def test_a_bare_job_that_does_not_fit_gets_its_time_where_it_lies(self, queue, redis):
        await redis.lpush(SHARED, json.dumps(BARE | {"memory_mb": 4096}))
        await redis.lpush(SHARED, json.dumps(BARE | {"request_id": "req-8"}))
        claim = await within(5, queue.take("wrk-1", lambda: Spare(1024, 0, 9, ("node",))))
        assert claim.job.request_id == "req-8"
        [left] = await redis.lrange(SHARED, 0, -1)
        assert json.loads(left)["remaining_ms"] == 30_000

    async def test_what_no_worker_could_have_is_rejected_and_not_left_to_others(self, queue, redis):
        await redis.lpush(SHARED, json.dumps(BARE | {"count": 10**9}))
        await redis.lpush(SHARED, json.dumps(BARE))
        claim = await within(5, queue.take("wrk-1", lambda: Spare(1024, 0, 9, ("node",))))
        assert (claim.job.count, await redis.llen(SHARED), await redis.llen(REJECTED)) == (1, 0, 1)

    @pytest.mark.parametrize(
        "changes",
        [
            {},
            {"unheard": [1], "remaining_ms": None},
            {"env_vars": None, "trace_context": "", "count": 0},
            {"entrypoint": None, "image_id": None},
        ],
    )
    async def test_bare_job_of_a_foreign_gateway_is_served(self, queue, redis, changes):
        taking = asyncio.ensure_future(queue.take("wrk-1"))
        await redis.lpush(SHARED, json.dumps(BARE | changes))
        claim = await within(5, taking)
        job = claim.job
        assert (job.request_id, job.function_id, job.count, job.revision) == ("req-7", "fn-7", 1, 0)
        assert (job.code_sha256, job.reply_to, job.remaining_ms) == ("", "", 30_000)
        await claim.reply(a_reply())
        await claim.give_back()
        lying = json.loads(await redis.lindex(SHARED, -1))
        assert lying["remaining_ms"] == 30_000  # from when it was first taken
        assert lying["enqueued_at"] > 0
        again = await queue.take("wrk-2")
        assert 0 < again.job.remaining_ms <= 30_000
        assert again.job.env_vars == job.env_vars
        await again.done()
        assert await redis.keys("aether:replies:*") == []

    @pytest.mark.parametrize(
        "garbage",
        [
            b"",
            b"\x00\xff",
            b"7",
            b"[]",
            b"{}",
            b"[" * 100_000,
            json.dumps(BARE | {"function_id": ""}).encode(),
            json.dumps(BARE | {"vcpu": "many"}).encode(),
            json.dumps(BARE | {"vcpu": 0}).encode(),
            json.dumps(BARE | {"memory_mb": -128}).encode(),
            json.dumps(BARE | {"env_vars": {"A": 1}}).encode(),
        ],
    )
    async def test_garbage_is_set_aside_and_told_once(self, queue, redis, garbage):
        await redis.lpush(SHARED, garbage)
        await queue.submit(a_job())
        with capture_logs() as logs:
            claim = await within(5, queue.take("wrk-1"))
            assert claim.job.request_id == "req-1"
            await claim.done()
            assert await queue.depth() == 0
        assert [entry["log_level"] for entry in logs] == ["warning"]
        [rejected] = await redis.lrange(REJECTED, 0, -1)
        assert rejected.startswith(garbage[:-1])
        assert await redis.hgetall(f"aether:jobs:taken:{queue._owners['wrk-1'].name}") == {}

    async def test_rejected_jobs_are_bounded(self, queue, redis):
        for _ in range(3):
            await redis.lpush(SHARED, *[b"x"] * 500)
        await queue.submit(a_job())
        await queue.take("wrk-1")
        assert await redis.llen(REJECTED) == 1_000

    async def test_full_queue_refuses_until_a_job_is_taken_or_late(self, clients, stack):
        queue = await stack.enter_async_context(aclosing(RedisJobQueue(clients, max_jobs=2)))
        await queue.submit(a_job("req-1", remaining_ms=200))
        await queue.submit(a_job("req-2"))
        await queue.submit(a_job("req-3"), worker_id="wrk-9")
        with pytest.raises(QueueFull):
            await queue.submit(a_job("req-4"))

        async def late():
            while await queue.depth() > 2:
                await asyncio.sleep(0.02)

        await within(5, late())
        await queue.submit(a_job("req-4"))
        assert (await queue.take("wrk-1")).job.request_id == "req-2"


class TestDeath:
    async def test_job_of_a_killed_worker_goes_to_another(self, queue, redis_server, redis):
        command = [sys.executable, "-c", DYING_WORKER, redis_server.url, str(ALIVE_S)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as worker:
            try:
                await queue.submit(a_job("req-taken"), worker_id="wrk-dying")
                assert await asyncio.to_thread(worker.stdout.readline) == b"req-taken\n"
                await queue.submit(a_job("req-placed"), worker_id="wrk-dying")
                with pytest.raises(TimeoutError):
                    await within(2 * ALIVE_S, queue.take("wrk-1"))
            finally:
                worker.kill()
        claims = [await within(10, queue.take("wrk-1")) for _ in range(2)]
        assert sorted(claim.job.request_id for claim in claims) == ["req-placed", "req-taken"]
        assert all(0 < claim.job.remaining_ms < 30_000 for claim in claims)

    async def test_worker_that_was_cut_off_learns_that_its_job_went_to_another(self, queue, another_queue):
        theirs, net = another_queue
        await queue.submit(a_job())
        cut_off = await theirs.take("wrk-2")
        assert await cut_off.held()
        net.refuses = True
        net.cut()
        claim = await within(10, queue.take("wrk-1"))
        assert claim.job.request_id == "req-1"
        assert await cut_off.held()  # as far as it can know
        net.refuses = False
        assert not await cut_off.held()
        await cut_off.done()
        assert await claim.held()
        await claim.done()
        assert await queue.depth() == 0

    async def test_closing_gives_jobs_to_others_at_once(self, queue, clients):
        leaving = RedisJobQueue(clients)
        await queue.submit(a_job("req-1"))
        await leaving.take("wrk-2")
        await queue.submit(a_job("req-2"), worker_id="wrk-2")
        await leaving.aclose()
        taken = [(await within(1, queue.take("wrk-1"))).job.request_id for _ in range(2)]
        assert taken == ["req-2", "req-1"]

    async def test_placed_jobs_stay_with_a_worker_that_lives_on_in_another_process(self, queue, clients):
        before = RedisJobQueue(clients)
        await queue.submit(a_job("req-1"))
        await before.take("wrk-1")
        waiting = asyncio.ensure_future(queue.take("wrk-1"))
        await queue.submit(a_job("req-2"), worker_id="wrk-1")
        claim = await waiting
        await queue.submit(a_job("req-3"), worker_id="wrk-1")
        await before.aclose()
        other = await queue.take("wrk-2")
        assert (claim.job.request_id, other.job.request_id) == ("req-2", "req-1")
        with pytest.raises(TimeoutError):
            await within(0.1, queue.take("wrk-2"))
        assert (await queue.take("wrk-1")).job.request_id == "req-3"

    async def test_take_cut_in_the_middle_loses_no_job(self, queue, another_queue):
        theirs, net = another_queue
        async with asyncio.timeout(30):
            for number in range(10):
                taking = asyncio.ensure_future(theirs.take("wrk-2"))
                await queue.submit(a_job(f"req-{number}"))
                for _ in range(number):
                    await asyncio.sleep(0)
                net.cut()
                claim = await taking
                assert claim.job.request_id == f"req-{number}"
                await claim.done()
        # What was cut was in use, more often than not: it connected again.
        assert net.connections > 5
        assert await queue.depth() == 0


class TestAbsence:
    async def test_everything_goes_on_when_redis_is_back(self, queue, redis_server, clients, stack):
        notifications = await stack.enter_async_context(aclosing(RedisNotifications(clients)))
        replies = await stack.enter_async_context(aclosing(queue.replies("gateway-1")))
        updates = await stack.enter_async_context(aclosing(notifications.subscribe()))
        await queue.submit(a_job("req-1"))
        await notifications.publish("fn-0")
        assert await anext(updates) == "fn-0"
        claim = await queue.take("wrk-1")
        waiting = [asyncio.ensure_future(it) for it in (queue.take("wrk-1"), anext(replies), anext(updates))]
        redis_server.kill()
        with pytest.raises(StoreUnavailable):
            await queue.submit(a_job("req-2"))
        with pytest.raises(StoreUnavailable):
            await queue.depth()
        with pytest.raises(StoreUnavailable):
            await notifications.publish("fn-lost")
        await claim.reply(a_reply())
        await claim.done()
        assert not any(wait.done() for wait in waiting)
        redis_server.start()
        await queue.submit(a_job("req-3"))

        async def told():
            while not waiting[2].done():
                await notifications.publish("fn-1")
                await asyncio.wait([waiting[2]], timeout=0.05)

        await within(5, told())
        taken, reply, update = await within(5, asyncio.gather(*waiting))
        assert (taken.job.request_id, reply, update) == (
            "req-3",
            replace(a_reply(), worker_id="wrk-1"),
            "fn-1",
        )
        await taken.done()
        assert await queue.depth() == 0
        assert await clients.commands.keys("aether:jobs:taken:*") == []

    async def test_waits_that_are_cut_at_once_leave_no_failure_that_nobody_looks_at(
        self, queue, redis, redis_server
    ):
        loop, unseen = asyncio.get_running_loop(), []
        before = loop.get_exception_handler()
        loop.set_exception_handler(lambda _, context: unseen.append(context["message"]))
        try:
            waiting = asyncio.ensure_future(queue.take("wrk-1"))
            await within(10, both_queues_are_waited_for(redis))
            redis_server.kill()
            with pytest.raises(StoreUnavailable):
                await queue.depth()
            redis_server.start()
            await redis.connection_pool.disconnect()  # what it had is cut, too
            await within(10, both_queues_are_waited_for(redis))
            await queue.submit(a_job())
            await within(10, waiting)
            await queue.aclose()
            gc.collect()
        finally:
            loop.set_exception_handler(before)
        assert unseen == []

    async def test_jobs_of_the_living_stay_theirs_when_redis_was_away_for_long(
        self, queue, another_queue, redis_server
    ):
        theirs, net = another_queue
        await queue.submit(a_job())
        claim = await theirs.take("wrk-2")
        waiting = asyncio.ensure_future(queue.take("wrk-1"))
        # Theirs comes back later than ours, which would see it dead at once.
        net.refuses = True
        net.cut()
        redis_server.kill()
        with pytest.raises(TimeoutError):
            await within(2 * ALIVE_S, asyncio.shield(waiting))
        redis_server.start()
        with pytest.raises(TimeoutError):
            await within(ALIVE_S / 3, asyncio.shield(waiting))
        net.refuses = False
        with pytest.raises(TimeoutError):
            await within(3 * ALIVE_S, waiting)
        assert await claim.held()

    async def test_keys_of_another_kind_stop_nobody_else(self, queue, redis):
        await redis.set("aether:replies:gateway-1", "text")
        await redis.set("queue:vm_provision:wrk-2", "text")
        await queue.submit(a_job("req-1"))
        taking = asyncio.ensure_future(queue.take("wrk-2"))
        claim = await within(5, queue.take("wrk-1"))
        with capture_logs() as logs:
            await claim.reply(a_reply())
            await claim.done()
        assert "refused by Redis, given up" in [entry["event"] for entry in logs]
        assert not taking.done()
        await redis.delete("queue:vm_provision:wrk-2")
        await queue.submit(a_job("req-2"))
        assert (await within(5, taking)).job.request_id == "req-2"

    async def test_flushed_redis_goes_on_being_used(self, queue, redis):
        await queue.submit(a_job("req-1"))
        async with aclosing(queue.replies("gateway-1")) as replies:
            claim = await queue.take("wrk-1")
            await claim.reply(a_reply("req-1"))
            assert (await anext(replies)).request_id == "req-1"
            await next_millisecond(redis)
            await redis.flushall()
            await claim.reply(a_reply("req-2"))
            assert (await within(10, anext(replies))).request_id == "req-2"
            assert not await claim.held()
        await queue.submit(a_job("req-3"))
        assert (await within(5, queue.take("wrk-1"))).job.request_id == "req-3"

    async def test_replies_of_a_redis_whose_clock_is_behind_are_heard(self, queue, another_queue, clients):
        theirs, net = another_queue
        async with aclosing(theirs.replies("gateway-1")) as replies:
            await queue.submit(a_job())
            claim = await queue.take("wrk-1")
            await theirs.submit(a_job("req-2"))  # and so they listen
            await claim.reply(a_reply("req-1"))
            assert (await anext(replies)).request_id == "req-1"
            net.refuses = True
            net.cut()
            await clients.commands.delete("aether:replies:gateway-1")
            reply = {"reply": dump_reply(a_reply("req-2"))}
            await clients.commands.xadd("aether:replies:gateway-1", reply, id="1-1")
            net.refuses = False
            assert (await within(5, anext(replies))).request_id == "req-2"

    async def test_password_is_used_and_a_wrong_one_said(self, redis, redis_server):
        await redis.config_set("requirepass", "s3cret")
        try:
            for url, more in (
                (f"redis://:s3cret@{redis_server.address}", {}),
                (redis_server.address, {"password": "s3cret"}),
            ):
                async with (
                    aclosing(RedisClients.open(url, **more)) as clients,
                    aclosing(RedisJobQueue(clients)) as queue,
                ):
                    await queue.submit(a_job())
                    await (await queue.take("wrk-1")).done()
            async with (
                aclosing(RedisClients.open(redis_server.address, password="wrong")) as clients,
                aclosing(RedisJobQueue(clients)) as queue,
            ):
                with pytest.raises(StoreUnavailable, match="invalid username-password") as raised:
                    await queue.submit(a_job())
                assert "wrong" not in str(raised.value)
        finally:
            await redis.config_set("requirepass", "")

    async def test_tls_is_spoken_and_its_certificate_checked(self, redis, redis_server, stack, tmp_path):
        certificate, key = make_certificate(tmp_path)
        net = await stack.enter_async_context(
            network(redis_server.port, Certificate(certificate, key).context())
        )
        url = f"rediss://localhost:{net.port}"
        async with (
            aclosing(RedisClients.open(url, ssl_ca_certs=str(certificate))) as clients,
            aclosing(RedisJobQueue(clients)) as queue,
        ):
            await queue.submit(a_job())
            await (await queue.take("wrk-1")).done()
        async with aclosing(RedisClients.open(url)) as clients, aclosing(RedisJobQueue(clients)) as queue:
            with pytest.raises(StoreUnavailable, match="certificate verify failed"):
                await queue.submit(a_job())

    async def test_nobody_there_is_said(self):
        async with (
            aclosing(RedisClients.open("127.0.0.1:1")) as clients,
            aclosing(RedisJobQueue(clients)) as queue,
        ):
            with pytest.raises(StoreUnavailable, match="Redis does not submit"):
                await queue.submit(a_job())
