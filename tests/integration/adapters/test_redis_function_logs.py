"""What only an engine of its own does to functions' lines: bounds there, several processes, outages."""

import asyncio
from contextlib import AsyncExitStack, aclosing
from datetime import UTC, datetime, timedelta

import pytest
from tests.engines import RedisServer, running
from tests.proxies import network

from aether.adapters.redis.clients import RedisClients
from aether.adapters.redis.function_logs import RedisFunctionLogs
from aether.adapters.redis.log_writer import LogBounds
from aether.domain.errors import StoreUnavailable
from aether.ports.function_logs import LogRecord

NOW = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)


def a_line(number=0, function_id="fn-1", text=None):
    text = f"line {number}" if text is None else text
    return LogRecord(function_id, "inst-1", "stdout", text, NOW + timedelta(seconds=number), "call-1")


@pytest.fixture
async def opened(redis_server):
    """Keepers of logs as of several processes, by the arguments of their bounds."""
    async with AsyncExitStack() as stack:

        async def one_more(url=redis_server.url, **bounds):
            clients = await stack.enter_async_context(aclosing(RedisClients.open(url)))
            logs = RedisFunctionLogs(clients, LogBounds(**bounds))
            await stack.enter_async_context(aclosing(logs))
            return logs, clients.commands

        _, redis = await one_more()
        await redis.flushall()
        yield one_more


async def test_any_process_shows_and_follows_what_others_print(opened):
    (worker, _), (other, _), (gateway, _) = [await opened() for _ in range(3)]
    async with aclosing(gateway.follow("fn-1")) as lines:
        worker.append(a_line(1))
        assert await anext(lines) == a_line(1)
        other.append(a_line(2))
        assert await anext(lines) == a_line(2)
    assert await gateway.tail("fn-1", 10) == [a_line(1), a_line(2)]
    await gateway.remove("fn-1")
    assert await worker.tail("fn-1", 10) == []


async def test_no_line_is_missing_between_a_tail_and_what_is_followed(opened, redis_server):
    """However late the follower gets through."""
    worker, _ = await opened()
    async with (
        network(redis_server.port) as net,
        aclosing(RedisClients.open(redis_server.url)) as quick,
        aclosing(RedisClients.open(f"127.0.0.1:{net.port}")) as slow,
        aclosing(RedisFunctionLogs(RedisClients(quick.commands, slow.waiting, quick.pipe))) as gateway,
    ):
        worker.append(a_line(1))
        await worker.tail("fn-1", 1)
        net.flows.clear()
        async with aclosing(gateway.follow("fn-1")) as lines:
            tailing = asyncio.ensure_future(gateway.tail("fn-1", 9))
            await asyncio.wait({tailing}, timeout=0.1)
            worker.append(a_line(2))
            await worker.tail("fn-1", 1)
            net.flows.set()
            if a_line(2) not in await tailing:
                assert await anext(lines) == a_line(2)


async def test_lines_of_a_function_are_bounded_in_number(opened):
    logs, redis = await opened(max_lines=100)
    for number in range(1000):
        logs.append(a_line(number))
    kept = await logs.tail("fn-1", 2000)
    assert kept[-1] == a_line(999)
    # Redis takes whole nodes off a stream, of a hundred entries at most.
    assert 100 <= len(kept) <= 200
    assert await redis.xlen("aether:logs:fn-1") == len(kept)


async def test_lines_of_a_function_are_bounded_in_bytes(opened):
    logs, redis = await opened(max_bytes=50_000)
    for number in range(200):
        logs.append(a_line(number, text="x" * 5_000))
    assert (await logs.tail("fn-1", 1))[0].at == a_line(199).at
    assert 10_000 < await redis.memory_usage("aether:logs:fn-1") <= 50_000


async def test_who_printed_longest_ago_makes_room_for_others(opened):
    logs, redis = await opened(total_bytes=150_000)
    for function in range(6):
        for number in range(10):
            logs.append(a_line(number, f"fn-{function}", text="x" * 4_000))
        await logs.tail(f"fn-{function}", 1)
    kept = [len(await logs.tail(f"fn-{function}", 99)) for function in range(6)]
    assert kept[5] == 10
    assert kept[0] < 10
    assert kept == sorted(kept)
    sizes = [await redis.memory_usage(f"aether:logs:fn-{function}") or 0 for function in range(6)]
    assert sum(sizes) <= 150_000
    assert int(await redis.get("aether:log-bytes-total")) == sum(sizes)


async def test_removed_functions_leave_nothing_behind(opened):
    logs, redis = await opened()
    logs.append(a_line(1))
    await logs.tail("fn-1", 1)
    await logs.remove("fn-1")
    assert await redis.keys("*") == [b"aether:log-bytes-total"]
    assert int(await redis.get("aether:log-bytes-total")) == 0


async def test_garbage_among_the_lines_is_passed_over(opened):
    logs, redis = await opened()
    async with aclosing(logs.follow("fn-1")) as lines:
        logs.append(a_line(1))
        assert await anext(lines) == a_line(1)
        await redis.xadd("aether:logs:fn-1", {"what": "is this"})
        await redis.xadd(
            "aether:logs:fn-1", dict.fromkeys(("instance", "stream", "call", "text", "at"), "9" * 30)
        )
        logs.append(a_line(2))
        assert await anext(lines) == a_line(2)
    assert await logs.tail("fn-1", 9) == [a_line(1), a_line(2)]


async def test_more_than_a_page_is_read_for_a_filter(opened):
    logs, _ = await opened()
    logs.append(a_line(0, text="wanted"))
    for _ in range(1_599):
        logs.append(LogRecord("fn-1", "inst-1", "stdout", "no", NOW, "call-2"))
    assert [line.text for line in await logs.tail("fn-1", 5, call_id="call-1")] == ["wanted"]
    assert len(await logs.tail("fn-1", 1_500)) == 1_500


async def test_dead_redis_costs_lines_and_nothing_else(opened):
    with running(RedisServer) as server:
        logs, _ = await opened(server.url, waiting_bytes=100_000)
        logs.append(a_line(0))
        assert await logs.tail("fn-1", 9) == [a_line(0)]
        async with aclosing(logs.follow("fn-1")) as lines:
            logs.append(a_line(1))
            assert await anext(lines) == a_line(1)
            server.kill()
            for number in range(2, 1_000):
                logs.append(a_line(number))
            with pytest.raises(StoreUnavailable):
                await logs.tail("fn-1", 9)
            server.start()
            async with asyncio.timeout(20):
                while await anext(lines) != a_line(999):
                    pass
        kept = await logs.tail("fn-1", 2_000)
        assert kept[0] == a_line(0)
        assert len(kept) - 1 + logs.dropped == 999
        assert logs.dropped > 0


async def test_lines_of_a_function_that_is_removed_while_redis_is_away_do_not_come_back(opened):
    with running(RedisServer) as server:
        logs, redis = await opened(server.url)
        logs.append(a_line(1))
        await logs.tail("fn-1", 1)
        server.kill()
        logs.append(a_line(2))
        logs.append(a_line(3, "fn-2"))
        await logs.remove("fn-1")
        server.start()
        async with aclosing(logs.follow("fn-2")):
            await redis.delete("aether:logs:fn-1")
            while not await redis.exists("aether:logs:fn-2"):
                await asyncio.sleep(0.01)
        assert await logs.tail("fn-1", 9) == []


async def test_ending_does_not_wait_for_a_redis_that_is_away(opened):
    with running(RedisServer) as server:
        async with aclosing(RedisClients.open(server.url)) as clients:
            logs = RedisFunctionLogs(clients)
            server.pause()
            logs.append(a_line(1))
            async with asyncio.timeout(3):
                await logs.aclose()
            server.resume()


async def test_flushed_redis_goes_on_from_nothing(opened):
    logs, redis = await opened()
    async with aclosing(logs.follow("fn-1")) as lines:
        logs.append(a_line(1))
        assert await anext(lines) == a_line(1)
        await redis.flushall()
        logs.append(a_line(2))
        assert await anext(lines) == a_line(2)
    assert await logs.tail("fn-1", 9) == [a_line(2)]
