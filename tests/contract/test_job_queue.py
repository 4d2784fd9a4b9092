"""What every job queue does: `aether.ports.job_queue`."""

import asyncio
import itertools
from contextlib import aclosing
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from aether.adapters.memory.job_queue import MemoryJobQueue
from aether.adapters.redis.clients import RedisClients
from aether.adapters.redis.job_queue import RedisJobQueue
from aether.domain.errors import QueueFull
from aether.domain.job import JobReply, ProvisionJob, Spare


def a_job(request_id="req-1", **changes):
    job = ProvisionJob(
        request_id=request_id,
        function_id="fn-1",
        runtime="node",
        entrypoint="handler.js",
        vcpu=1,
        memory_mb=128,
        port=3000,
        env_vars={"GREETING": "grüß dich"},
        code_sha256="ab" * 32,
        remaining_ms=30_000,
        reply_to="gateway-1",
        revision=3,
        count=2,
        trace_context={"traceparent": "00-ab-cd-01"},
    )
    return replace(job, **changes)


LITTLE = Spare(memory_mib=850, overhead_mib=100, instances=4, runtimes=("node",))
"""What a worker has that could start three of 128 MiB."""


def a_reply(request_id="req-1", **changes):
    return replace(JobReply(request_id, "fn-1", 3, "inst-1", phases={"boot": 12.5}), **changes)


async def nothing_to_take(queue, worker_id):
    """It waits; and being cancelled while it waits is part of the port."""
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.02):
            await queue.take(worker_id)
    return True


async def begun(waiting):
    """A task that has come to where it waits."""
    task = asyncio.ensure_future(waiting)
    for _ in range(5):
        await asyncio.sleep(0)
    return task


class JobQueueContract:
    @pytest.fixture
    async def queue(self):
        raise NotImplementedError

    async def pass_time(self, queue, seconds):
        """By the queue's own time."""
        raise NotImplementedError

    async def test_job_arrives_as_it_was_sent(self, queue):
        await queue.submit(a_job())
        job = (await queue.take("wrk-1")).job
        assert 29_000 < job.remaining_ms <= 30_000
        assert replace(job, remaining_ms=30_000) == a_job()

    async def test_oldest_job_comes_first(self, queue):
        for number in range(5):
            await queue.submit(a_job(f"req-{number}"))
        taken = [(await queue.take("wrk-1")).job.request_id for _ in range(5)]
        assert taken == [f"req-{number}" for number in range(5)]

    async def test_job_placed_on_a_worker_is_for_it_alone_and_comes_first(self, queue):
        await queue.submit(a_job("req-any"))
        await queue.submit(a_job("req-mine"), worker_id="wrk-1")
        await queue.submit(a_job("req-theirs"), worker_id="wrk-2")
        mine, anyones = await queue.take("wrk-1"), await queue.take("wrk-1")
        assert (mine.job.request_id, mine.placed) == ("req-mine", True)
        assert (anyones.job.request_id, anyones.placed) == ("req-any", False)
        assert await nothing_to_take(queue, "wrk-1")
        assert (await queue.take("wrk-2")).job.request_id == "req-theirs"

    async def test_who_drains_takes_what_is_placed_on_it_and_nothing_else(self, queue):
        await queue.submit(a_job("req-any"))
        assert await queue.take_placed("wrk-1") is None
        await queue.submit(a_job("req-mine"), worker_id="wrk-1")
        claim = await queue.take_placed("wrk-1")
        assert (claim.job.request_id, claim.placed) == ("req-mine", True)
        await claim.give_back()
        assert await queue.take_placed("wrk-1") is None
        taken = [(await queue.take("wrk-2")).job.request_id for _ in range(2)]
        assert taken == ["req-mine", "req-any"]

    @pytest.mark.parametrize("placed", [None, "wrk-1"])
    async def test_waiting_worker_gets_a_job_when_it_comes(self, queue, placed):
        taking = await begun(queue.take("wrk-1"))
        await queue.submit(a_job(), worker_id=placed)
        assert (await taking).job.request_id == "req-1"

    async def test_waiting_workers_get_a_job_each(self, queue):
        takings = [await begun(queue.take(f"wrk-{number}")) for number in range(5)]
        for number in range(5):
            await queue.submit(a_job(f"req-{number}"))
        taken = [claim.job.request_id for claim in await asyncio.gather(*takings)]
        assert sorted(taken) == [f"req-{number}" for number in range(5)]

    async def test_cancelled_take_loses_no_job(self, queue):
        assert await nothing_to_take(queue, "wrk-1")
        await queue.submit(a_job())
        assert (await queue.take("wrk-1")).job.request_id == "req-1"

    async def test_take_cancelled_as_the_job_comes_loses_none(self, queue):
        for number in range(20):
            taking = await begun(queue.take("wrk-1"))
            await queue.submit(a_job(f"req-{number}"))
            taking.cancel()
            await asyncio.wait([taking])
            claim = await queue.take("wrk-2") if taking.cancelled() else taking.result()
            assert claim.job.request_id == f"req-{number}"
            await claim.done()
        assert await queue.depth() == 0

    async def test_remaining_time_is_that_at_taking(self, queue):
        await queue.submit(a_job(remaining_ms=5_000))
        await self.pass_time(queue, 1.0)
        assert 3_000 < (await queue.take("wrk-1")).job.remaining_ms <= 4_000

    @pytest.mark.parametrize("placed", [None, "wrk-1"])
    async def test_job_past_its_deadline_vanishes(self, queue, placed):
        await queue.submit(a_job("req-late", remaining_ms=500), worker_id=placed)
        await queue.submit(a_job("req-in-time"), worker_id=placed)
        await self.pass_time(queue, 1.0)
        assert await queue.depth() == 1
        assert (await queue.take("wrk-1")).job.request_id == "req-in-time"
        assert await nothing_to_take(queue, "wrk-1")

    async def test_job_without_time_is_never_handed_out(self, queue):
        await queue.submit(a_job(remaining_ms=0))
        assert await nothing_to_take(queue, "wrk-1")
        assert await queue.depth() == 0

    async def test_job_given_back_is_the_next_for_another(self, queue):
        await queue.submit(a_job("req-1"))
        await queue.submit(a_job("req-2"))
        claim = await queue.take("wrk-1")
        await claim.give_back()
        assert (await queue.take("wrk-2")).job.request_id == "req-1"
        assert (await queue.take("wrk-2")).job.request_id == "req-2"

    async def test_placed_job_given_back_is_for_any_worker(self, queue):
        await queue.submit(a_job(), worker_id="wrk-1")
        await (await queue.take("wrk-1")).give_back()
        assert (await queue.take("wrk-2")).job.request_id == "req-1"

    async def test_job_given_back_reaches_a_worker_that_waits(self, queue):
        await queue.submit(a_job(), worker_id="wrk-1")
        claim = await queue.take("wrk-1")
        taking = await begun(queue.take("wrk-2"))
        await claim.give_back()
        assert (await taking).job.request_id == "req-1"

    async def test_giving_back_does_not_prolong_a_job(self, queue):
        await queue.submit(a_job(remaining_ms=2_000))
        claim = await queue.take("wrk-1")
        await self.pass_time(queue, 1.0)
        await claim.give_back()
        again = await queue.take("wrk-2")
        assert again.job.remaining_ms <= 1_000
        await self.pass_time(queue, 1.5)
        await again.give_back()
        assert await nothing_to_take(queue, "wrk-1")

    async def test_claim_ends_once(self, queue):
        await queue.submit(a_job())
        claim = await queue.take("wrk-1")
        await claim.done()
        await claim.give_back()
        await claim.done()
        assert await queue.depth() == 0
        await queue.submit(a_job())
        claim = await queue.take("wrk-1")
        await claim.give_back()
        await claim.give_back()
        assert await queue.depth() == 1

    async def test_claim_is_held_until_it_ends(self, queue):
        for end in ("done", "give_back"):
            await queue.submit(a_job())
            claim = await queue.take("wrk-1")
            assert await claim.held()
            await getattr(claim, end)()
            assert not await claim.held()

    async def test_depth_counts_jobs_that_wait(self, queue):
        await queue.submit(a_job("req-1"))
        await queue.submit(a_job("req-2"), worker_id="wrk-1")
        assert await queue.depth() == 2
        claim = await queue.take("wrk-1")
        assert await queue.depth() == 1
        await claim.give_back()
        assert await queue.depth() == 2

    @pytest.mark.parametrize(
        "large", [{"memory_mb": 900}, {"memory_mb": 400}, {"count": 5}, {"runtime": "python"}], ids=str
    )
    async def test_what_does_not_fit_is_left_to_others_and_blocks_nobody(self, queue, large):
        await queue.submit(a_job("large", **{"count": 2, "memory_mb": 128, **large}))
        await queue.submit(a_job("small", count=2, memory_mb=128))
        assert (await queue.take("wrk-1", lambda: LITTLE)).job.request_id == "small"
        waiting = asyncio.ensure_future(queue.take("wrk-1", lambda: LITTLE))
        assert not (await asyncio.wait([waiting], timeout=0.02))[0]
        assert await queue.depth() == 1
        await queue.submit(a_job("next", count=1, memory_mb=128))
        assert (await asyncio.wait_for(waiting, 2)).job.request_id == "next"
        assert (await queue.take("wrk-2")).job.request_id == "large"

    async def test_what_did_not_fit_is_taken_when_there_is_room(self, queue):
        await queue.submit(a_job("large", count=1, memory_mb=900))
        spare = [LITTLE]
        waiting = asyncio.ensure_future(queue.take("wrk-1", lambda: spare[0]))
        assert not (await asyncio.wait([waiting], timeout=0.02))[0]
        spare[0] = replace(LITTLE, memory_mib=2000)
        assert (await asyncio.wait_for(waiting, 2)).job.request_id == "large"

    async def test_what_was_placed_on_a_worker_comes_whether_it_fits_or_not(self, queue):
        await queue.submit(a_job("anyones", memory_mb=900))
        waiting = asyncio.ensure_future(queue.take("wrk-1", lambda: LITTLE))
        assert not (await asyncio.wait([waiting], timeout=0.02))[0]
        await queue.submit(a_job("placed", memory_mb=900), worker_id="wrk-1")
        claim = await asyncio.wait_for(waiting, 2)
        assert (claim.job.request_id, claim.placed) == ("placed", True)

    async def test_reply_reaches_who_listens(self, queue):
        await queue.submit(a_job())
        failed = a_reply(instance_id=None, error="no room", console_tail="last\nlines", capacity=True)
        async with aclosing(queue.replies("gateway-1")) as replies, aclosing(queue.replies("other")) as other:
            claim = await queue.take("wrk-1")
            await claim.reply(failed)
            await claim.reply(a_reply())
            await claim.done()
            told = [replace(failed, worker_id="wrk-1"), a_reply(worker_id="wrk-1")]
            assert [await anext(replies), await anext(replies)] == told
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.02):
                    await anext(other)

    async def test_every_listener_of_a_name_gets_the_reply(self, queue):
        await queue.submit(a_job())
        async with aclosing(queue.replies("gateway-1")) as one, aclosing(queue.replies("gateway-1")) as two:
            await (await queue.take("wrk-1")).reply(a_reply())
            assert await anext(one) == await anext(two) == a_reply(worker_id="wrk-1")

    async def test_reply_that_nobody_waits_for_is_dropped(self, queue):
        await queue.submit(a_job())
        claim = await queue.take("wrk-1")
        await claim.reply(a_reply("req-early"))
        async with aclosing(queue.replies("gateway-1")) as replies:
            await claim.reply(a_reply("req-late"))
            assert (await anext(replies)).request_id == "req-late"

    async def test_cancelled_wait_loses_no_reply(self, queue):
        await queue.submit(a_job())
        claim = await queue.take("wrk-1")
        async with aclosing(queue.replies("gateway-1")) as replies:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.02):
                    await anext(replies)
            await claim.reply(a_reply())
            assert await anext(replies) == a_reply(worker_id="wrk-1")

    async def test_closing_ends_who_waits_for_replies(self, queue):
        replies = queue.replies("gateway-1")
        reading = await begun(anext(replies, "ended"))
        await replies.aclose()
        assert await reading == "ended"

    async def test_many_workers_do_every_job_once(self, queue):
        done = []

        async def work(number):
            for attempt in itertools.count(number):
                if len(done) == 200:
                    return
                try:
                    async with asyncio.timeout(0.2):
                        claim = await queue.take(f"wrk-{number}")
                except TimeoutError:
                    continue
                if attempt % 3 == 0:
                    await claim.give_back()
                else:
                    done.append(claim.job.request_id)
                    await claim.done()

        async with asyncio.TaskGroup() as tasks:
            for number in range(5):
                tasks.create_task(work(number))
            for number in range(200):
                await queue.submit(a_job(f"req-{number}"), f"wrk-{number % 5}" if number % 2 else None)
        assert sorted(done) == sorted(f"req-{number}" for number in range(200))
        assert await queue.depth() == 0


class HandClock:
    """Implements `aether.ports.clock.Clock`: goes on when told to."""

    def __init__(self):
        self.at_s = 1000.0

    def monotonic(self):
        return self.at_s

    def now(self):
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self.at_s)


class TestMemoryJobQueue(JobQueueContract):
    @pytest.fixture
    def clock(self):
        return HandClock()

    @pytest.fixture
    async def queue(self, clock):
        self.clock_of = clock
        return MemoryJobQueue(clock)

    async def pass_time(self, queue, seconds):
        self.clock_of.at_s += seconds

    async def test_full_queue_refuses_until_a_job_is_taken_or_late(self, clock):
        queue = MemoryJobQueue(clock, max_jobs=2)
        await queue.submit(a_job("req-1", remaining_ms=500))
        await queue.submit(a_job("req-2"), worker_id="wrk-9")
        with pytest.raises(QueueFull):
            await queue.submit(a_job("req-3"))
        clock.at_s += 1.0
        await queue.submit(a_job("req-3"))
        assert (await queue.take("wrk-1")).job.request_id == "req-3"
        await queue.submit(a_job("req-4"))

    async def test_worker_that_gives_back_lets_a_waiting_one_go_first(self, queue):
        taking = await begun(queue.take("wrk-roomy"))
        await queue.submit(a_job(), worker_id="wrk-full")
        taken = 0

        async def take_without_room():
            nonlocal taken
            for taken in range(1, 100):  # noqa: B007
                await (await queue.take("wrk-full")).give_back()

        full = asyncio.ensure_future(take_without_room())
        assert (await taking).job.request_id == "req-1"
        assert taken <= 2
        full.cancel()
        await asyncio.wait([full])


class TestRedisJobQueue(JobQueueContract):
    @pytest.fixture
    async def queue(self, redis_server):
        async with aclosing(RedisClients.open(redis_server.url)) as clients:
            await clients.commands.flushall()
            self.redis = clients.commands
            async with aclosing(RedisJobQueue(clients)) as queue:
                yield queue

    async def pass_time(self, queue, seconds):
        """Redis' own clock can't be moved: jobs are made to lie there since earlier."""
        script = """
            local function older(raw)
              return (string.gsub(raw, '"enqueued_at":(%d+)', function(at)
                return string.format('"enqueued_at":%.0f', at - ARGV[1])
              end))
            end
            for _, key in ipairs(redis.call('KEYS', '*')) do
              local kind = redis.call('TYPE', key).ok
              if kind == 'list' then
                for place, raw in ipairs(redis.call('LRANGE', key, 0, -1)) do
                  redis.call('LSET', key, place - 1, older(raw))
                end
              elseif kind == 'hash' then
                for _, field in ipairs(redis.call('HKEYS', key)) do
                  redis.call('HSET', key, field, older(redis.call('HGET', key, field)))
                end
              end
            end
        """
        await self.redis.eval(script, 0, int(seconds * 1000))
